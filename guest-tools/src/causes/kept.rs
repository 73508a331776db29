// SPDX-License-Identifier: GPL-2.0
//! The causes that a host keeps for its VMs: since one began, or over a time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use exit_stats::reason::Vendor;

use super::model::{Cause, CauseKind, Causes, Source, FORMAT};
use crate::error::Error;
use crate::view::{KeptCause, Scope, View};

impl Causes {
    /// Each cause with its place, as a view has them; those with the most exits first.
    pub fn each(view: &View) -> Vec<Cause> {
        let kept = view.causes.iter().flatten();
        sorted(kept.map(|one| cause(view.vendor, one)).collect())
    }

    /// What made the exits of a view, which is of so many `seconds`; without a length, since
    /// the VM began. `None` if the view has no causes.
    pub fn of(view: &View, seconds: Option<f64>) -> Option<Self> {
        view.causes.as_ref()?;
        // The vCPUs' time is that of each, one after the other.
        let life = || Some(view.vcpu_seconds(None)? / view.vcpus.unwrap_or(1).max(1) as f64);
        let all = Self::each(view);
        let reasons = view.reasons.iter().map(|row| Cause {
            reason: Some(row.reason),
            cycles: Some(row.cycles),
            ..Cause::counted(CauseKind::Reason, None, row.exits)
        });
        let reasons = sorted(reasons.collect());
        let exits = reasons.iter().map(|cause| cause.exits).sum::<u64>();
        let sure = all.iter().map(|cause| cause.exits).sum();
        let keyed = all.iter().filter(|cause| cause.key.is_some());
        let causes = joined(keyed.map(|cause| Cause {
            rip: None,
            cpl: None,
            ..cause.clone()
        }));
        let placed = all.iter().filter(|cause| cause.rip.is_some());
        let places = joined(placed.map(|cause| Cause {
            kind: CauseKind::Reason,
            key: None,
            ..cause.clone()
        }));
        Some(Self {
            format: FORMAT.into(),
            source: Source::Kept,
            vm: (view.kind != Scope::Guest).then(|| view.vm.clone()),
            vendor: view.vendor,
            tsc_khz: view.tsc_khz,
            seconds: seconds.or_else(life).unwrap_or(0.0).max(1e-6),
            exits,
            reasons,
            causes,
            places,
            rest: exits.saturating_sub(sure),
            dropped: BTreeMap::new(),
            facts: BTreeMap::new(),
        })
    }
}

/// What is said of a view that has no causes, such as a saved one.
pub(super) fn none() -> Error {
    Error::NoStatistics(
        "what made the exits is not in these figures: it was not asked for (--causes) when they \
         were read"
            .into(),
    )
}

fn sorted(mut causes: Vec<Cause>) -> Vec<Cause> {
    causes.retain(|cause| cause.exits != 0);
    causes.sort_by_key(|cause| Reverse(cause.exits));
    causes
}

/// Adds up those that are now the same.
fn joined(causes: impl Iterator<Item = Cause>) -> Vec<Cause> {
    let mut sums = BTreeMap::new();
    for cause in causes {
        let same = (cause.kind, cause.reason, cause.key, cause.rip, cause.cpl);
        sums.entry(same)
            .and_modify(|sum: &mut Cause| {
                sum.exits += cause.exits;
                sum.error += cause.error;
                sum.cycles = sum.cycles.zip(cause.cycles).map(|(a, b)| a + b);
            })
            .or_insert(cause);
    }
    sorted(sums.into_values().collect())
}

/// What a cause is about, and how many exits it surely had.
fn cause(vendor: Vendor, kept: &KeptCause) -> Cause {
    let (kind, key) = match kept.key {
        Some(key) => kind(vendor, kept.reason, key),
        None => (CauseKind::Reason, None),
    };
    Cause {
        kind,
        reason: Some(kept.reason),
        key,
        rip: kept.rip,
        cpl: kept.rip.map(|_| if kept.cpl3 { 3 } else { 0 }),
        exits: kept.sure(),
        cycles: Some(kept.cycles),
        error: kept.error,
    }
}

/// What a key is, by the reason, and the key as it is shown.
fn kind(vendor: Vendor, reason: u32, key: u64) -> (CauseKind, Option<u64>) {
    const WRITTEN: u64 = 1 << 32;
    let port = if key & (1 << 24) == 0 {
        CauseKind::PortOut
    } else {
        CauseKind::PortIn
    };
    let kind = match (vendor, reason) {
        (Vendor::Vmx, 31 | 84) => CauseKind::MsrRead,
        (Vendor::Vmx, 32 | 85) => CauseKind::MsrWrite,
        (Vendor::Svm, 0x7c) if key & WRITTEN != 0 => CauseKind::MsrWrite,
        (Vendor::Svm, 0x7c) => CauseKind::MsrRead,
        (Vendor::Vmx, 30) | (Vendor::Svm, 0x7b) => port,
        (Vendor::Vmx, 48) | (Vendor::Svm, 0x400) => CauseKind::Page,
        (Vendor::Vmx, 44 | 49) => CauseKind::Mmio,
        (Vendor::Vmx, 10) | (Vendor::Svm, 0x72) => CauseKind::Cpuid,
        (Vendor::Vmx, 18) | (Vendor::Svm, 0x81) => CauseKind::Hypercall,
        (Vendor::Vmx, 28) | (Vendor::Svm, 0..=0x1f | 0x65) => CauseKind::ControlRegister,
        (Vendor::Vmx, 29) | (Vendor::Svm, 0x20..=0x3f) => CauseKind::DebugRegister,
        (Vendor::Vmx, 0) | (Vendor::Svm, 0x40..=0x5f) => CauseKind::Exception,
        (Vendor::Vmx, 56) | (Vendor::Svm, 0x402) => CauseKind::ApicWrite,
        _ => return (CauseKind::Reason, None),
    };
    let key = match kind {
        CauseKind::MsrRead | CauseKind::MsrWrite => key & !WRITTEN,
        // Bit 25 tells a string instruction.
        CauseKind::PortIn | CauseKind::PortOut => key & 0x1ff_ffff,
        _ => key,
    };
    (kind, Some(key))
}
