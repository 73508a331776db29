// SPDX-License-Identifier: GPL-2.0

//! What a vCPU carries, and the timing of its latest exit.
//!
//! An exit is counted at once; the rest is charged to its row as it becomes
//! known, whatever the handler did to the reason meanwhile:
//!
//! ```text
//! exit ──────────► handled ─► blocked, in userspace, or back in the guest
//!   ▲ │ scheduled out (not counted)
//!   └─┘ scheduled in
//! ```
//!
//! Time that the thread was scheduled out is kept out by timing each stretch of
//! running by itself. A stretch lies on one CPU, so clocks that differ between
//! CPUs do not harm either.
//!
//! The row, the phase and the epoch share one word. An exit is timed only if the
//! epoch of its word is the current one, that is, if everything that records
//! was live from then on; one comparison finds both that and the phase.

#![forbid(unsafe_code)]

use core::sync::atomic::{compiler_fence, AtomicPtr, AtomicU64, Ordering};
use Ordering::Relaxed;

use crate::counters::{add, Counters, Row, LAST_ROW};
use crate::hist::Hist;

/// Bits 7:0 of the state: the row of the latest exit.
const ROW: u64 = 0xff;
/// Bits 15:8 of the state: the phase. 0 is that the exit is being handled.
const PHASE: u64 = 0xff00;
const HANDLED: u64 = 1 << 8;
const BLOCKED: u64 = 2 << 8;
const USER: u64 = 3 << 8;
/// Scheduled out while the exit was being handled.
const AWAY: u64 = 4 << 8;
/// Being handled again, after having been scheduled out.
const BACK: u64 = 5 << 8;
/// Bits 63:16 of the state: the epoch. It never is 0, which zeroed memory has.
const EPOCH: u64 = 1 << 16;

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

/// Whether all places that record are live; one for all vCPUs.
///
/// Exits take the one epoch with them, and are timed if it equals the other. While
/// the two differ nothing is timed, and no epoch ever comes back. Every exit reads
/// them, so they share no cache line with what is written.
#[derive(Debug)]
#[repr(align(64))]
pub struct Epochs {
    recorded: AtomicU64,
    current: AtomicU64,
}

impl Epochs {
    /// Starts armed.
    pub const fn new() -> Self {
        Self {
            recorded: AtomicU64::new(EPOCH),
            current: AtomicU64::new(EPOCH),
        }
    }

    /// Forgets all timings that are under way, and starts or stops new ones.
    pub fn arm(&self, on: bool) {
        let next = self.current.load(Relaxed).wrapping_add(EPOCH);
        self.current.store(next, Ordering::Release);
        if on {
            self.recorded.store(next, Ordering::Release);
        }
    }

    /// The epoch that a new exit gets.
    #[inline(always)]
    fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

/// The timing of the latest exit; valid when zeroed.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Clock {
    /// When the exit happened.
    pub(crate) start: AtomicU64,
    pub(crate) state: AtomicU64,
    /// When the current stretch of another phase began.
    pub(crate) since: AtomicU64,
    /// Handling cycles before the exit was last scheduled out.
    pub(crate) spent: AtomicU64,
    /// The histograms, or null. C sets it; only the boundary follows it.
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

    /// Records a hardware exit: `reason` is the whole exit-reason field.
    #[inline(always)]
    pub fn exit(&self, epochs: &Epochs, reason: u32, l2: bool, tsc: u64) {
        // Bits 31:16 are flags: bus lock, enclave mode, failed entry.
        let number = match u64::from(reason & 0xffff) {
            number if number < LAST_ROW => number,
            _ => last_row(),
        };
        let Some(row) = self.counters.rows.get(number as usize) else {
            return;
        };
        self.clock.state.store(epochs.recorded() | number, Relaxed);
        self.clock.start.store(tsc, Relaxed);
        add(&row.exits, 1);
        add(&row.l2, u64::from(l2));
    }

    /// Records that the latest exit has been handled.
    #[inline(always)]
    pub fn handled(&self, epochs: &Epochs, hist: Option<&Hist>, tsc: u64) {
        let state = self.clock.state.load(Relaxed);
        let number = (state ^ epochs.current()) as usize;
        let Some(row) = self.counters.rows.get(number) else {
            self.handled_after_schedule(epochs, hist, tsc);
            return;
        };
        // The thread may be scheduled out anywhere here: the start does not
        // change then, and what comes after `tsc` is not asked for.
        self.clock.state.store(state | HANDLED, Relaxed);
        let start = self.clock.start.load(Relaxed);
        if tsc > start {
            row.time(hist, number, tsc.wrapping_sub(start));
        } else {
            add(&row.dropped, 1);
        }
    }

    /// Records that an exit has been handled, if it was scheduled out meanwhile.
    #[cold]
    #[inline(never)]
    fn handled_after_schedule(&self, epochs: &Epochs, hist: Option<&Hist>, tsc: u64) {
        let clock = &self.clock;
        let Some((row, number)) = self.current(epochs, &[BACK]) else {
            return;
        };
        clock.set_phase(HANDLED);
        // From here on being scheduled out changes nothing: not before.
        compiler_fence(Ordering::SeqCst);
        // A `tsc` that was read before the thread was scheduled out lies
        // before the last stretch.
        let stretch = tsc.saturating_sub(clock.since.load(Relaxed));
        match clock.spent.load(Relaxed).wrapping_add(stretch) {
            0 => add(&row.dropped, 1),
            cycles => row.time(hist, number, cycles),
        }
    }

    /// Records a rarer event.
    pub fn event(&self, epochs: &Epochs, event: Event, tsc: u64) {
        const WAITING: [u64; 3] = [HANDLED, BLOCKED, USER];
        match event {
            Event::BlockBegin => self.begin(epochs, &WAITING, BLOCKED, tsc),
            Event::UserBegin => self.begin(epochs, &WAITING, USER, tsc),
            Event::SchedIn => self.begin(epochs, &[AWAY], BACK, tsc),
            Event::BlockEnd => self.end(epochs, BLOCKED, |row| &row.blocked, tsc),
            Event::UserEnd => self.end(epochs, USER, |row| &row.user, tsc),
            Event::SchedOut => self.sched_out(epochs, tsc),
            Event::EntryFailed => add(&self.counters.failed, 1),
            Event::EntryEmulated => add(&self.counters.emulated, 1),
        }
    }

    fn begin(&self, epochs: &Epochs, from: &[u64], phase: u64, tsc: u64) {
        if self.current(epochs, from).is_some() {
            self.clock.since.store(tsc, Relaxed);
            self.clock.set_phase(phase);
        }
    }

    fn end(&self, epochs: &Epochs, phase: u64, counter: fn(&Row) -> &AtomicU64, tsc: u64) {
        let Some((row, _)) = self.current(epochs, &[phase]) else {
            return;
        };
        self.clock.set_phase(HANDLED);
        match tsc.checked_sub(self.clock.since.load(Relaxed)) {
            Some(cycles) => add(counter(row), cycles),
            None => add(&row.dropped, 1),
        }
    }

    fn sched_out(&self, epochs: &Epochs, tsc: u64) {
        let clock = &self.clock;
        let (row, stretch) = if let Some((row, _)) = self.current(epochs, &[0]) {
            clock.spent.store(0, Relaxed);
            (row, tsc.checked_sub(clock.start.load(Relaxed)))
        } else if let Some((row, _)) = self.current(epochs, &[BACK]) {
            (row, tsc.checked_sub(clock.since.load(Relaxed)))
        } else {
            return;
        };
        match stretch {
            Some(cycles) => {
                add(&clock.spent, cycles);
                clock.set_phase(AWAY);
            }
            None => {
                add(&row.dropped, 1);
                clock.set_phase(HANDLED);
            }
        }
    }

    /// Returns the row of the latest exit if it is in one of these phases and was
    /// recorded in the current epoch.
    fn current(&self, epochs: &Epochs, phases: &[u64]) -> Option<(&Row, usize)> {
        let state = self.clock.state.load(Relaxed) ^ epochs.current();
        if !phases.contains(&(state & !ROW)) {
            return None;
        }
        let number = (state & ROW) as usize;
        Some((self.counters.rows.get(number)?, number))
    }
}

impl Clock {
    fn set_phase(&self, phase: u64) {
        let state = self.state.load(Relaxed) & !PHASE;
        self.state.store(state | phase, Relaxed);
    }
}

impl Row {
    /// Adds the time of one exit, which is not 0: a clock that stands still is
    /// as wrong as one that goes back.
    #[inline(always)]
    fn time(&self, hist: Option<&Hist>, number: usize, cycles: u64) {
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

/// Returns the row of reasons past the table's end, which never occur.
#[cold]
fn last_row() -> u64 {
    LAST_ROW
}
