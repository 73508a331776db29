// SPDX-License-Identifier: GPL-2.0

//! How handling times are distributed: log2 histograms, the smallest and the largest.
//!
//! They are three times as large as the counters, so one can do without.
//!
//! A store to an address that depends on what the clock just said holds up the next
//! reading of the clock: on an AMD EPYC it makes two readings with the counting between
//! them a third slower. So an exit's bucket is raised at the next exit of its row. Until
//! then its time waits in the row, where a reader finds it.

#![forbid(unsafe_code)]

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release},
};

use crate::abi;
use crate::counters::{add, ROWS};

pub(crate) const WORDS: usize = BUCKETS + abi::BUCKETS as usize;

// What the words of a row are.
pub(crate) const MIN: usize = 0;
pub(crate) const MAX: usize = 1;
pub(crate) const ENTRY: usize = 2;
/// The handling time of the latest exit, whose bucket was not raised yet; 0 is none.
pub(crate) const LATEST: usize = 3;
pub(crate) const BUCKETS: usize = 4;

/// The histograms of a set of counters; valid when zeroed.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Hist {
    pub(crate) rows: [[AtomicU64; WORDS]; ROWS],
}

impl Default for Hist {
    fn default() -> Self {
        Self {
            rows: [const { [const { AtomicU64::new(0) }; WORDS] }; ROWS],
        }
    }
}

/// Returns the bucket of a time: k for `[2^k, 2^(k+1))`. A time never is 0.
#[inline(always)]
pub const fn bucket_of(cycles: u64) -> u32 {
    // The position of the highest bit: one BSR instruction.
    (cycles | 1).leading_zeros() ^ 63
}

/// Returns the word of a row that counts exits of this time.
#[inline(always)]
pub(crate) fn word_of(cycles: u64) -> usize {
    BUCKETS + bucket_of(cycles).min(abi::BUCKETS - 1) as usize
}

/// Records an exit that was handled in `cycles`. One writer only.
#[inline(always)]
pub(crate) fn record(row: &[AtomicU64; WORDS], cycles: u64) {
    let before = row[LATEST].load(Relaxed);
    row[LATEST].store(cycles, Release);
    let Some((_, buckets)) = row.split_first_chunk::<BUCKETS>() else {
        return;
    };
    if before == 0 {
        row[MIN].store(cycles, Relaxed);
        row[MAX].store(cycles, Relaxed);
        return;
    }
    if cycles > row[MAX].load(Relaxed) {
        row[MAX].store(cycles, Relaxed);
    }
    if cycles < row[MIN].load(Relaxed) {
        row[MIN].store(cycles, Relaxed);
    }
    if let Some(bucket) = buckets.get(bucket_of(before).min(abi::BUCKETS - 1) as usize) {
        add(bucket, 1);
    }
}

impl Hist {
    /// Empties it.
    pub(crate) fn clear(&self) {
        let cells = self.rows.iter().flatten();
        cells.for_each(|cell| cell.store(0, Relaxed));
    }
}
