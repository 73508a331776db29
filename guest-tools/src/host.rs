// SPDX-License-Identifier: GPL-2.0
//! The host's side: KVM's own figures of its VMs, from debugfs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exit_stats::abi;
use exit_stats::reader::CpuidReader;

use crate::error::{Error, Result};
use crate::view::{Bucket, Kind, Row, View};

/// KVM's folder.
const KVM: &str = "sys/kernel/debug/kvm";
/// The file for programs, of the host in KVM's folder, and of each VM in its own.
const RAW: &str = "exit_stats_raw";

/// A host's KVM.
#[derive(Debug, Clone)]
pub struct Host {
    /// `/`, or a test's folder.
    root: PathBuf,
    /// Frequency of the clock of all cycles.
    tsc_khz: u32,
}

/// One VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// The VMM's process.
    pub pid: u32,
    /// Its name, as far as the VMM was given one.
    pub name: String,
    /// How many vCPUs it has.
    pub vcpus: usize,
    folder: PathBuf,
}

impl Host {
    /// Looks whether KVM has exit statistics here.
    pub fn open(root: &Path, cpu: &(impl CpuidReader + ?Sized)) -> Result<Self> {
        let file = root.join(KVM).join(RAW);
        match fs::metadata(&file) {
            Ok(_) => Ok(Self {
                root: root.into(),
                tsc_khz: tsc_khz(cpu),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = if root.join(KVM).exists() {
                    "KVM is loaded, but it has not the exit statistics built in"
                } else if root.join("sys/kernel/debug/bdi").exists() {
                    "KVM is not loaded"
                } else {
                    "debugfs is not mounted on /sys/kernel/debug, or KVM is not loaded"
                };
                Err(Error::NoStatistics(format!(
                    "no exit statistics on this host: there is no /{KVM}/{RAW}.\n{why}."
                )))
            }
            Err(error) => Err(Error::system(
                format!("cannot look at /{KVM}: only root may"),
                error,
            )),
        }
    }

    /// All VMs, by the number of their process.
    pub fn vms(&self) -> Result<Vec<Vm>> {
        let what = format!("cannot list /{KVM}");
        let entries =
            fs::read_dir(self.root.join(KVM)).map_err(|error| Error::system(what, error))?;
        let mut vms: Vec<Vm> = entries
            .flatten()
            .filter_map(|entry| self.vm_of(&entry.path()))
            .collect();
        vms.sort_by(|a, b| (a.pid, &a.folder).cmp(&(b.pid, &b.folder)));
        Ok(vms)
    }

    /// A folder is called after the process and its descriptor: `1234-14`.
    fn vm_of(&self, folder: &Path) -> Option<Vm> {
        let (pid, descriptor) = folder.file_name()?.to_str()?.split_once('-')?;
        let pid = pid.parse().ok()?;
        let _: u32 = descriptor.parse().ok()?;
        let is_vcpu =
            |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("vcpu");
        Some(Vm {
            pid,
            name: self.name_of(pid),
            vcpus: fs::read_dir(folder).ok()?.flatten().filter(is_vcpu).count(),
            folder: folder.into(),
        })
    }

    /// What the VMM was told to call it; QEMU and libvirt do so by `-name`.
    fn name_of(&self, pid: u32) -> String {
        let process = self.root.join("proc").join(pid.to_string());
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut words = line.split('\0').skip_while(|word| *word != "-name");
        if let Some(name) = words.nth(1) {
            let guest = name.split(',').find_map(|part| part.strip_prefix("guest="));
            return guest.or(name.split(',').next()).unwrap_or(name).into();
        }
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        match name.trim() {
            "" => pid.to_string(),
            name => format!("{name}-{pid}"),
        }
    }

    /// The VM of this process or name.
    pub fn find(&self, wanted: &str) -> Result<Vm> {
        let vms = self.vms()?;
        let fits = |vm: &&Vm| vm.pid.to_string() == wanted || vm.name == wanted;
        let found: Vec<&Vm> = vms.iter().filter(fits).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let names: Vec<String> = vms
                    .iter()
                    .map(|vm| format!("{} ({})", vm.name, vm.pid))
                    .collect();
                let there = match names.as_slice() {
                    [] => "there is none".into(),
                    _ => format!("there are {}", names.join(", ")),
                };
                Err(Error::Usage(format!("no VM is called {wanted:?}: {there}")))
            }
            _ => Err(Error::Usage(format!(
                "{wanted:?} fits several VMs: name one by its process"
            ))),
        }
    }

    /// The figures of a VM, or of all that there are and were.
    pub fn read(&self, vm: Option<&Vm>) -> Result<View> {
        let file = vm
            .map_or(self.root.join(KVM), |vm| vm.folder.clone())
            .join(RAW);
        let text = fs::read_to_string(&file).map_err(|error| match (vm, error.kind()) {
            (Some(vm), io::ErrorKind::NotFound) => {
                Error::Unstable(format!("VM {} ({}) has ended", vm.name, vm.pid))
            }
            _ => Error::system(format!("cannot read {}", file.display()), error),
        })?;
        let (kind, name) = match vm {
            Some(vm) => (Kind::Vm, vm.name.clone()),
            None => (Kind::Host, "host".into()),
        };
        parse(
            &text,
            &file.display().to_string(),
            View::new(kind, name, self.tsc_khz),
        )
    }
}

/// Reads the table; the columns are found by their headings.
pub fn parse(text: &str, file: &str, mut view: View) -> Result<View> {
    let mut lines = text.lines().enumerate();
    let head: Vec<&str> = lines
        .next()
        .map_or("", |(_, line)| line)
        .split('\t')
        .collect();
    let place = |name: &str| {
        let place = head.iter().position(|title| *title == name);
        place.ok_or_else(|| Error::input(file, 1, format!("there is no column {name:?}")))
    };
    let columns = [
        "reason", "exits", "cycles", "min", "max", "blocked", "user", "l2", "dropped",
    ];
    let places = columns.map(place);
    let buckets = place("buckets")?;
    for (number, line) in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let mut figures = [0u64; 9];
        for ((figure, place), column) in figures.iter_mut().zip(&places).zip(columns) {
            let place = place
                .as_ref()
                .map_err(|error| Error::input(file, 1, error.to_string()))?;
            let cell = cells.get(*place).copied().unwrap_or("");
            *figure = cell.parse().map_err(|_| {
                Error::input(
                    file,
                    number + 1,
                    format!("no number in column {column:?}: {cell:?}"),
                )
            })?;
        }
        let [reason, exits, cycles, min, max, blocked, userspace, nested, dropped] = figures;
        let reason = u32::try_from(reason)
            .map_err(|_| Error::input(file, number + 1, format!("no exit reason: {reason}")))?;
        let row = Row {
            exits,
            cycles,
            min,
            max,
            blocked,
            userspace,
            nested,
            dropped,
            histogram: histogram(cells.get(buckets).copied().unwrap_or("-")).ok_or_else(|| {
                Error::input(file, number + 1, "no histogram in column \"buckets\"")
            })?,
            ..Row::named(reason)
        };
        match reason {
            abi::TOTAL => view.total = row,
            abi::FAILED => view.failed_entries = exits,
            abi::EMULATED => view.emulated_entries = exits,
            abi::BEYOND if exits == 0 => (),
            _ => view.reasons.push(row),
        }
    }
    if view.total.histogram.is_empty() {
        view.add_up_histograms();
    }
    Ok(view)
}

/// `10:3,11:200`, or `-` for none.
fn histogram(text: &str) -> Option<Vec<Bucket>> {
    if text == "-" {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|bucket| {
            let (log2, exits) = bucket.split_once(':')?;
            let log2 = log2.parse().ok().filter(|log2| *log2 < abi::BUCKETS)?;
            Some(Bucket {
                log2,
                exits: exits.parse().ok()?,
            })
        })
        .collect()
}

/// The frequency of this machine's TSC: as the CPU tells it, or else measured.
pub fn tsc_khz(cpu: &(impl CpuidReader + ?Sized)) -> u32 {
    /// The leaf that tells how the TSC relates to the crystal clock.
    const TSC_LEAF: u32 = 0x15;
    if cpu.cpuid(0, 0).eax >= TSC_LEAF {
        let leaf = cpu.cpuid(TSC_LEAF, 0);
        let khz = u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax.max(1)) / 1000;
        if khz != 0 {
            return u32::try_from(khz).unwrap_or(0);
        }
    }
    let (start, before) = (Instant::now(), rdtsc());
    std::thread::sleep(Duration::from_millis(50));
    let (cycles, elapsed) = (rdtsc().wrapping_sub(before), start.elapsed());
    u32::try_from(u128::from(cycles) * 1_000_000 / elapsed.as_nanos().max(1)).unwrap_or(0)
}

fn rdtsc() -> u64 {
    #[allow(unused_unsafe)]
    // SAFETY: Every x86-64 CPU has the instruction, and it only reads a counter. Where
    // the kernel forbids it the program ends by a signal, and nothing is undefined.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}
