// SPDX-License-Identifier: GPL-2.0

//! What a vCPU carries, and the timing of its latest exit.
//!
//! At an exit C leaves behind what the hardware said; that is three stores. When the
//! exit has been handled it is counted and timed here, whatever the handler did to the
//! reason meanwhile, and what follows is charged to it too:
//!
//! ```text
//! exit ─────────► handled ─► blocked, in userspace, or back in the guest
//!   ▲ │ scheduled out (not counted)
//!   └─┘ scheduled in
//! ```
//!
//! Time that the thread was scheduled out is kept out by timing each stretch of
//! running by itself. A stretch lies on one CPU, so clocks that differ between
//! CPUs do not harm either.

#![forbid(unsafe_code)]

use core::sync::atomic::{compiler_fence, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use Ordering::Relaxed;

use crate::counters::{add, Counters, Row, LAST_ROW};
use crate::hist::Hist;

/// Phase: the exit has been handled, or there was none.
const HANDLED: u32 = 0;
/// Phase: an exit is being handled; the next higher number if it was from L2.
pub(crate) const HANDLING: u32 = 1;
pub(crate) const HANDLING_L2: u32 = 2;
/// Phase: the thread was scheduled out meanwhile; and again one more for L2.
const AWAY: u32 = 3;
/// Phase: the thread runs again; and one more for L2.
const BACK: u32 = 5;
/// Phase: the vCPU sleeps or polls.
const BLOCKED: u32 = 7;
/// Phase: `KVM_RUN` has returned.
const USER: u32 = 8;

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
    /// `KVM_RUN` is called again.
    UserEnd = 3,
    /// The thread is scheduled out.
    SchedOut = 4,
    /// The thread is scheduled in.
    SchedIn = 5,
    /// An entry failed before the guest ran.
    EntryFailed = 6,
    /// An entry had to be emulated.
    EntryEmulated = 7,
}

impl Event {
    /// All events, by number.
    pub const ALL: [Self; 8] = [
        Self::BlockBegin,
        Self::BlockEnd,
        Self::UserBegin,
        Self::UserEnd,
        Self::SchedOut,
        Self::SchedIn,
        Self::EntryFailed,
        Self::EntryEmulated,
    ];

    /// Returns the event of this number.
    #[inline]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// Since when all places that record are live; one for all vCPUs.
///
/// An exit is timed if it began after that. Every exit reads it, so it shares no
/// cache line with what is written.
#[derive(Debug)]
#[repr(align(64))]
pub struct Armed {
    since: AtomicU64,
}

impl Armed {
    /// Starts armed.
    pub const fn new() -> Self {
        Self {
            since: AtomicU64::new(0),
        }
    }

    /// Forgets all timings that are under way, and starts or stops new ones.
    pub fn arm(&self, on: bool, tsc: u64) {
        self.since.store(if on { tsc } else { u64::MAX }, Relaxed);
    }

    /// Returns whether an exit that began then is timed.
    #[inline(always)]
    fn covers(&self, start: u64) -> bool {
        start > self.since.load(Relaxed)
    }
}

impl Default for Armed {
    fn default() -> Self {
        Self::new()
    }
}

/// The latest exit, and how far its timing is; valid when zeroed.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Clock {
    /// When the exit happened. C writes this and the two below.
    pub(crate) start: AtomicU64,
    /// The basic exit reason.
    pub(crate) reason: AtomicU32,
    pub(crate) phase: AtomicU32,
    /// When the current stretch of another phase began.
    pub(crate) since: AtomicU64,
    /// Handling cycles before the exit was last scheduled out.
    pub(crate) spent: AtomicU64,
    /// The histograms, or null. C sets it and hands it to the boundary.
    pub(crate) hist: AtomicPtr<Hist>,
    pub(crate) reserved: [u64; 3],
}

/// What a vCPU carries; valid when zeroed.
///
/// The methods that record are for the one thread that holds the vCPU.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Vcpu {
    pub(crate) counters: Counters,
    pub(crate) clock: Clock,
}

impl Vcpu {
    /// Returns the counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Latches a hardware exit, as `exit_stats_exit()` of the header does in C.
    pub fn exit(&self, reason: u32, l2: bool, tsc: u64) {
        self.clock.start.store(tsc, Relaxed);
        // Bits 31:16 are flags: bus lock, enclave mode, failed entry.
        self.clock.reason.store(reason & 0xffff, Relaxed);
        let phase = if l2 { HANDLING_L2 } else { HANDLING };
        self.clock.phase.store(phase, Relaxed);
    }

    /// Counts and times the latest exit: it has been handled.
    #[inline(always)]
    pub fn handled(&self, armed: &Armed, hist: Option<&Hist>, tsc: u64) {
        if self.clock.phase.load(Relaxed) != HANDLING {
            self.handled_otherwise(hist, tsc, armed);
            return;
        }
        // The thread may be scheduled out anywhere here: the start does not
        // change then, and what comes after `tsc` is not asked for.
        self.clock.phase.store(HANDLED, Relaxed);
        let Some((row, number)) = self.row() else {
            return;
        };
        add(&row.exits, 1);
        let start = self.clock.start.load(Relaxed);
        if armed.covers(start) {
            row.time(hist, number, start, tsc);
        }
    }

    /// Does the same for an exit from L2, or one that was scheduled out meanwhile.
    ///
    /// Apart, so that an exit from L1 does nothing for either.
    #[cold]
    #[inline(never)]
    fn handled_otherwise(&self, hist: Option<&Hist>, tsc: u64, armed: &Armed) {
        let clock = &self.clock;
        let phase = clock.phase.load(Relaxed);
        if !(HANDLING_L2..BLOCKED).contains(&phase) {
            return;
        }
        clock.phase.store(HANDLED, Relaxed);
        // From here on being scheduled out changes nothing: not before.
        compiler_fence(Ordering::SeqCst);
        let Some((row, number)) = self.row() else {
            return;
        };
        add(&row.exits, 1);
        add(&row.l2, u64::from(phase.wrapping_sub(HANDLING) & 1));
        let start = clock.start.load(Relaxed);
        if !armed.covers(start) {
            return;
        }
        if phase == HANDLING_L2 {
            row.time(hist, number, start, tsc);
        } else if phase >= BACK {
            // A `tsc` that was read before the thread was scheduled out lies
            // before the last stretch.
            let stretch = tsc.saturating_sub(clock.since.load(Relaxed));
            let spent = clock.spent.load(Relaxed);
            row.time(hist, number, 0, spent.wrapping_add(stretch));
        }
    }

    /// Records a rarer event.
    pub fn event(&self, armed: &Armed, event: Event, tsc: u64) {
        let clock = &self.clock;
        let entry = match event {
            Event::EntryFailed => Some(&self.counters.failed),
            Event::EntryEmulated => Some(&self.counters.emulated),
            _ => None,
        };
        if let Some(bucket) = entry {
            add(bucket, 1);
            // What comes now is no exit's doing, so it is charged to none.
            clock.start.store(0, Relaxed);
            return;
        }
        let phase = clock.phase.load(Relaxed);
        let Some((row, _)) = self.row() else {
            return;
        };
        if !armed.covers(clock.start.load(Relaxed)) {
            return;
        }
        let enter = |phase: u32| clock.phase.store(phase, Relaxed);
        match (event, phase) {
            (Event::BlockBegin, HANDLED | BLOCKED | USER) => {
                clock.since.store(tsc, Relaxed);
                enter(BLOCKED);
            }
            (Event::UserBegin, HANDLED | BLOCKED | USER) => {
                clock.since.store(tsc, Relaxed);
                enter(USER);
            }
            (Event::BlockEnd, BLOCKED) => {
                enter(HANDLED);
                row.charge(&row.blocked, clock.stretch(tsc));
            }
            (Event::UserEnd, USER) => {
                enter(HANDLED);
                row.charge(&row.user, clock.stretch(tsc));
            }
            (Event::SchedOut, HANDLING..AWAY) => {
                clock.since.store(clock.start.load(Relaxed), Relaxed);
                clock.spent.store(0, Relaxed);
                self.sched_out(row, tsc);
                enter(phase.wrapping_add(AWAY.wrapping_sub(HANDLING)));
            }
            (Event::SchedOut, BACK..BLOCKED) => {
                self.sched_out(row, tsc);
                enter(phase.wrapping_sub(BACK.wrapping_sub(AWAY)));
            }
            (Event::SchedIn, AWAY..BACK) => {
                clock.since.store(tsc, Relaxed);
                enter(phase.wrapping_add(BACK.wrapping_sub(AWAY)));
            }
            _ => (),
        }
    }

    /// Ends a stretch of handling.
    fn sched_out(&self, row: &Row, tsc: u64) {
        row.charge(&self.clock.spent, self.clock.stretch(tsc));
        if self.clock.stretch(tsc).is_none() {
            // Nothing covers this start: the exit is not timed any more.
            self.clock.start.store(0, Relaxed);
        }
    }

    /// Returns the row of the latest exit, and its number.
    #[inline(always)]
    fn row(&self) -> Option<(&Row, usize)> {
        let number = self.clock.reason.load(Relaxed) as usize;
        match self.counters.rows.get(number) {
            Some(row) => Some((row, number)),
            None => self.last_row(),
        }
    }

    /// Returns the row of reasons past the table's end, which hardly occur.
    #[cold]
    fn last_row(&self) -> Option<(&Row, usize)> {
        Some((self.counters.rows.get(LAST_ROW)?, LAST_ROW))
    }
}

impl Clock {
    /// Returns how long the current stretch was; `None` if the clock went back.
    fn stretch(&self, tsc: u64) -> Option<u64> {
        tsc.checked_sub(self.since.load(Relaxed))
    }
}

impl Row {
    /// Adds a time to one of the accounts, or counts it as dropped.
    fn charge(&self, account: &AtomicU64, cycles: Option<u64>) {
        match cycles {
            Some(cycles) => add(account, cycles),
            None => add(&self.dropped, 1),
        }
    }

    /// Adds the handling time of one exit. A clock that stands still is as wrong as
    /// one that goes back: the timing is dropped.
    #[inline(always)]
    fn time(&self, hist: Option<&Hist>, number: usize, start: u64, end: u64) {
        if end <= start {
            add(&self.dropped, 1);
            return;
        }
        let cycles = end.wrapping_sub(start);
        add(&self.cycles, cycles);
        if cycles < self.min.load(Relaxed) {
            self.min.store(cycles, Relaxed);
        }
        let max = self.max.load(Relaxed);
        if cycles > max {
            // The first one is the minimum too.
            if max == 0 {
                self.min.store(cycles, Relaxed);
            }
            self.max.store(cycles, Relaxed);
        }
        if let Some(hist) = hist {
            hist.record(number, cycles);
        }
    }
}
