// SPDX-License-Identifier: GPL-2.0

//! A set of counters, and the figures that are made of it.
//!
//! Each counter has one writer at a time, which adds with a relaxed load and a
//! relaxed store: on x86 one plain add to memory, without a lock prefix. Any
//! thread may read meanwhile; a 64-bit word never tears. Totals are summed from
//! the rows when they are asked for, so a total cannot differ from its parts.

#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::hist::Hist;
use crate::{abi, reason};

/// One row a reason, and one for reasons past the table's end.
pub const ROWS: usize = reason::COUNT + 1;

/// The row of reasons past the table's end.
pub(crate) const LAST_ROW: usize = reason::COUNT;

/// The counters of one row: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Row {
    pub(crate) exits: AtomicU64,
    pub(crate) cycles: AtomicU64,
    /// 0 is none yet: a time never is 0.
    pub(crate) min: AtomicU64,
    pub(crate) max: AtomicU64,
    pub(crate) blocked: AtomicU64,
    pub(crate) user: AtomicU64,
    pub(crate) l2: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// A set of counters; valid when zeroed.
///
/// A vCPU's live set, a snapshot, the totals of the VMs that ended and the
/// baseline of a reset are all of this type.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Counters {
    pub(crate) rows: [Row; ROWS],
    pub(crate) failed: AtomicU64,
    pub(crate) emulated: AtomicU64,
    pub(crate) generation: AtomicU64,
    pub(crate) reserved: [u64; 5],
}

impl Default for Counters {
    #[inline]
    fn default() -> Self {
        Self {
            rows: core::array::from_fn(|_| Row::default()),
            failed: AtomicU64::new(0),
            emulated: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            reserved: [0; 5],
        }
    }
}

/// Adds to a counter of which the caller is the only writer.
#[inline(always)]
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

#[inline]
fn sub(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).saturating_sub(by), Relaxed);
}

/// What is counted or measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Exits.
    Exits,
    /// Handling cycles.
    Cycles,
    /// Smallest handling cycles of one exit; 0 if none was timed.
    Min,
    /// Largest handling cycles of one exit.
    Max,
    /// Blocked cycles.
    Blocked,
    /// Userspace cycles.
    User,
    /// Exits from a nested guest.
    L2,
    /// Dropped timings.
    Dropped,
    /// Exits whose handling took `[2^k, 2^(k+1))` cycles.
    Bucket(u32),
}

impl Figure {
    /// Returns the figure that a selector's field asks for.
    #[inline]
    pub fn from_field(field: u32) -> Option<Self> {
        Some(match field {
            abi::EXITS => Self::Exits,
            abi::CYCLES => Self::Cycles,
            abi::MIN => Self::Min,
            abi::MAX => Self::Max,
            abi::BLOCKED => Self::Blocked,
            abi::USER => Self::User,
            abi::L2 => Self::L2,
            abi::DROPPED => Self::Dropped,
            _ => {
                let bucket = field.wrapping_sub(abi::BUCKET);
                if bucket >= abi::BUCKETS {
                    return None;
                }
                Self::Bucket(bucket)
            }
        })
    }

    /// Joins what two rows, or two sets, say. 0 says nothing.
    #[inline]
    pub(crate) fn join(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Min if a == 0 => b,
            Self::Min if b == 0 => a,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
            _ => a.wrapping_add(b),
        }
    }
}

/// Of which exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Of a defined reason.
    Reason(u32),
    /// Of all reasons that the SDM does not define.
    Beyond,
    /// Entries that KVM emulated.
    Emulated,
    /// Entries that failed.
    Failed,
    /// Of all reasons.
    Total,
}

impl Scope {
    /// Returns what a reason or pseudo reason means; `None` for an undefined one.
    #[inline]
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            abi::BEYOND => Self::Beyond,
            abi::EMULATED => Self::Emulated,
            abi::FAILED => Self::Failed,
            abi::TOTAL => Self::Total,
            _ if reason::is_defined(number) => Self::Reason(number),
            _ => return None,
        })
    }

    /// Returns whether there is such a figure of it: entries are only counted.
    #[inline]
    pub fn has(self, figure: Figure) -> bool {
        !matches!(self, Self::Emulated | Self::Failed) || figure == Figure::Exits
    }
}

impl Row {
    /// Returns a figure; buckets are not here.
    #[inline]
    fn value(&self, figure: Figure) -> u64 {
        let counter = match figure {
            Figure::Exits => &self.exits,
            Figure::Cycles => &self.cycles,
            Figure::Min => &self.min,
            Figure::Max => &self.max,
            Figure::Blocked => &self.blocked,
            Figure::User => &self.user,
            Figure::L2 => &self.l2,
            Figure::Dropped => &self.dropped,
            Figure::Bucket(_) => return 0,
        };
        counter.load(Relaxed)
    }

    /// The counters of which a sum is made.
    #[inline]
    fn sums(&self) -> [&AtomicU64; 6] {
        [
            &self.exits,
            &self.cycles,
            &self.blocked,
            &self.user,
            &self.l2,
            &self.dropped,
        ]
    }

    fn merge(&self, other: &Row) {
        for (to, from) in self.sums().into_iter().zip(other.sums()) {
            add(to, from.load(Relaxed));
        }
        let join = |figure: Figure, to: &AtomicU64, from: &AtomicU64| {
            to.store(figure.join(to.load(Relaxed), from.load(Relaxed)), Relaxed);
        };
        join(Figure::Min, &self.min, &other.min);
        join(Figure::Max, &self.max, &other.max);
    }

    fn subtract(&self, base: &Row) {
        for (from, by) in self.sums().into_iter().zip(base.sums()) {
            sub(from, by.load(Relaxed));
        }
        if self.exits.load(Relaxed) == 0 {
            self.min.store(0, Relaxed);
            self.max.store(0, Relaxed);
        }
    }

    fn clear(&self) {
        for counter in self.sums() {
            counter.store(0, Relaxed);
        }
        self.min.store(0, Relaxed);
        self.max.store(0, Relaxed);
    }

    /// Returns whether an exit was ever timed.
    #[inline]
    pub(crate) fn is_timed(&self) -> bool {
        self.max.load(Relaxed) != 0
    }
}

impl Counters {
    /// Returns one figure, or `None` if it is not there.
    pub fn value(&self, hist: Option<&Hist>, scope: Scope, figure: Figure) -> Option<u64> {
        let of_row = |number: usize, row: &Row| match figure {
            Figure::Bucket(bucket) => hist?.get(number, bucket),
            _ => Some(row.value(figure)),
        };
        if !scope.has(figure) {
            return None;
        }
        match scope {
            Scope::Reason(number) => {
                let number = number as usize;
                of_row(number, self.rows.get(number)?)
            }
            Scope::Emulated => Some(self.emulated.load(Relaxed)),
            Scope::Failed => Some(self.failed.load(Relaxed)),
            Scope::Beyond | Scope::Total => {
                let mut joined = 0;
                for (number, row) in self.rows.iter().enumerate() {
                    if scope == Scope::Total || !reason::is_defined(number as u32) {
                        joined = figure.join(joined, of_row(number, row)?);
                    }
                }
                Some(joined)
            }
        }
    }

    /// Returns one figure of every row; the last is of reasons past the table.
    pub fn column(&self, figure: Figure) -> impl Iterator<Item = u64> + '_ {
        self.rows.iter().map(move |row| row.value(figure))
    }

    /// Adds another set. The generation stays.
    pub fn merge(&self, other: &Counters) {
        for (to, from) in self.rows.iter().zip(&other.rows) {
            to.merge(from);
        }
        add(&self.failed, other.failed.load(Relaxed));
        add(&self.emulated, other.emulated.load(Relaxed));
    }

    /// Takes an earlier state of this set away.
    pub fn subtract(&self, base: &Counters) {
        for (from, by) in self.rows.iter().zip(&base.rows) {
            from.subtract(by);
        }
        sub(&self.failed, base.failed.load(Relaxed));
        sub(&self.emulated, base.emulated.load(Relaxed));
    }

    /// Empties a snapshot and raises its generation.
    pub fn begin_snapshot(&self) {
        for row in &self.rows {
            row.clear();
        }
        self.failed.store(0, Relaxed);
        self.emulated.store(0, Relaxed);
        add(&self.generation, 1);
    }

    /// Returns how many times the snapshot was taken.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }
}
