// SPDX-License-Identifier: GPL-2.0

//! How handling times are distributed: log2 histograms, the smallest and the largest.
//!
//! They are three times as large as the counters, so one can do without.

#![forbid(unsafe_code)]

use crate::abi;
use crate::counters::{add, ROWS};
use crate::sync::{AtomicU64, Relaxed};

/// Words of a row: the buckets first.
pub(crate) const WORDS: usize = 32;

// What the words after the buckets are.
/// The complement of the smallest time, so that 0 is none and it only grows.
pub(crate) const MIN: usize = 24;
pub(crate) const MAX: usize = 25;
pub(crate) const ENTRY: usize = 26;
/// What to add to a time so that it is at most [`SPREAD`] if nothing about it is rare: the
/// smallest time, negated.
const BASE: usize = 27;
const SPREAD: usize = 28;

/// Times from here on are in the last bucket: some milliseconds.
const LONG: u64 = 1 << abi::BUCKETS;

/// The histogram of a row.
pub(crate) type Row = [AtomicU64; WORDS];

/// The histograms of a set of counters; valid when zeroed.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Hist {
    pub(crate) rows: [Row; ROWS],
}

/// Records an exit that was handled in `cycles`, which are not 0. One writer only.
#[inline(always)]
pub(crate) fn record(row: &Row, cycles: u64) {
    if cycles.wrapping_add(row[BASE].load(Relaxed)) > row[SPREAD].load(Relaxed) {
        return record_rare(row, cycles);
    }
    // The position of the highest bit: one BSR instruction. Of 32 bits, for which there are
    // as many words; a usual time has fewer.
    let bucket = (cycles as u32 | 1).leading_zeros() ^ 31;
    add(&row[bucket as usize], 1);
}

/// Records what is shorter or longer than all before, or belongs to the last bucket.
#[cold]
#[inline(never)]
fn record_rare(row: &Row, cycles: u64) {
    let min = !row[MIN].load(Relaxed).max(!cycles);
    let max = row[MAX].load(Relaxed).max(cycles);
    row[MIN].store(!min, Relaxed);
    row[MAX].store(max, Relaxed);
    if min < LONG {
        row[BASE].store(min.wrapping_neg(), Relaxed);
        row[SPREAD].store(max.min(LONG.wrapping_sub(1)).wrapping_sub(min), Relaxed);
    }
    let bucket = cycles.min(LONG.wrapping_sub(1)).checked_ilog2();
    if let Some(bucket) = row.get(bucket.unwrap_or(0) as usize) {
        add(bucket, 1);
    }
}
