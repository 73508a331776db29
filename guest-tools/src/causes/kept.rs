// SPDX-License-Identifier: GPL-2.0
//! The causes that the host keeps for this guest: since the VM began, or over a time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;

use exit_stats::abi;
use exit_stats::reader::causes::Entry;
use exit_stats::reason::Vendor;

use super::model::{Cause, CauseKind, Causes, Source, FORMAT};
use crate::child::Events;
use crate::error::{status, Error, Result};
use crate::guest::causes::Snapshot;
use crate::guest::Guest;
use crate::processor::{Counted, Processor};
use crate::tracing::{wait, Until};

/// Reads what was counted until now, or what is counted while a command runs or for a time.
///
/// # Errors
///
/// Who runs this program instead; that the host keeps no causes.
pub(super) fn count(processor: &dyn Processor, until: Until<'_>) -> Result<(Causes, u8)> {
    let cpu = Counted::new(processor);
    let guest = Guest::open(&cpu, None, None)?;
    let before = guest.read_causes()?;
    if let Until::Time(None) = until {
        return Ok((since_the_beginning(&before), status::OK));
    }
    let events = Events::new()?;
    let start = Instant::now();
    let status = wait(&events, until)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = guest.read_causes()?;
    Ok((between(&before, &after, seconds)?, status))
}

/// All exits since the VM began: its vCPUs' time is that of each, one after the other.
fn since_the_beginning(snapshot: &Snapshot) -> Causes {
    let view = &snapshot.view;
    let total = &view.total;
    let cycles = [
        total.cycles,
        total.blocked,
        total.userspace,
        total.scheduled_out,
        total.entry,
        total.guest,
    ];
    let life = view.seconds(cycles.iter().sum()).unwrap_or(0.0);
    let seconds = life / view.vcpus.unwrap_or(1).max(1) as f64;
    let counts = view.reasons.iter().map(|row| (row.reason, row.exits));
    let causes = snapshot
        .entries
        .iter()
        .map(|entry| cause(view.vendor, entry));
    causes_of(
        view.vendor,
        seconds.max(1e-6),
        counts,
        &causes.collect::<Vec<_>>(),
    )
}

/// What came between two snapshots.
///
/// An entry's exits at a time are from exits less error to exits. One that was not there
/// before had, before, at most what it then took over, which is its error.
fn between(before: &Snapshot, after: &Snapshot, seconds: f64) -> Result<Causes> {
    let view = after.view.since(&before.view).ok_or_else(|| {
        Error::Unstable("the host's counters started anew meanwhile: begin again".into())
    })?;
    let known: BTreeMap<_, _> = before.entries.iter().map(|one| (one.cause, one)).collect();
    let added = |entry: &Entry| {
        let (least, most, cycles) = match known.get(&entry.cause) {
            Some(one) => (one.exits - one.error, one.exits, one.cycles),
            None => (0, entry.error, 0),
        };
        let exits = entry.exits - least.min(entry.exits);
        let sure = (entry.exits - entry.error).saturating_sub(most);
        Entry {
            cause: entry.cause,
            exits,
            // One that was taken over meanwhile began anew.
            cycles: entry.cycles.checked_sub(cycles).unwrap_or(entry.cycles),
            error: exits - sure.min(exits),
        }
    };
    let entries = after
        .entries
        .iter()
        .map(added)
        .filter(|entry| entry.exits != 0);
    let causes: Vec<_> = entries.map(|entry| cause(view.vendor, &entry)).collect();
    let counts = view.reasons.iter().map(|row| (row.reason, row.exits));
    Ok(causes_of(view.vendor, seconds, counts, &causes))
}

fn causes_of(
    vendor: Vendor,
    seconds: f64,
    counts: impl Iterator<Item = (u32, u64)>,
    all: &[Cause],
) -> Causes {
    let reasons = counts.filter(|(_, exits)| *exits != 0);
    let reasons = reasons.map(|(reason, exits)| Cause {
        reason: Some(reason),
        ..Cause::counted(CauseKind::Reason, None, exits)
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
    Causes {
        format: FORMAT.into(),
        source: Source::Leaf,
        vendor,
        seconds,
        exits,
        reasons,
        causes,
        places,
        rest: exits.saturating_sub(sure),
        dropped: BTreeMap::new(),
        facts: BTreeMap::new(),
    }
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

/// What an entry is about, and how many exits it surely had.
fn cause(vendor: Vendor, entry: &Entry) -> Cause {
    let reason = entry.cause.id as u32;
    let has = |flag| entry.cause.id & flag != 0;
    let (kind, key) = if has(abi::CAUSE_HAS_KEY) {
        kind(vendor, reason, entry.cause.key)
    } else {
        (CauseKind::Reason, None)
    };
    let rip = has(abi::CAUSE_HAS_RIP).then_some(entry.cause.rip);
    Cause {
        kind,
        reason: Some(reason),
        key,
        rip,
        cpl: rip.map(|_| if has(abi::CAUSE_CPL3) { 3 } else { 0 }),
        exits: entry.exits - entry.error.min(entry.exits),
        cycles: Some(entry.cycles),
        error: entry.error,
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
