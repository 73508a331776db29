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

/// Words of a row.
pub(crate) const WORDS: usize = BUCKETS + abi::BUCKETS as usize;

// What the words of a row are.
/// The complement of the smallest time, so that 0 is none and it only grows.
pub(crate) const MIN: usize = 0;
pub(crate) const MAX: usize = 1;
pub(crate) const ENTRY: usize = 2;
/// The handling time of the latest exit, whose bucket was not raised yet; 0 is none.
pub(crate) const LATEST: usize = 3;
/// Where a row's first exit, before which there was none, is counted to no effect.
const NONE: usize = 4;
pub(crate) const BUCKETS: usize = 5;

/// The histogram of a row.
pub(crate) type Row = [AtomicU64; WORDS];

/// The histograms of a set of counters; valid when zeroed.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Hist {
    pub(crate) rows: [Row; ROWS],
}

/// Returns the bucket of a time: k for `[2^k, 2^(k+1))`. A time never is 0.
pub const fn bucket_of(cycles: u64) -> u32 {
    // The position of the highest bit: one BSR instruction.
    (cycles | 1).leading_zeros() ^ 63
}

/// Returns the word of a row that counts exits of this time; [`NONE`] for 0.
#[inline(always)]
pub(crate) fn word_of(cycles: u64) -> usize {
    NONE + bucket_of(cycles.wrapping_mul(2)) as usize
}

/// Records an exit that was handled in `cycles`. One writer only.
#[inline(always)]
pub(crate) fn record(row: &Row, cycles: u64) {
    let raise = |word: usize, to: u64| {
        if to > row[word].load(Relaxed) {
            row[word].store(to, Relaxed);
        }
    };
    let before = row[LATEST].load(Relaxed);
    row[LATEST].store(cycles, Release);
    raise(MIN, !cycles);
    raise(MAX, cycles);
    match row.get(word_of(before)) {
        Some(bucket) => add(bucket, 1),
        None => add_to_last(row),
    }
}

/// Counts what took 2^24 cycles or more, some milliseconds.
#[cold]
#[inline(never)]
fn add_to_last(row: &Row) {
    add(&row[WORDS - 1], 1);
}
