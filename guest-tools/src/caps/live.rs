// SPDX-License-Identifier: GPL-2.0
//! This machine's own capabilities: by the module vmx_caps if it is loaded, or by
//! /dev/cpu/*/msr.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use exit_stats::reader::CpuidReader;
use vmx_caps::cpus::{Cpus, Machine};
use vmx_caps::verdict::Verdict;

use crate::caps::known::Known;
use crate::caps::{kvm, parse};
use crate::error::{Error, Result};
use crate::platform;

/// What the module serves on kernels that have debugfs for Rust.
const REPORT: &str = "sys/kernel/debug/vmx_caps/report";

/// Reads this machine, whose files are under `root`.
pub fn read(cpu: &(impl CpuidReader + ?Sized), root: &Path) -> Result<Known> {
    let identity = platform::identity(cpu);
    Verdict::from_cpuid(&identity).map_err(|verdict| Error::NoStatistics(verdict.to_string()))?;
    let mut known = match fs::read_to_string(root.join(REPORT)) {
        Ok(text) => parse::text(&text, &format!("/{REPORT}"), None)?,
        Err(_) => by_devices(root, &identity)?,
    };
    known.identity = Some(identity);
    known.kvm = kvm::read(&known, root);
    Ok(known)
}

/// The CPUs that have a device.
struct Devices {
    /// By number, ascending.
    cpus: Vec<(u32, File)>,
}

impl Machine for Devices {
    fn next_cpu(&self, after: Option<u32>) -> Option<u32> {
        let mut numbers = self.cpus.iter().map(|(number, _)| *number);
        match after {
            None => numbers.next(),
            Some(after) => numbers.find(|number| *number > after),
        }
    }

    fn read_msr(&self, cpu: u32, index: u32) -> Option<u64> {
        let (_, device) = self.cpus.iter().find(|(number, _)| *number == cpu)?;
        let mut bytes = [0; 8];
        // EIO is that RDMSR raised #GP.
        device.read_exact_at(&mut bytes, index.into()).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

fn by_devices(root: &Path, identity: &vmx_caps::cpuid::Identity) -> Result<Known> {
    let mut numbers: Vec<(u32, PathBuf)> = fs::read_dir(root.join("dev/cpu"))
        .map_err(nothing)?
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("msr"),
            ))
        })
        .collect();
    numbers.sort_unstable();
    let mut cpus = Vec::new();
    for (number, path) in numbers {
        cpus.push((number, File::open(path).map_err(nothing)?));
    }
    if cpus.is_empty() {
        return Err(nothing(io::ErrorKind::NotFound.into()));
    }
    let machine = Devices { cpus };
    let cpus = Cpus {
        machine: &machine,
        identity,
        probe: false,
    };
    let first = cpus.iter().next().unwrap_or(0);
    let mut known = Known::new(format!("/dev/cpu/{first}/msr"));
    known.caps = cpus.read(first);
    known.complete = true;
    let mut differences = Vec::new();
    let count = cpus.compare(first, &known.caps, &mut |line| {
        differences.push(line.to_string());
    });
    if differences.is_empty() {
        known.notes.push(format!("all {count} CPUs agree"));
    } else {
        known
            .notes
            .push(format!("the {count} CPUs do not agree with CPU {first}:"));
        known.notes.extend(differences);
    }
    Ok(known)
}

fn nothing(error: io::Error) -> Error {
    Error::system(
        "cannot read this machine's VMX capabilities. Be root, and load the module vmx_caps, or \
         the kernel's own with `modprobe msr`;\nor read what another tool printed: --from FILE. \
         /dev/cpu/*/msr",
        error,
    )
}
