// SPDX-License-Identifier: GPL-2.0

//! Recording an exit, and accounting for all the time of a vCPU's life.
//!
//! At an exit C leaves behind what the hardware said, in four stores. When the exit has
//! been handled it is counted and timed here, whatever the handler did to the reason
//! meanwhile, and what follows is charged to it too:
//!
//! ```text
//! mark -- in the guest --> start -- being handled --> mark -- in the guest --> start
//!                                    scheduled out      scheduled out, blocked,
//!                                                       in userspace
//! ```
//!
//! What interrupts one of the two has an account of its own: when it is over, the
//! instants before it are moved on by as much. So the accounts always add up to the time
//! from the first entry to `mark`.
//!
//! Where clocks of CPUs disagree, or the clock is set back, a stretch would end before it
//! began. It is then charged to no account; the next exit finds that its instants are not
//! in order, is counted without a time, and its end is where time goes on.

#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::abi;
use crate::counters::{
    add, Row, Set, AWAY, BLOCKED, CYCLES, DROPPED, EXITS, GUEST, L2, ROWS, USER,
};
use crate::hist::{record, Hist, ENTRY};
use crate::vendor::DIRECT;

/// What the vCPU does, in bits 23:16 of a set's latest exit.
pub mod phase {
    /// It has not entered the guest yet.
    pub const NEW: u32 = 0;
    /// It is in the guest, or on the way there.
    pub const GUEST: u32 = 1 << 16;
    /// An exit is being handled. C sets this.
    pub const HANDLING: u32 = 2 << 16;
    /// It sleeps or polls.
    pub const BLOCKED: u32 = 3 << 16;
    /// `KVM_RUN` has returned.
    pub const USER: u32 = 4 << 16;
    /// Flag of an exit that is being handled: it was taken from a nested guest.
    pub const FROM_L2: u32 = 1 << 24;

    pub(super) const ALL: u32 = 0xff << 16;
}

/// A rarer event; see `exit_stats_event()` in the header.
pub mod event {
    /// The vCPU starts to sleep or to poll.
    pub const BLOCK_BEGIN: u32 = 0;
    /// It runs on.
    pub const BLOCK_END: u32 = 1;
    /// `KVM_RUN` returns because of the latest exit.
    pub const USER_BEGIN: u32 = 2;
    /// `KVM_RUN` returns for another reason, as a signal.
    pub const STOP_BEGIN: u32 = 3;
    /// `KVM_RUN` was called again, and what the VMM had to complete is completed.
    pub const USER_END: u32 = 4;
    /// The thread is scheduled out.
    pub const SCHED_OUT: u32 = 5;
    /// The thread is scheduled in.
    pub const SCHED_IN: u32 = 6;
    /// The guest is about to be entered.
    pub const BEFORE_ENTRY: u32 = 7;
    /// An entry failed before the guest ran.
    pub const ENTRY_FAILED: u32 = 8;
    /// An entry had to be emulated.
    pub const ENTRY_EMULATED: u32 = 9;
}

const LAST_ROW: u8 = ROWS as u8 - 1;

impl Set {
    /// Counts and times the latest exit: it has been handled.
    ///
    /// What is rare is apart, so that an exit from L1 does nothing for it: one comparison
    /// tells that an exit is being handled, from L1, and that its number is its slot.
    #[inline(always)]
    pub fn handled(&self, hist: Option<&Hist>, tsc: u64) {
        let latest = self.latest.load(Relaxed).wrapping_sub(phase::HANDLING);
        let row = match latest as usize {
            slot @ 0..DIRECT => self.map[slot].load(Relaxed),
            _ => 0,
        };
        match row {
            1..=LAST_ROW => self.count(hist, latest, row.into(), tsc),
            _ => self.handled_otherwise(hist, tsc),
        }
    }

    /// Counts that the latest exit has no time.
    #[cold]
    #[inline(never)]
    fn drop_timing(&self, row: usize) {
        if let Some(row) = self.rows.get(row) {
            add(&row[DROPPED], 1);
        }
    }

    /// Counts what is not from L1, or has no row yet, or none of its own.
    #[cold]
    #[inline(never)]
    fn handled_otherwise(&self, hist: Option<&Hist>, tsc: u64) {
        let latest = self.latest.load(Relaxed);
        if latest & phase::ALL != phase::HANDLING {
            return;
        }
        let number = latest & 0xffff;
        let row = self.row_of(number);
        self.count(hist, number, row, tsc);
        if let Some(row) = self.rows.get(row).filter(|_| latest & phase::FROM_L2 != 0) {
            add(&row[L2], 1);
        }
    }

    #[inline(always)]
    fn count(&self, hist: Option<&Hist>, number: u32, row: usize, tsc: u64) {
        self.latest.store(number | phase::GUEST, Relaxed);
        let Some(counters) = self.rows.get(row) else {
            return;
        };
        add(&counters[EXITS], 1);
        let (mark, start) = (self.mark.load(Relaxed), self.start.load(Relaxed));
        self.mark.store(tsc, Relaxed);
        let Some(guest) = start.checked_sub(mark) else {
            return self.drop_timing(row);
        };
        let cycles = tsc.wrapping_sub(start);
        if tsc <= start {
            return self.drop_timing(row);
        }
        add(&counters[CYCLES], cycles);
        add(&counters[GUEST], guest);
        if let Some(row) = hist.and_then(|hist| hist.rows.get(row)) {
            record(row, cycles);
        }
    }

    /// Records a rarer event.
    pub fn event(&self, hist: Option<&Hist>, event: u32, tsc: u64) {
        use event::*;
        use phase::{BLOCKED as ASLEEP, GUEST as IN_GUEST, HANDLING, NEW, USER as IN_USER};

        let latest = self.latest.load(Relaxed);
        let (number, phase) = (latest & 0xffff, latest & phase::ALL);
        let go_on = |number, phase| self.latest.store(number | phase, Relaxed);
        let pause = |number, phase| {
            self.since.store(tsc, Relaxed);
            go_on(number, phase);
        };
        // What comes after these is no exit's doing, so it is BEYOND's.
        match (event, phase) {
            (ENTRY_FAILED, _) => {
                add(&self.failed, 1);
                go_on(abi::BEYOND, phase);
            }
            (ENTRY_EMULATED, _) => {
                add(&self.emulated, 1);
                go_on(abi::BEYOND, phase);
            }
            (STOP_BEGIN, IN_GUEST) => pause(abi::BEYOND, IN_USER),
            (USER_BEGIN, IN_GUEST) => pause(number, IN_USER),
            (BLOCK_BEGIN, IN_GUEST) => pause(number, ASLEEP),
            (SCHED_OUT, IN_GUEST | HANDLING) => self.since.store(tsc, Relaxed),
            (SCHED_IN, IN_GUEST | HANDLING) => self.resume(number, AWAY, tsc),
            (BLOCK_END, ASLEEP) => {
                go_on(number, IN_GUEST);
                self.resume(number, BLOCKED, tsc);
            }
            (USER_END, IN_USER) => {
                go_on(number, IN_GUEST);
                self.resume(number, USER, tsc);
            }
            (BLOCK_END | USER_END | BEFORE_ENTRY, NEW) => {
                self.first.store(tsc, Relaxed);
                self.mark.store(tsc, Relaxed);
            }
            (BEFORE_ENTRY, IN_GUEST) => {
                let row = hist.and_then(|hist| hist.rows.get(self.row_of(number)));
                let stretch = tsc.checked_sub(self.mark.load(Relaxed));
                if let Some((row, stretch)) = row.zip(stretch) {
                    add(&row[ENTRY], stretch);
                    self.mark.store(tsc, Relaxed);
                }
            }
            _ => (),
        }
    }

    /// Ends what interrupted the phase, and charges it to an account of the latest exit.
    fn resume(&self, number: u32, account: usize, tsc: u64) {
        let since = self.since.load(Relaxed);
        self.since.store(0, Relaxed);
        let Some(stretch) = tsc.checked_sub(since).filter(|_| since != 0) else {
            return;
        };
        let row: Option<&Row> = self.rows.get(self.row_of(number));
        if let Some(account) = row.and_then(|row| row.get(account)) {
            add(account, stretch);
        }
        let move_on = |instant: &AtomicU64| {
            instant.store(instant.load(Relaxed).wrapping_add(stretch), Relaxed);
        };
        move_on(&self.start);
        move_on(&self.mark);
    }
}
