// SPDX-License-Identifier: GPL-2.0

//! What C does in the kernel, for programs that count by themselves.
//!
//! Not part of the kernel's object.

#![forbid(unsafe_code)]

use core::array::from_fn;

use crate::causes::{Cause, Causes, Entry, Head};
use crate::clock::{phase, Vcpu, CAUSED, FROM_L2};
use crate::counters::View;
use crate::counters::{Set, NONE};
use crate::hist::Hist;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicU8, Relaxed};
use crate::vendor::Vendor;

/// Counters that begin at 0.
fn zeros<const N: usize>() -> [AtomicU64; N] {
    from_fn(|_| AtomicU64::new(0))
}

impl Default for Set {
    fn default() -> Self {
        Self {
            hist: AtomicPtr::new(core::ptr::null_mut()),
            failed: AtomicU64::new(0),
            emulated: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            vendor: AtomicU8::new(0),
            used: AtomicU8::new(0),
            causes: AtomicPtr::new(core::ptr::null_mut()),
            reserved: [0; 30],
            map: from_fn(|_| AtomicU8::new(NONE)),
            rows: from_fn(|_| zeros()),
        }
    }
}

impl Default for Vcpu {
    fn default() -> Self {
        Self {
            start: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            since: AtomicU64::new(0),
            first: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            set: AtomicPtr::new(core::ptr::null_mut()),
            phase: AtomicU32::new(phase::NEW),
            reserved: 0,
            cause: zeros(),
        }
    }
}

impl Default for Hist {
    fn default() -> Self {
        Self {
            rows: from_fn(|_| zeros()),
        }
    }
}

/// A table of causes with room for so many.
#[derive(Debug)]
#[repr(C)]
pub struct Table<const N: usize> {
    head: Head,
    entries: [Entry; N],
}

impl<const N: usize> Table<N> {
    /// Returns an empty table whose hash has this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            head: Head {
                seeds: [seed | 1, seed.rotate_left(32) | 1],
                used: AtomicU64::new(0),
                missed: AtomicU64::new(0),
                fewest: AtomicU64::new(0),
                candidates: zeros(),
                capacity: AtomicU32::new(N as u32),
                reserved: 0,
                first: from_fn(|_| AtomicU8::new(0)),
            },
            entries: from_fn(|_| zeros()),
        }
    }

    /// Returns the table, to count and to read.
    pub fn causes(&self) -> Causes<'_> {
        Causes {
            head: &self.head,
            entries: &self.entries,
        }
    }
}

impl Causes<'_> {
    /// Returns what in no entry occurred at most so often.
    pub fn missed(self) -> u64 {
        self.head.missed.load(Relaxed)
    }
}

impl Vcpu {
    /// Latches a hardware exit, as `exit_stats_exit()` of the header does in C.
    pub fn exit(&self, reason: u32, l2: bool, tsc: u64) {
        self.start.store(tsc, Relaxed);
        let flag = if l2 { FROM_L2 } else { 0 };
        self.latest.store(u64::from(reason) | flag, Relaxed);
    }

    /// Says what made the exit just latched, as `exit_stats_cause()` of the header does.
    pub fn cause(&self, cause: Cause) {
        for (word, value) in self.cause.iter().zip([cause.id, cause.key, cause.rip]) {
            word.store(value, Relaxed);
        }
        let latest = self.latest.load(Relaxed);
        self.latest.store(latest | CAUSED, Relaxed);
    }

    /// Counts in this set, and with these histograms, which both outlive it.
    pub fn count_in(&self, set: &Set, hist: Option<&Hist>) {
        let null = core::ptr::null_mut;
        set.hist.store(
            hist.map_or_else(null, |hist| core::ptr::from_ref(hist).cast_mut()),
            Relaxed,
        );
        self.set.store(core::ptr::from_ref(set).cast_mut(), Relaxed);
    }

    /// Counts and times the latest exit: it has been handled. Call it once an exit.
    #[inline(always)]
    pub fn handled(&self, to: View<'_>, tsc: u64) {
        if !self.handled_as_usual(to, tsc) {
            self.handled_otherwise(to, tsc);
        }
    }

    /// Returns from when until when all time is accounted for.
    pub fn life(&self) -> (u64, u64) {
        (self.first.load(Relaxed), self.mark.load(Relaxed))
    }
}

impl Set {
    /// Keeps the causes in this table, which outlives it.
    pub fn keep_in<const N: usize>(&self, table: &Table<N>) {
        let head = core::ptr::from_ref(table).cast_mut();
        self.causes.store(head.cast(), Relaxed);
    }

    /// Says whose numbers these are, before anything is recorded.
    pub fn set_vendor(&self, vendor: Vendor) {
        self.vendor.store(vendor as u8, Relaxed);
    }
}
