// SPDX-License-Identifier: GPL-2.0

//! What C does in the kernel, for programs that count by themselves.
//!
//! Not part of the kernel's object.

#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicU8, Ordering::Relaxed};

use crate::clock::{phase, Vcpu, FROM_L2};
use crate::counters::{Set, NONE, ROWS, SLOTS, WORDS};
use crate::hist::{self, Hist};
use crate::vendor::Vendor;

impl Default for Set {
    fn default() -> Self {
        Self {
            hist: AtomicPtr::new(core::ptr::null_mut()),
            failed: AtomicU64::new(0),
            emulated: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            vendor: AtomicU8::new(0),
            used: AtomicU8::new(0),
            reserved: [0; 38],
            map: [const { AtomicU8::new(NONE) }; SLOTS],
            rows: [const { [const { AtomicU64::new(0) }; WORDS] }; ROWS],
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
        }
    }
}

impl Default for Hist {
    fn default() -> Self {
        Self {
            rows: [const { [const { AtomicU64::new(0) }; hist::WORDS] }; ROWS],
        }
    }
}

impl Vcpu {
    /// Latches a hardware exit, as `exit_stats_exit()` of the header does in C.
    pub fn exit(&self, reason: u32, l2: bool, tsc: u64) {
        self.start.store(tsc, Relaxed);
        let flag = if l2 { FROM_L2 } else { 0 };
        self.latest.store(u64::from(reason) | flag, Relaxed);
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

    /// Returns from when until when all time is accounted for.
    pub fn life(&self) -> (u64, u64) {
        (self.first.load(Relaxed), self.mark.load(Relaxed))
    }
}

impl Set {
    /// Says whose numbers these are, before anything is recorded.
    pub fn set_vendor(&self, vendor: Vendor) {
        self.vendor.store(vendor as u8, Relaxed);
    }
}
