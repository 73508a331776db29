// SPDX-License-Identifier: GPL-2.0

//! Log2 histograms of handling times, one a row, in 16 KiB.
//!
//! All 64 buckets of all rows as 64-bit counters would take 43.5 KiB, and 16 KiB
//! hold 23 buckets a row: too few for a range that is open at both ends, unless the
//! outermost lie. Narrower counters wrap: 2^32 fast exits take about an hour.
//! But most reasons never occur, and one that does spans a few octaves. So the
//! buckets come in lines of eight that are handed out, from the table itself, when
//! they are first hit. 245 lines are three for each of the 80 defined reasons and for
//! the undefined ones together, or the whole range for any 30 of them.
//!
//! Should the lines run out, the eight buckets concerned are marked and answered
//! like buckets that do not exist, not with a figure that lacks something.

#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, AtomicU8, Ordering::Relaxed};

use crate::counters::{add, Counters, ROWS};

/// Groups of eight buckets in a row.
pub const GROUPS: usize = 8;

/// Lines to hand out.
pub const LINES: usize = 245;

/// Mark of a group that was hit when no line was left.
const REFUSED: u8 = 255;

const _: () = assert!(LINES < REFUSED as usize);

/// Eight buckets: one cache line.
type Line = [AtomicU64; 8];

/// The histograms of one set of counters; valid when zeroed.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Hist {
    /// The line + 1 of each group; 0 is none.
    pub(crate) groups: [[AtomicU8; GROUPS]; ROWS],
    /// Lines handed out.
    pub(crate) used: AtomicU64,
    pub(crate) lines: [Line; LINES],
}

impl Default for Hist {
    #[inline]
    fn default() -> Self {
        use core::array::from_fn;
        Self {
            groups: from_fn(|_| from_fn(|_| AtomicU8::new(0))),
            used: AtomicU64::new(0),
            lines: from_fn(|_| from_fn(|_| AtomicU64::new(0))),
        }
    }
}

/// Returns the bucket of a time: k for `[2^k, 2^(k+1))`. A time never is 0.
#[inline(always)]
pub const fn bucket_of(cycles: u64) -> u32 {
    // The position of the highest bit: one BSR instruction.
    (cycles | 1).leading_zeros() ^ 63
}

impl Hist {
    /// Counts an exit of `row` that was handled in `cycles`. One writer only.
    #[inline(always)]
    pub(crate) fn record(&self, row: usize, cycles: u64) {
        let bucket = bucket_of(cycles);
        let Some(group) = self.group(row, bucket) else {
            return;
        };
        let Some(line) = self.line(group.load(Relaxed)) else {
            self.record_first(group, bucket);
            return;
        };
        if let Some(counter) = line.get((bucket & 7) as usize) {
            add(counter, 1);
        }
    }

    /// Counts an exit whose group has no line yet, or was refused one.
    #[cold]
    #[inline(never)]
    fn record_first(&self, group: &AtomicU8, bucket: u32) {
        if let Some(counter) = self
            .hand_out(group)
            .and_then(|line| line.get((bucket & 7) as usize))
        {
            add(counter, 1);
        }
    }

    /// Returns a bucket; `None` if it was hit when no line was left.
    pub fn get(&self, row: usize, bucket: u32) -> Option<u64> {
        let mark = self.group(row, bucket)?.load(Relaxed);
        if mark == 0 {
            return Some(0);
        }
        let counter = self.line(mark)?.get((bucket & 7) as usize)?;
        Some(counter.load(Relaxed))
    }

    /// Empties it.
    pub fn clear(&self) {
        for group in self.groups.iter().flatten() {
            group.store(0, Relaxed);
        }
        for counter in self.lines.iter().flatten() {
            counter.store(0, Relaxed);
        }
        self.used.store(0, Relaxed);
    }

    /// Adds the histograms that belong to `counters`; `None` if it has none.
    pub fn merge(&self, counters: &Counters, other: Option<&Hist>) {
        self.zip(counters, other, |to, from| {
            to.wrapping_add(from.load(Relaxed))
        });
    }

    /// Takes away the histograms that belong to `base`, an earlier state.
    pub fn subtract(&self, base: &Counters, other: Option<&Hist>) {
        self.zip(base, other, |from, by| {
            from.saturating_sub(by.load(Relaxed))
        });
    }

    /// Changes every bucket by that of the other histograms.
    ///
    /// What they cannot tell, this cannot tell any more either.
    fn zip(
        &self,
        counters: &Counters,
        other: Option<&Hist>,
        change: impl Fn(u64, &AtomicU64) -> u64,
    ) {
        let Some(other) = other else {
            for (row, groups) in counters.rows.iter().zip(&self.groups) {
                if row.is_timed() {
                    groups.iter().for_each(|to| to.store(REFUSED, Relaxed));
                }
            }
            return;
        };
        for (to, from) in self.groups.iter().zip(&other.groups) {
            for (to, from) in to.iter().zip(from) {
                let mark = from.load(Relaxed);
                if mark == 0 {
                    continue;
                }
                let Some(from) = other.line(mark) else {
                    to.store(REFUSED, Relaxed);
                    continue;
                };
                let line = match to.load(Relaxed) {
                    0 => self.hand_out(to),
                    mark => self.line(mark),
                };
                for (to, from) in line.into_iter().flatten().zip(from) {
                    to.store(change(to.load(Relaxed), from), Relaxed);
                }
            }
        }
    }

    #[inline(always)]
    fn group(&self, row: usize, bucket: u32) -> Option<&AtomicU8> {
        self.groups.get(row)?.get((bucket >> 3) as usize)
    }

    /// Returns the line of a mark; `None` if it marks none.
    #[inline(always)]
    fn line(&self, mark: u8) -> Option<&Line> {
        self.lines.get(usize::from(mark.wrapping_sub(1)))
    }

    /// Gives a group that has no line one, or else marks it.
    fn hand_out(&self, group: &AtomicU8) -> Option<&Line> {
        if group.load(Relaxed) != 0 {
            return None;
        }
        let used = self.used.load(Relaxed);
        let Some(line) = self.lines.get(used as usize) else {
            group.store(REFUSED, Relaxed);
            return None;
        };
        self.used.store(used.wrapping_add(1), Relaxed);
        // LINES is below REFUSED, so nothing is cut off.
        group.store(used.wrapping_add(1) as u8, Relaxed);
        Some(line)
    }
}
