// SPDX-License-Identifier: GPL-2.0
//! KVM's trace events, counted by ftrace's hist triggers: an unmodified kernel tells the
//! causes of exits so, of Intel's and of AMD's processors.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use exit_stats::reason::Vendor;

use super::hist::{self, Hist};
use super::instance::Instance;
use super::What;
use crate::causes::model::{Cause, Causes, Kind, FORMAT};
use crate::error::{Error, Result};

/// What one trigger counts.
struct Table {
    event: &'static str,
    /// Fields with their modifiers.
    keys: &'static str,
    /// How many entries it has room for; ftrace allows 131,072.
    size: u32,
    filter: &'static str,
    /// For messages.
    what: &'static str,
}

const fn table(
    event: &'static str,
    keys: &'static str,
    size: u32,
    filter: &'static str,
    what: &'static str,
) -> Table {
    Table {
        event,
        keys,
        size,
        filter,
        what,
    }
}

// `kvm_exit` says by `isa` whose reasons it tells: 1 is VMX, 2 is SVM.
static REASONS: Table = table("kvm_exit", "isa,exit_reason", 1024, "", "exit reasons");
static PLACES: Table = table(
    "kvm_exit",
    "isa,exit_reason,guest_rip",
    16384,
    "",
    "places in the guest's code",
);
/// VMX's exit qualification tells the register (SDM volume 3, section 29.2.1).
static REGISTERS: Table = table(
    "kvm_exit",
    "exit_reason,info1",
    4096,
    "isa == 1 && (exit_reason == 28 || exit_reason == 29 || exit_reason == 56)",
    "control, debug and APIC registers",
);
static EXCEPTIONS: Table = table(
    "kvm_exit",
    "exit_reason,intr_info",
    1024,
    "isa == 1 && exit_reason == 0",
    "exceptions",
);
static MSRS: Table = table("kvm_msr", "write,ecx", 4096, "", "MSRs");
static PORTS: Table = table("kvm_pio", "rw,port,size", 4096, "", "ports");
/// Type 0 says that userspace has to answer a read; type 1 follows with the answer.
static MMIO: Table = table("kvm_mmio", "type,gpa", 4096, "type != 0", "MMIO addresses");
static IOEVENTFDS: Table = table("kvm_fast_mmio", "gpa", 1024, "", "addresses of ioeventfds");
static PAGES: Table = table(
    "kvm_page_fault",
    "fault_address.buckets=4096,error_code",
    65536,
    "",
    "pages",
);
/// ECX of the other leaves is whatever the guest had in it.
static LEAVES: Table = table("kvm_cpuid", "function", 1024, NO_SUBLEAVES, "CPUID leaves");
static SUBLEAVES: Table = table(
    "kvm_cpuid",
    "function,index",
    4096,
    WITH_SUBLEAVES,
    "CPUID subleaves",
);
static HYPERCALLS: Table = table("kvm_hypercall", "nr", 1024, "", "hypercalls");
static HYPERV: Table = table("kvm_hv_hypercall", "code", 1024, "", "Hyper-V hypercalls");

// SDM volume 2, CPUID; APM volume 3, appendix E.
const WITH_SUBLEAVES: &str = "function == 4 || function == 7 || function == 11 || \
    (function >= 13 && function <= 20) || (function >= 23 && function <= 36) || \
    function == 2147483677 || function == 2147483680 || function == 2147483686";
const NO_SUBLEAVES: &str = "function < 4 || function == 5 || function == 6 || \
    (function >= 8 && function <= 10) || function == 12 || function == 21 || function == 22 || \
    (function > 36 && function != 2147483677 && function != 2147483680 && \
    function != 2147483686)";

/// In the order in which they begin. They end the other way round, so that the exits by
/// reason, which are first, miss nothing that another table has.
static TABLES: [&Table; 13] = [
    &REASONS,
    &PLACES,
    &REGISTERS,
    &EXCEPTIONS,
    &MSRS,
    &PORTS,
    &MMIO,
    &IOEVENTFDS,
    &PAGES,
    &LEAVES,
    &SUBLEAVES,
    &HYPERCALLS,
    &HYPERV,
];

impl Table {
    fn trigger(&self, then: &str) -> String {
        let filter = match self.filter {
            "" => String::new(),
            filter => format!(" if {filter}"),
        };
        format!("hist:keys={}:size={}{then}{filter}", self.keys, self.size)
    }

    fn is(&self, hist: &Hist) -> bool {
        let names = self.keys.split(',').map(|key| key.split('.').next());
        names.eq(hist.keys.iter().map(|key| Some(key.as_str())))
    }
}

/// Begins to count.
///
/// # Errors
///
/// The system's, with what the kernel says of the trigger.
pub fn begin(instance: &Instance, what: What) -> Result<()> {
    tables(instance, what).try_for_each(|table| instance.trigger(table.event, &table.trigger("")))
}

/// Ends it.
///
/// # Errors
///
/// As of [`begin`].
pub fn end(instance: &Instance, what: What) -> Result<()> {
    let tables: Vec<&Table> = tables(instance, what).collect();
    tables
        .into_iter()
        .rev()
        .try_for_each(|table| instance.trigger(table.event, &table.trigger(":pause")))
}

/// The tables whose events this kernel has.
fn tables(instance: &Instance, what: What) -> impl Iterator<Item = &'static Table> + '_ {
    let wanted = match what {
        What::Reasons => 1,
        What::Causes => TABLES.len(),
    };
    // Without this one there is nothing to show, so that it has to fail.
    let there = |table: &&Table| {
        let folder = instance.file(&format!("events/kvm/{}", table.event));
        table.event == REASONS.event || folder.exists()
    };
    TABLES.into_iter().take(wanted).filter(there)
}

/// Reads what was counted in that time.
///
/// # Errors
///
/// A file that cannot be read, or that is not understood.
pub fn read(instance: &Instance, seconds: f64, root: &Path) -> Result<Causes> {
    let mut texts = BTreeMap::new();
    for table in tables(instance, What::Causes) {
        if texts.contains_key(table.event) {
            continue;
        }
        let path = instance.file(&format!("events/kvm/{}/hist", table.event));
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::system(format!("cannot read {}", path.display()), error))?;
        texts.insert(table.event, (path.display().to_string(), text));
    }
    let texts = texts
        .iter()
        .map(|(event, (path, text))| (*event, path.as_str(), text.as_str()));
    let mut causes = of_hists(texts, seconds)?;
    causes.facts = facts(root);
    Ok(causes)
}

/// Makes causes of the `hist` files of events, each with its name.
///
/// # Errors
///
/// What is not understood.
pub fn of_hists<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    seconds: f64,
) -> Result<Causes> {
    let mut found = Found::default();
    for (event, path, text) in texts {
        for hist in hist::parse(text, path)? {
            let ours = |table: &&&Table| table.event == event && table.is(&hist);
            if let Some(table) = TABLES.iter().find(ours) {
                if hist.dropped != 0 {
                    found.dropped.insert(table.what.into(), hist.dropped);
                }
                found.hists.push((table, hist));
            }
        }
    }
    Ok(found.causes(seconds))
}

#[derive(Default)]
struct Found {
    hists: Vec<(&'static Table, Hist)>,
    dropped: BTreeMap<String, u64>,
}

impl Found {
    fn entries<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (&'a [u64], u64)> {
        let of_table = move |(one, _): &&(&Table, Hist)| std::ptr::eq::<Table>(*one, table);
        let hists = self.hists.iter().filter(of_table);
        hists.flat_map(|(_, hist)| hist.entries.iter().map(|(keys, exits)| (&keys[..], *exits)))
    }

    fn causes(self, seconds: f64) -> Causes {
        let is_svm = self.entries(&REASONS).any(|(keys, _)| keys[0] == 2);
        let vendor = match is_svm {
            true => Vendor::Svm,
            false => Vendor::Vmx,
        };
        let number = |full| reason(vendor, full);
        let mut reasons = Sums::default();
        for (keys, exits) in self.entries(&REASONS) {
            reasons.add(Kind::Reason, Some(number(keys[1])), None, None, exits);
        }
        let mut places = Sums::default();
        for (keys, exits) in self.entries(&PLACES) {
            places.add(
                Kind::Reason,
                Some(number(keys[1])),
                None,
                Some(keys[2]),
                exits,
            );
        }
        let reasons = reasons.sorted();
        let causes = self.by_key(vendor, &reasons);
        Causes {
            format: FORMAT.into(),
            vendor,
            seconds,
            exits: reasons.iter().map(|cause| cause.exits).sum(),
            causes,
            places: places.sorted(),
            reasons,
            dropped: self.dropped,
            facts: BTreeMap::new(),
        }
    }

    fn by_key(&self, vendor: Vendor, reasons: &[Cause]) -> Vec<Cause> {
        let is_vmx = vendor == Vendor::Vmx;
        // A reason of VMX, or of SVM.
        let of = |vmx: u32, svm: u32| Some(if is_vmx { vmx } else { svm });
        let mut sums = Sums::default();
        for (keys, exits) in self.entries(&MSRS) {
            let (kind, reason) = match keys[0] {
                0 => (Kind::MsrRead, of(31, 0x7c)),
                _ => (Kind::MsrWrite, of(32, 0x7c)),
            };
            sums.add(kind, reason, Some(keys[1]), None, exits);
        }
        for (keys, exits) in self.entries(&PORTS) {
            let key = keys[1] & 0xffff | (keys[2] & 0xff) << 16;
            let (kind, key) = match keys[0] {
                0 => (Kind::PortIn, key | 1 << 24),
                _ => (Kind::PortOut, key),
            };
            sums.add(kind, of(30, 0x7b), Some(key), None, exits);
        }
        for (keys, exits) in self.entries(&MMIO) {
            let kind = match keys[0] {
                1 => Kind::MmioRead,
                _ => Kind::MmioWrite,
            };
            sums.add(kind, None, Some(keys[1]), None, exits);
        }
        for (keys, exits) in self.entries(&IOEVENTFDS) {
            sums.add(Kind::Ioeventfd, of(49, 0x400), Some(keys[0]), None, exits);
        }
        // EPT or nested paging is on if it made exits; otherwise the faults are the guest's own.
        let of_paging = |cause: &&Cause| cause.reason == of(48, 0x400);
        let paging = reasons
            .iter()
            .find(of_paging)
            .and_then(|cause| cause.reason);
        for (keys, exits) in self.entries(&PAGES) {
            let access = match (is_vmx, paging) {
                // The exit qualification.
                (true, Some(_)) => keys[1] & 7,
                // The error code of a page fault: bit 1 is a write, bit 4 a fetch.
                _ => match (keys[1] >> 1 & 1, keys[1] >> 4 & 1) {
                    (1, _) => 2,
                    (_, 1) => 4,
                    _ => 1,
                },
            };
            sums.add(
                Kind::Page,
                paging,
                Some(keys[0] & !0xfff | access),
                None,
                exits,
            );
        }
        for (keys, exits) in self.entries(&LEAVES) {
            sums.add(Kind::Cpuid, of(10, 0x72), Some(keys[0]), None, exits);
        }
        for (keys, exits) in self.entries(&SUBLEAVES) {
            let key = keys[0] | keys[1] << 32;
            sums.add(Kind::Cpuid, of(10, 0x72), Some(key), None, exits);
        }
        for (keys, exits) in self.entries(&HYPERCALLS) {
            sums.add(Kind::Hypercall, of(18, 0x81), Some(keys[0]), None, exits);
        }
        for (keys, exits) in self.entries(&HYPERV) {
            sums.add(
                Kind::HypervHypercall,
                of(18, 0x81),
                Some(keys[0]),
                None,
                exits,
            );
        }
        for (keys, exits) in self.entries(&REGISTERS) {
            let (kind, key) = match keys[0] & 0xffff {
                28 => (
                    Kind::ControlRegister,
                    keys[1] & 15 | (keys[1] >> 4 & 3) << 8,
                ),
                29 => (Kind::DebugRegister, keys[1] & 7 | (keys[1] >> 4 & 1) << 8),
                _ => (Kind::ApicWrite, keys[1] & 0xfff),
            };
            sums.add(kind, Some(reason(vendor, keys[0])), Some(key), None, exits);
        }
        for (keys, exits) in self.entries(&EXCEPTIONS) {
            sums.add(Kind::Exception, Some(0), Some(keys[1] & 0xff), None, exits);
        }
        if !is_vmx {
            // SVM's exit codes tell these themselves.
            for cause in reasons {
                if let Some((kind, key)) = cause.reason.and_then(of_code) {
                    sums.add(kind, cause.reason, Some(key), None, cause.exits);
                }
            }
        }
        sums.sorted()
    }
}

/// What an exit code of SVM is about (APM volume 2, appendix C).
fn of_code(code: u32) -> Option<(Kind, u64)> {
    let register = u64::from(code & 15);
    Some(match code {
        0x00..=0x0f => (Kind::ControlRegister, register | 1 << 8),
        0x10..=0x1f => (Kind::ControlRegister, register),
        0x20..=0x2f => (Kind::DebugRegister, register | 1 << 8),
        0x30..=0x3f => (Kind::DebugRegister, register),
        0x40..=0x5f => (Kind::Exception, u64::from(code - 0x40)),
        _ => return None,
    })
}

/// The number of a reason. VMX's upper bits are flags; SVM's negative codes are from 0xfff0 on,
/// as in [`exit_stats::svm`].
fn reason(vendor: Vendor, full: u64) -> u32 {
    match (vendor, full as u32 as i32) {
        (Vendor::Svm, -1) => 0xfff2,
        (Vendor::Svm, -2) => 0xfff0,
        (Vendor::Svm, -3) => 0xfff1,
        _ => full as u32 & 0xffff,
    }
}

/// Exits of the same cause, added up.
#[derive(Default)]
struct Sums(BTreeMap<Cause4, u64>);

/// Kind, reason, key and RIP.
type Cause4 = (Kind, Option<u32>, Option<u64>, Option<u64>);

impl Sums {
    fn add(
        &mut self,
        kind: Kind,
        reason: Option<u32>,
        key: Option<u64>,
        rip: Option<u64>,
        exits: u64,
    ) {
        let sum = self.0.entry((kind, reason, key, rip)).or_default();
        *sum = sum.saturating_add(exits);
    }

    /// The most frequent cause first.
    fn sorted(self) -> Vec<Cause> {
        let cause = |((kind, reason, key, rip), exits)| Cause {
            reason,
            rip,
            ..Cause::counted(kind, key, exits)
        };
        let mut causes: Vec<Cause> = self.0.into_iter().map(cause).collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.exits));
        causes
    }
}

/// Parameters of KVM's modules.
fn facts(root: &Path) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for module in ["kvm", "kvm_intel", "kvm_amd"] {
        let folder = root.join("sys/module").join(module).join("parameters");
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Ok(value) = fs::read_to_string(entry.path()) {
                let name = format!("{module}.{}", entry.file_name().to_string_lossy());
                facts.insert(name, value.trim().into());
            }
        }
    }
    facts
}
