// SPDX-License-Identifier: GPL-2.0
//! From ftrace's tables to causes.

use std::collections::BTreeMap;

use exit_stats::reason::Vendor;

use super::tables::{
    Table, EXCEPTIONS, HYPERCALLS, HYPERV, IOEVENTFDS, LEAVES, MMIO, MSRS, PAGES, PLACES, PORTS,
    REASONS, REGISTERS, SUBLEAVES, TABLES,
};
use crate::causes::model::{Cause, CauseKind, Causes, Source, FORMAT};
use crate::error::Result;
use crate::tracing::hist::{self, Hist};

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
        let vendor = if is_svm { Vendor::Svm } else { Vendor::Vmx };
        let number = |full| reason(vendor, full);
        let mut reasons = Sums::default();
        for (keys, exits) in self.entries(&REASONS) {
            reasons.add(CauseKind::Reason, Some(number(keys[1])), None, None, exits);
        }
        let mut places = Sums::default();
        for (keys, exits) in self.entries(&PLACES) {
            places.add(
                CauseKind::Reason,
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
            source: Source::Ftrace,
            vm: None,
            tsc_khz: 0,
            rest: 0,
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
                0 => (CauseKind::MsrRead, of(31, 0x7c)),
                _ => (CauseKind::MsrWrite, of(32, 0x7c)),
            };
            sums.add(kind, reason, Some(keys[1]), None, exits);
        }
        for (keys, exits) in self.entries(&PORTS) {
            let key = keys[1] & 0xffff | ((keys[2] & 0xff) << 16);
            let (kind, key) = match keys[0] {
                0 => (CauseKind::PortIn, key | (1 << 24)),
                _ => (CauseKind::PortOut, key),
            };
            sums.add(kind, of(30, 0x7b), Some(key), None, exits);
        }
        for (keys, exits) in self.entries(&MMIO) {
            let kind = match keys[0] {
                1 => CauseKind::MmioRead,
                _ => CauseKind::MmioWrite,
            };
            sums.add(kind, None, Some(keys[1]), None, exits);
        }
        for (keys, exits) in self.entries(&IOEVENTFDS) {
            sums.add(
                CauseKind::Ioeventfd,
                of(49, 0x400),
                Some(keys[0]),
                None,
                exits,
            );
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
                _ => match ((keys[1] >> 1) & 1, (keys[1] >> 4) & 1) {
                    (1, _) => 2,
                    (_, 1) => 4,
                    _ => 1,
                },
            };
            sums.add(
                CauseKind::Page,
                paging,
                Some(keys[0] & !0xfff | access),
                None,
                exits,
            );
        }
        for (keys, exits) in self.entries(&LEAVES) {
            sums.add(CauseKind::Cpuid, of(10, 0x72), Some(keys[0]), None, exits);
        }
        for (keys, exits) in self.entries(&SUBLEAVES) {
            let key = keys[0] | (keys[1] << 32);
            sums.add(CauseKind::Cpuid, of(10, 0x72), Some(key), None, exits);
        }
        for (keys, exits) in self.entries(&HYPERCALLS) {
            sums.add(
                CauseKind::Hypercall,
                of(18, 0x81),
                Some(keys[0]),
                None,
                exits,
            );
        }
        for (keys, exits) in self.entries(&HYPERV) {
            sums.add(
                CauseKind::HypervHypercall,
                of(18, 0x81),
                Some(keys[0]),
                None,
                exits,
            );
        }
        for (keys, exits) in self.entries(&REGISTERS) {
            let (kind, key) = match keys[0] & 0xffff {
                28 => (
                    CauseKind::ControlRegister,
                    keys[1] & 15 | (((keys[1] >> 4) & 3) << 8),
                ),
                29 => (
                    CauseKind::DebugRegister,
                    keys[1] & 7 | (((keys[1] >> 4) & 1) << 8),
                ),
                _ => (CauseKind::ApicWrite, keys[1] & 0xfff),
            };
            sums.add(kind, Some(reason(vendor, keys[0])), Some(key), None, exits);
        }
        for (keys, exits) in self.entries(&EXCEPTIONS) {
            sums.add(
                CauseKind::Exception,
                Some(0),
                Some(keys[1] & 0xff),
                None,
                exits,
            );
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
fn of_code(code: u32) -> Option<(CauseKind, u64)> {
    let register = u64::from(code & 15);
    Some(match code {
        0x00..=0x0f => (CauseKind::ControlRegister, register | (1 << 8)),
        0x10..=0x1f => (CauseKind::ControlRegister, register),
        0x20..=0x2f => (CauseKind::DebugRegister, register | (1 << 8)),
        0x30..=0x3f => (CauseKind::DebugRegister, register),
        0x40..=0x5f => (CauseKind::Exception, u64::from(code - 0x40)),
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

/// CauseKind, reason, key and RIP.
type Cause4 = (CauseKind, Option<u32>, Option<u64>, Option<u64>);

impl Sums {
    fn add(
        &mut self,
        kind: CauseKind,
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
