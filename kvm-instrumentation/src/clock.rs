// SPDX-License-Identifier: GPL-2.0

//! Recording an exit, and accounting for all the time of a vCPU's life.
//!
//! At an exit C leaves behind what the hardware said, in two stores. When the exit has
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

use crate::abi;
use crate::causes::Cause;
use crate::counters::{
    add, Row, Set, View, AWAY, BEYOND, BLOCKED, CYCLES, DROPPED, EXITS, GUEST, L2, USER,
};
use crate::hist::{record, ENTRY};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Relaxed};
use crate::vendor::DIRECT;

/// What a vCPU does; valid when zeroed.
///
/// It lies in KVM's own structure of the vCPU, so that the exit path needs no pointer to
/// it. Its methods are for the one thread that holds the vCPU.
#[derive(Debug)]
#[repr(C)]
pub struct Vcpu {
    /// When the latest exit happened. C writes it, and `latest`.
    pub(crate) start: AtomicU64,
    /// Until when all time is accounted for.
    pub(crate) mark: AtomicU64,
    /// When what interrupts the phase began; 0 if nothing does.
    pub(crate) since: AtomicU64,
    /// When the guest was first entered.
    pub(crate) first: AtomicU64,
    /// The number of the latest exit in bits 15:0, and flags. Bits 31:16 are of VMX: bus
    /// lock, enclave mode, failed entry.
    pub(crate) latest: AtomicU64,
    /// The counters, or null.
    pub(crate) set: AtomicPtr<Set>,
    /// One of [`phase`].
    pub(crate) phase: AtomicU32,
    pub(crate) reserved: u32,
    /// What made the latest exit, if its flag says so: flags, key and address. C writes it.
    pub(crate) cause: [AtomicU64; 3],
}

/// What a vCPU does.
pub mod phase {
    /// It has not entered the guest yet.
    pub const NEW: u32 = 0;
    /// It is in the guest, or an exit is being handled.
    pub const RUNNING: u32 = 1;
    /// It sleeps or polls.
    pub const BLOCKED: u32 = 2;
    /// `KVM_RUN` has returned.
    pub const USER: u32 = 3;
}

/// Flag of the latest exit: it was taken from a nested guest.
pub const FROM_L2: u64 = 1 << 32;
/// Flag of the latest exit: what made it is known.
pub const CAUSED: u64 = 1 << 62;
/// Flag of the latest exit: it has been handled, or there was none.
pub const OVER: u64 = 1 << 63;

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

impl Vcpu {
    /// Counts and times the latest exit, if it is a usual one: it has been handled.
    ///
    /// One comparison tells that there was an exit, from L1, whose cause is not kept, and
    /// that its number is its slot. Returns whether it was one; if not, nothing was done,
    /// and it is for [`Vcpu::handled_otherwise`].
    #[inline(always)]
    pub fn handled_as_usual(&self, to: View<'_>, tsc: u64) -> bool {
        if let slot @ 0..DIRECT = self.latest.load(Relaxed) as usize {
            let row = usize::from(to.set.map[slot].load(Relaxed));
            if row < BEYOND {
                self.count(to, row, tsc);
                return true;
            }
        }
        false
    }

    /// Counts and times any other exit, and its cause if that is kept.
    #[inline(always)]
    pub fn handled_otherwise(&self, to: View<'_>, tsc: u64) {
        let latest = self.latest.load(Relaxed);
        if latest & OVER != 0 {
            return;
        }
        let row = to.set.row_of(latest as u32 & 0xffff);
        let cycles = self.count(to, row, tsc);
        let from_l2 = latest & FROM_L2 != 0;
        if let Some(row) = to.set.rows.get(row).filter(|_| from_l2) {
            add(&row[L2], 1);
        }
        if let Some(causes) = to.causes.filter(|_| latest & CAUSED != 0) {
            let [flags, key, rip] = &self.cause;
            let level = if from_l2 { abi::CAUSE_L2 } else { 0 };
            let cause = Cause {
                id: (latest & 0xffff) | flags.load(Relaxed) | level,
                key: key.load(Relaxed),
                rip: rip.load(Relaxed),
            };
            causes.count(cause, cycles);
        }
    }

    /// Counts any exit, and returns its cycles; 0 if it has no time.
    #[inline(always)]
    fn count(&self, to: View<'_>, row: usize, tsc: u64) -> u64 {
        let (start, mark) = (self.start.load(Relaxed), self.mark.load(Relaxed));
        self.mark.store(tsc, Relaxed);
        let (guest, cycles) = (start.wrapping_sub(mark), tsc.wrapping_sub(start));
        // One that is negative, or no cycles, makes this so, too.
        if ((guest | cycles.wrapping_sub(1)) as i64) < 0 {
            return count_untimed(to.set, row);
        }
        let Some(counters) = to.set.rows.get(row) else {
            return 0;
        };
        add(&counters[EXITS], 1);
        add(&counters[CYCLES], cycles);
        add(&counters[GUEST], guest);
        if let Some(row) = to.hist.and_then(|hist| hist.rows.get(row)) {
            record(row, cycles);
        }
        cycles
    }

    /// Records a rarer event.
    pub fn event(&self, to: View<'_>, event: u32, tsc: u64) {
        use event::*;
        use phase::{BLOCKED as ASLEEP, NEW, RUNNING, USER as IN_USER};

        // Life begins with the last call of KVM_RUN before the first exit.
        let begun = self.start.load(Relaxed) != 0;
        let phase = if begun { self.phase.load(Relaxed) } else { NEW };
        let pause = |phase| {
            self.since.store(tsc, Relaxed);
            self.phase.store(phase, Relaxed);
        };
        // What comes after this is no exit's doing, so it is BEYOND's.
        let none = || self.latest.store(u64::from(abi::BEYOND) | OVER, Relaxed);
        match (event, phase) {
            (ENTRY_FAILED | ENTRY_EMULATED, _) => {
                let entries = [&to.set.failed, &to.set.emulated];
                add(entries[usize::from(event == ENTRY_EMULATED)], 1);
                none();
            }
            (STOP_BEGIN, RUNNING) => {
                none();
                pause(IN_USER);
            }
            (USER_BEGIN, RUNNING) => pause(IN_USER),
            (BLOCK_BEGIN, RUNNING) => pause(ASLEEP),
            (SCHED_OUT, RUNNING) => self.since.store(tsc, Relaxed),
            (SCHED_IN, RUNNING) => self.resume(to.set, AWAY, tsc),
            (BLOCK_END, ASLEEP) => self.resume(to.set, BLOCKED, tsc),
            (USER_END, IN_USER) => self.resume(to.set, USER, tsc),
            (BLOCK_END | USER_END | BEFORE_ENTRY, NEW) => {
                none();
                self.phase.store(RUNNING, Relaxed);
                self.first.store(tsc, Relaxed);
                self.mark.store(tsc, Relaxed);
            }
            (BEFORE_ENTRY, RUNNING) => {
                let row = to.hist.and_then(|hist| hist.rows.get(self.row(to.set)));
                let stretch = tsc.checked_sub(self.mark.load(Relaxed));
                if let Some((row, stretch)) = row.zip(stretch) {
                    add(&row[ENTRY], stretch);
                    self.mark.store(tsc, Relaxed);
                }
            }
            _ => (),
        }
    }

    /// Returns the row of the latest exit.
    fn row(&self, set: &Set) -> usize {
        set.row_of(self.latest.load(Relaxed) as u32 & 0xffff)
    }

    /// Ends what interrupted the phase, and charges it to an account of the latest exit.
    fn resume(&self, set: &Set, account: usize, tsc: u64) {
        let since = self.since.load(Relaxed);
        self.since.store(0, Relaxed);
        self.phase.store(phase::RUNNING, Relaxed);
        let Some(stretch) = tsc.checked_sub(since).filter(|_| since != 0) else {
            return;
        };
        let row: Option<&Row> = set.rows.get(self.row(set));
        if let Some(account) = row.and_then(|row| row.get(account)) {
            add(account, stretch);
        }
        for instant in [&self.start, &self.mark] {
            instant.store(instant.load(Relaxed).wrapping_add(stretch), Relaxed);
        }
    }
}

/// Counts an exit that has no time.
#[cold]
#[inline(never)]
fn count_untimed(set: &Set, row: usize) -> u64 {
    if let Some(row) = set.rows.get(row) {
        add(&row[EXITS], 1);
        add(&row[DROPPED], 1);
    }
    0
}
