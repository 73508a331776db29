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
use crate::counters::{add, Row, Set, AWAY, BLOCKED, CYCLES, DROPPED, EXITS, GUEST, L2, USER};
use crate::hist::{record, Hist, ENTRY};

/// What the vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Phase {
    /// It has not entered the guest yet.
    New = 0,
    /// It is in the guest, or on the way there.
    Guest = 1,
    /// An exit is being handled. C sets this.
    Handling = 2,
    /// It sleeps or polls.
    Blocked = 3,
    /// `KVM_RUN` has returned.
    User = 4,
}

/// Flag of [`Phase::Handling`]: the exit was taken from a nested guest.
pub(crate) const FROM_L2: u16 = 1 << 8;

impl Phase {
    fn from_number(number: u16) -> Self {
        match number & !FROM_L2 {
            1 => Self::Guest,
            2 => Self::Handling,
            3 => Self::Blocked,
            4 => Self::User,
            _ => Self::New,
        }
    }
}

/// A rarer event; see `exit_stats_event()` in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// The vCPU starts to sleep or to poll.
    BlockBegin = 0,
    /// It runs on.
    BlockEnd = 1,
    /// `KVM_RUN` returns because of the latest exit.
    UserBegin = 2,
    /// `KVM_RUN` returns for another reason, as a signal.
    StopBegin = 3,
    /// `KVM_RUN` was called again, and what the VMM had to complete is completed.
    UserEnd = 4,
    /// The thread is scheduled out.
    SchedOut = 5,
    /// The thread is scheduled in.
    SchedIn = 6,
    /// The guest is about to be entered.
    Entry = 7,
    /// An entry failed before the guest ran.
    EntryFailed = 8,
    /// An entry had to be emulated.
    EntryEmulated = 9,
}

impl Event {
    /// All events, by number.
    pub const ALL: [Self; 10] = [
        Self::BlockBegin,
        Self::BlockEnd,
        Self::UserBegin,
        Self::StopBegin,
        Self::UserEnd,
        Self::SchedOut,
        Self::SchedIn,
        Self::Entry,
        Self::EntryFailed,
        Self::EntryEmulated,
    ];

    /// Returns the event of this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// Counts an exit without a time.
#[cold]
#[inline(never)]
fn drop_timing(row: &Row) {
    add(&row[DROPPED], 1);
}

impl Set {
    /// Latches a hardware exit, as `exit_stats_exit()` of the header does in C.
    pub fn exit(&self, reason: u32, l2: bool, tsc: u64) {
        self.start.store(tsc, Relaxed);
        // Bits 31:16 are flags: bus lock, enclave mode, failed entry.
        self.reason.store(reason as u16, Relaxed);
        let flag = if l2 { FROM_L2 } else { 0 };
        self.phase.store(Phase::Handling as u16 | flag, Relaxed);
    }

    #[inline(always)]
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u16, Relaxed);
    }

    /// Counts and times the latest exit: it has been handled.
    ///
    /// What is rare is apart, so that an exit from L1 does nothing for it.
    #[inline(always)]
    pub fn handled(&self, hist: Option<&Hist>, tsc: u64) {
        if self.phase.load(Relaxed) != Phase::Handling as u16 {
            return self.handled_otherwise(hist, tsc);
        }
        match self.row_at(self.reason.load(Relaxed)) {
            0 => self.handled_first(hist, tsc),
            row => self.count(hist, tsc, row),
        }
    }

    #[inline(always)]
    fn count(&self, hist: Option<&Hist>, tsc: u64, number: usize) {
        self.enter(Phase::Guest);
        let Some(row) = self.rows.get(number) else {
            return;
        };
        add(&row[EXITS], 1);
        let (mark, start) = (self.mark.load(Relaxed), self.start.load(Relaxed));
        self.mark.store(tsc, Relaxed);
        let Some(guest) = start.checked_sub(mark) else {
            return drop_timing(row);
        };
        let cycles = tsc.wrapping_sub(start);
        if tsc <= start {
            return drop_timing(row);
        }
        add(&row[CYCLES], cycles);
        add(&row[GUEST], guest);
        if let Some(row) = hist.and_then(|hist| hist.rows.get(number)) {
            record(row, cycles);
        }
    }

    /// Counts an exit of a reason that has no row yet, or none of its own.
    #[cold]
    #[inline(never)]
    fn handled_first(&self, hist: Option<&Hist>, tsc: u64) {
        self.count(hist, tsc, self.row_of(self.reason.load(Relaxed)));
    }

    /// Counts an exit from L2.
    #[cold]
    #[inline(never)]
    fn handled_otherwise(&self, hist: Option<&Hist>, tsc: u64) {
        if self.phase.load(Relaxed) != Phase::Handling as u16 | FROM_L2 {
            return;
        }
        let number = self.row_of(self.reason.load(Relaxed));
        self.count(hist, tsc, number);
        if let Some(row) = self.rows.get(number) {
            add(&row[L2], 1);
        }
    }

    /// Records a rarer event.
    pub fn event(&self, hist: Option<&Hist>, event: Event, tsc: u64) {
        use Phase::{Blocked, Guest, Handling, New, User};

        let begin = |phase| {
            self.since.store(tsc, Relaxed);
            self.enter(phase);
        };
        let entry = |counter| {
            add(counter, 1);
            // What comes now is no exit's doing.
            self.reason.store(abi::BEYOND as u16, Relaxed);
        };
        match (event, Phase::from_number(self.phase.load(Relaxed))) {
            (Event::EntryFailed, _) => entry(&self.failed),
            (Event::EntryEmulated, _) => entry(&self.emulated),
            (Event::BlockEnd | Event::UserEnd | Event::Entry, New) => {
                self.first.store(tsc, Relaxed);
                self.mark.store(tsc, Relaxed);
            }
            (Event::SchedOut, Guest | Handling) => self.since.store(tsc, Relaxed),
            (Event::SchedIn, Guest | Handling) => self.resume(AWAY, tsc),
            (Event::BlockBegin, Guest) => begin(Blocked),
            (Event::BlockEnd, Blocked) => {
                self.enter(Guest);
                self.resume(BLOCKED, tsc);
            }
            (Event::UserBegin, Guest) => begin(User),
            (Event::StopBegin, Guest) => {
                self.reason.store(abi::BEYOND as u16, Relaxed);
                begin(User);
            }
            (Event::UserEnd, User) => {
                self.enter(Guest);
                self.resume(USER, tsc);
            }
            (Event::Entry, Guest) => {
                let row = self.row_of(self.reason.load(Relaxed));
                let stretch = tsc.checked_sub(self.mark.load(Relaxed));
                let row = hist.and_then(|hist| hist.rows.get(row));
                if let Some((row, stretch)) = row.zip(stretch) {
                    add(&row[ENTRY], stretch);
                    self.mark.store(tsc, Relaxed);
                }
            }
            _ => (),
        }
    }

    /// Ends what interrupted the phase, and charges it to an account of the latest exit.
    fn resume(&self, account: usize, tsc: u64) {
        let since = self.since.load(Relaxed);
        self.since.store(0, Relaxed);
        let Some(stretch) = tsc.checked_sub(since).filter(|_| since != 0) else {
            return;
        };
        let row: Option<&Row> = self.rows.get(self.row_of(self.reason.load(Relaxed)));
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
