// SPDX-License-Identifier: GPL-2.0
//! The host's side: KVM's own figures of its VMs, from debugfs.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use exit_stats::abi;
use exit_stats::reader::CpuidReader;
use exit_stats::reason::Vendor;

use crate::error::{Error, Result};
use crate::text::harmless;
use crate::tsc;
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
    /// Frequency of the clock of all cycles, where the kernel's table does not tell it.
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
                tsc_khz: tsc::by_cpuid(cpu),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let kvm = root.join(KVM);
                let why = if root.join(KVM).exists() {
                    "KVM is loaded, but it has not the exit statistics built in"
                } else if root.join("sys/kernel/debug/bdi").exists() {
                    "KVM is not loaded"
                } else {
                    "debugfs is not mounted on /sys/kernel/debug, or KVM is not loaded"
                };
                Err(Error::NoStatistics(format!(
                    "no exit statistics on this host: there is no {}.\n{why}.",
                    kvm.join(RAW).display()
                )))
            }
            Err(error) => Err(Error::system(
                format!("cannot look at {}: only root may", root.join(KVM).display()),
                error,
            )),
        }
    }

    /// All VMs, by the number of their process.
    pub fn vms(&self) -> Result<Vec<Vm>> {
        let folder = self.root.join(KVM);
        let what = format!("cannot list {}", folder.display());
        let entries = fs::read_dir(&folder).map_err(|error| Error::system(what, error))?;
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
            return harmless(guest.or(name.split(',').next()).unwrap_or(name));
        }
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        match name.trim() {
            "" => pid.to_string(),
            name => format!("{}-{pid}", harmless(name)),
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

/// Reads the table; the columns are found by their headings. What is of the whole table
/// is in lines of a word and a number.
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
        "reason", "exits", "cycles", "min", "max", "blocked", "user", "l2", "dropped", "away",
        "entry", "guest",
    ];
    let places = columns.map(place);
    let (symbols, buckets) = (place("symbol")?, place("buckets")?);
    let mut whole = false;
    for (number, line) in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        if let [word, value] = cells[..] {
            let problem = || Error::input(file, number + 1, format!("no number: {value:?}"));
            match word {
                "tsc_khz" => view.tsc_khz = value.parse().map_err(|_| problem())?,
                "monotonic_ns" => {
                    view.monotonic_ns = Some(value.parse().map_err(|_| problem())?);
                }
                // Of a newer kernel.
                _ => (),
            }
            continue;
        }
        let mut figures = [0u64; 12];
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
        let [reason, exits, cycles, min, max, blocked, userspace, nested, dropped, scheduled_out, entry, guest] =
            figures;
        let reason = u32::try_from(reason)
            .map_err(|_| Error::input(file, number + 1, format!("no exit reason: {reason}")))?;
        if view.reasons.is_empty() {
            view.vendor = vendor_of(reason, cells.get(symbols).copied().unwrap_or(""));
        }
        let row = Row {
            exits,
            cycles,
            min,
            max,
            blocked,
            userspace,
            scheduled_out,
            entry,
            guest,
            nested,
            dropped,
            histogram: histogram(cells.get(buckets).copied().unwrap_or("-")).ok_or_else(|| {
                Error::input(file, number + 1, "no histogram in column \"buckets\"")
            })?,
            ..Row::named(view.vendor, reason)
        };
        match reason {
            abi::TOTAL => {
                view.total = row;
                whole = true;
            }
            abi::FAILED => view.failed_entries = exits,
            abi::EMULATED => view.emulated_entries = exits,
            abi::BEYOND if exits == 0 => (),
            _ => view.reasons.push(row),
        }
    }
    // The total is in the last line.
    if !whole || !text.ends_with('\n') {
        let problem = format!(
            "the table is cut off: line {} is not the whole of the total's",
            text.lines().count()
        );
        return Err(Error::input(file, 0, problem));
    }
    view.check()
        .map_err(|problem| Error::input(file, 0, problem))?;
    if view.total.histogram.is_empty() {
        view.add_up_histograms();
    }
    Ok(view)
}

/// Whose reason of this number the table calls so.
fn vendor_of(reason: u32, symbol: &str) -> Vendor {
    let called = |vendor: &Vendor| {
        let own = vendor.symbol(reason).map(CStr::to_bytes);
        own == Some(symbol.as_bytes())
    };
    let vendors = [Vendor::Vmx, Vendor::Svm];
    vendors.into_iter().find(called).unwrap_or_default()
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
