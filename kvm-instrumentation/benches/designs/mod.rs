// SPDX-License-Identifier: GPL-2.0
//! Ways to account for an exit, on this machine's CPU: ours as the kernel calls it, the
//! floor beneath all that time an exit, and what one would write otherwise.

mod buckets;
mod others;

use std::arch::x86_64::_rdtsc;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use exit_stats::abi;
use exit_stats::boundary::{exit_stats_event, exit_stats_handled};
use exit_stats::causes::{Cause, ENTRIES};
use exit_stats::clock::{event, Vcpu};
use exit_stats::counters::Set;
use exit_stats::hist::Hist;
use exit_stats::outside::Table;

/// The mix of reasons, of about what a guest that boots does: I/O, CPUID, interrupts,
/// HLT, WRMSR, EPT violations.
const REASONS: [u32; 8] = [30, 10, 30, 1, 12, 32, 30, 48];

/// Reads the clock. It orders nothing, like the kernel's.
fn clock() -> u64 {
    // SAFETY: Every x86-64 CPU has RDTSC, and no kernel forbids it here.
    unsafe { _rdtsc() }
}

/// A table that all threads write, with locked instructions.
#[derive(Debug)]
pub(crate) struct Shared {
    rows: Vec<[AtomicU64; 8]>,
}

impl Default for Shared {
    fn default() -> Self {
        let row = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            rows: (0..87).map(|_| row()).collect(),
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self {
            vcpu: Vcpu::default(),
            set: Box::default(),
            hist: Box::default(),
            causes: Box::new(Table::new(0x9e37_79b9_7f4a_7c15)),
            last: AtomicU64::default(),
            plain: others::Plain::default(),
            flat: Box::default(),
            narrow: Box::default(),
            lines: Box::default(),
            ring: buckets::Ring::default(),
            before: Default::default(),
        }
    }
}

/// What one thread records to.
pub(crate) struct Place {
    vcpu: Vcpu,
    set: Box<Set>,
    hist: Box<Hist>,
    causes: Box<Table<ENTRIES>>,
    last: AtomicU64,
    plain: others::Plain,
    flat: Box<buckets::Flat>,
    narrow: Box<buckets::Narrow>,
    lines: Box<buckets::Lines>,
    ring: buckets::Ring,
    /// The reason and the bucket of the exit before, for `deferred`.
    before: (u32, u32),
}

/// A design: accounts for so many exits.
pub(crate) type Run = fn(&mut Place, &Shared, u64);

/// The designs, the floor first.
pub(crate) const ALL: [(&str, Run); 20] = [
    ("floor", floor),
    ("ours", ours),
    ("histograms", histograms),
    ("entry", entry),
    ("causes", causes),
    ("churn", churn),
    ("shared", shared),
    ("adds", others::adds),
    ("jumps", others::jumps),
    ("branchless", others::branchless),
    ("flat", buckets::flat),
    ("narrow", buckets::narrow),
    ("lines", buckets::lines),
    ("word", buckets::word),
    ("deferred", buckets::deferred),
    ("ring", buckets::ring),
    ("inlined", buckets::inlined),
    ("chain", others::chain),
    ("loads", others::loads),
    ("apart", others::apart),
];

/// Calls what is called at an exit and when it has been handled, `exits` times.
#[inline(always)]
fn each(exits: u64, mut exit: impl FnMut(u32)) {
    for number in 0..exits {
        exit(black_box(REASONS[number as usize % REASONS.len()]));
    }
}

/// The clock read twice, and kept: what cannot be had for less.
#[inline(never)]
fn floor(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |_| {
        place.last.store(clock(), Relaxed);
        black_box(clock());
    });
}

/// What the kernel runs: C's latch, which is inline there, and a call of the boundary's
/// function.
#[inline(always)]
fn record(place: &mut Place, exits: u64) {
    let vcpu: *mut Vcpu = &mut place.vcpu;
    each(exits, |reason| {
        // SAFETY: The vCPU is valid, and its counters are.
        unsafe {
            (*vcpu).exit(reason, false, clock());
            exit_stats_handled(vcpu);
        }
    });
}

/// Ours without histograms.
#[inline(never)]
fn ours(place: &mut Place, _: &Shared, exits: u64) {
    place.vcpu.count_in(&place.set, None);
    record(place, exits);
}

/// Ours with histograms.
#[inline(never)]
fn histograms(place: &mut Place, _: &Shared, exits: u64) {
    place.vcpu.count_in(&place.set, Some(&place.hist));
    record(place, exits);
}

/// Ours with histograms and a third reading of the clock, at the entry.
#[inline(never)]
fn entry(place: &mut Place, _: &Shared, exits: u64) {
    place.vcpu.count_in(&place.set, Some(&place.hist));
    let vcpu: *mut Vcpu = &mut place.vcpu;
    each(exits, |reason| {
        // SAFETY: The vCPU is valid, and its counters are.
        unsafe {
            (*vcpu).exit(reason, false, clock());
            exit_stats_handled(vcpu);
            exit_stats_event(vcpu, event::BEFORE_ENTRY);
        }
    });
}

/// Ours with histograms and the causes, of which there are so many for each reason.
#[inline(always)]
fn record_causes(place: &mut Place, exits: u64, kinds: u64) {
    place.vcpu.count_in(&place.set, Some(&place.hist));
    place.set.keep_in(&place.causes);
    let vcpu: *mut Vcpu = &mut place.vcpu;
    let mut number = 0;
    each(exits, |reason| {
        number += 1;
        let kind = number / REASONS.len() as u64 % kinds;
        let cause = black_box(Cause {
            id: abi::CAUSE_HAS_KEY | abi::CAUSE_HAS_RIP,
            key: kind << 12,
            rip: 0xffff_ffff_8100_0000 + kind * 40,
        });
        // SAFETY: The vCPU is valid, and its counters and causes are.
        unsafe {
            (*vcpu).exit(reason, false, clock());
            (*vcpu).cause(cause);
            exit_stats_handled(vcpu);
        }
    });
}

/// Causes that all have an entry: 6 times 15.
#[inline(never)]
fn causes(place: &mut Place, _: &Shared, exits: u64) {
    record_causes(place, exits, 15);
}

/// Causes none of which has an entry when it comes, so that each takes over one.
#[inline(never)]
fn churn(place: &mut Place, _: &Shared, exits: u64) {
    record_causes(place, exits, 60);
}

/// Two atomic additions to a table of all threads: the course's method.
#[inline(never)]
fn shared(place: &mut Place, table: &Shared, exits: u64) {
    each(exits, |reason| {
        place.last.store(clock(), Relaxed);
        let row = &table.rows[reason as usize];
        row[0].fetch_add(1, Relaxed);
        row[1].fetch_add(clock().wrapping_sub(place.last.load(Relaxed)), Relaxed);
    });
}
