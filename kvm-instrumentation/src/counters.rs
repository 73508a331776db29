// SPDX-License-Identifier: GPL-2.0

//! A set of counters, and the figures that are made of it.
//!
//! Each counter has one writer at a time, which adds with a relaxed load and a
//! store: on x86 one plain add to memory, without a lock prefix. Any thread may read
//! meanwhile; a 64-bit word never tears. Totals are summed from the rows when they
//! are asked for, so a total cannot differ from its parts.
//!
//! VMX defines 80 reasons and SVM over 170, but a vCPU meets some twenty of them. So a
//! number's slot names a row that is handed out when the number first occurs. Should
//! the rows run out, what follows counts as [`abi::BEYOND`], so the total still holds it.

#![forbid(unsafe_code)]

use crate::causes::{Causes, Head};
use crate::hist::{self, Hist};
use crate::sync::{Acquire, AtomicPtr, AtomicU64, AtomicU8, Relaxed, Release};
use crate::{abi, vendor::Vendor};

pub use crate::vendor::{slot, SLOTS};

/// Rows of a set.
pub const ROWS: usize = 50;
/// The row of [`abi::BEYOND`]. Those before it are handed out.
pub(crate) const BEYOND: usize = ROWS - 1;
/// The row of what was handed none.
pub(crate) const NONE: u8 = u8::MAX;

/// The counters of a row: one cache line.
pub(crate) type Row = [AtomicU64; WORDS];

pub(crate) const WORDS: usize = 8;

// What the words of a row are. The exit is written first, and read last.
pub(crate) const EXITS: usize = 0;
pub(crate) const L2: usize = 1;
pub(crate) const DROPPED: usize = 2;
pub(crate) const CYCLES: usize = 3;
pub(crate) const GUEST: usize = 4;
pub(crate) const BLOCKED: usize = 5;
pub(crate) const USER: usize = 6;
pub(crate) const AWAY: usize = 7;

// What the words after them are, of a row's histogram.
const MIN: usize = WORDS + hist::MIN;
const MAX: usize = WORDS + hist::MAX;
const ENTRY: usize = WORDS + hist::ENTRY;
const BUCKETS: usize = WORDS;

/// All words of a row.
const ALL: usize = WORDS + hist::WORDS;

/// How often a row is copied at most. A copy takes some 50 ns.
const ATTEMPTS: usize = 64;
/// After how many copies one exit whose time is missing is let pass.
const PATIENCE: usize = 8;

/// A set of counters, a vCPU's or a snapshot. A new one is zero but for its map.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Set {
    /// The histograms, or null. C sets it before the vCPU first runs.
    pub(crate) hist: AtomicPtr<Hist>,
    pub(crate) failed: AtomicU64,
    pub(crate) emulated: AtomicU64,
    /// Of a snapshot: how many times it has been taken.
    pub(crate) generation: AtomicU64,
    /// The causes of the exits, or null. C sets it likewise.
    pub(crate) causes: AtomicPtr<Head>,
    /// Whose numbers these are. C sets it before the vCPU first runs.
    pub(crate) vendor: AtomicU8,
    /// Rows handed out.
    pub(crate) used: AtomicU8,
    pub(crate) reserved: [u8; 30],
    /// The row of each slot, or [`NONE`].
    pub(crate) map: [AtomicU8; SLOTS],
    pub(crate) rows: [Row; ROWS],
}

/// Adds to a counter of which the caller is the only writer.
#[inline(always)]
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    // Released, so that who sees it sees what was written before: the exit.
    counter.store(counter.load(Relaxed).wrapping_add(by), Release);
}

/// Returns the word of a row that a field is.
const fn word(field: u32) -> Option<usize> {
    const LAST_BUCKET: u32 = abi::BUCKET + abi::BUCKETS - 1;
    Some(match field {
        abi::EXITS => EXITS,
        abi::CYCLES => CYCLES,
        abi::MIN => MIN,
        abi::MAX => MAX,
        abi::BLOCKED => BLOCKED,
        abi::USER => USER,
        abi::L2 => L2,
        abi::DROPPED => DROPPED,
        abi::AWAY => AWAY,
        abi::ENTRY => ENTRY,
        abi::GUEST => GUEST,
        abi::BUCKET..=LAST_BUCKET => BUCKETS + field.wrapping_sub(abi::BUCKET) as usize,
        _ => return None,
    })
}

/// Joins what two rows, or two sets, say.
fn join(word: usize, a: u64, b: u64) -> u64 {
    match word {
        MIN | MAX => a.max(b),
        _ => a.wrapping_add(b),
    }
}

/// Turns a word into the field's value, and back.
fn shown(field: u32, word: u64) -> u64 {
    match field {
        abi::MIN if word != 0 => !word,
        _ => word,
    }
}

/// Joins two values of one field, as those of two vCPUs.
pub(crate) fn join_field(field: u32, a: u64, b: u64) -> u64 {
    let word = word(field).unwrap_or(EXITS);
    shown(field, join(word, shown(field, a), shown(field, b)))
}

impl Set {
    /// Returns whose numbers these are.
    pub fn vendor(&self) -> Vendor {
        Vendor::from_number(self.vendor.load(Relaxed).into()).unwrap_or_default()
    }

    /// Returns how many times a snapshot was taken.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Returns the index of a number's row, which is handed out to it if there is one left.
    #[inline]
    pub(crate) fn row_of(&self, number: u32) -> usize {
        let Some(cell) = self.map.get(slot(number)) else {
            return BEYOND;
        };
        match cell.load(Relaxed) {
            NONE if self.vendor().defines(number) => self.hand_out(cell),
            NONE => BEYOND,
            row => row.into(),
        }
    }

    /// Gives a slot the next row, if there is one left.
    #[cold]
    fn hand_out(&self, cell: &AtomicU8) -> usize {
        let row = self.used.load(Relaxed);
        if usize::from(row) >= BEYOND {
            return BEYOND;
        }
        cell.store(row, Relaxed);
        self.used.store(row.wrapping_add(1), Release);
        row.into()
    }
}

/// A set and its histograms, to read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The counters.
    pub set: &'a Set,
    /// Their histograms, if they have any.
    pub hist: Option<&'a Hist>,
    /// The causes of the exits, if they are kept.
    pub causes: Option<Causes<'a>>,
}

impl<'a> View<'a> {
    fn cell(self, row: usize, word: usize) -> Option<&'a AtomicU64> {
        match word.checked_sub(WORDS) {
            None => self.set.rows.get(row)?.get(word),
            Some(word) => self.hist?.rows.get(row)?.get(word),
        }
    }

    fn word(self, row: usize, word: usize) -> Option<u64> {
        Some(self.cell(row, word)?.load(Acquire))
    }

    /// Returns one figure, or `None` if there is no such.
    pub fn value(self, number: u32, field: u32) -> Option<u64> {
        let word = match (number, field) {
            (abi::FAILED, abi::EXITS) => return Some(self.set.failed.load(Relaxed)),
            (abi::EMULATED, abi::EXITS) => return Some(self.set.emulated.load(Relaxed)),
            _ => word(field)?,
        };
        let value = match number {
            abi::TOTAL => (0..self.set.used.load(Acquire).into())
                .try_fold(self.word(BEYOND, word)?, |sum, row| {
                    Some(join(word, sum, self.word(row, word)?))
                })?,
            abi::BEYOND => self.word(BEYOND, word)?,
            _ if !self.set.vendor().defines(number) => return None,
            _ => match self.set.map.get(slot(number))?.load(Acquire) {
                NONE => self.word(BEYOND, word).map(|_| 0)?,
                row => self.word(row.into(), word)?,
            },
        };
        Some(shown(field, value))
    }

    /// Returns a word of an entry of the causes, or of [`abi::REST`]; `None` if there is no
    /// such.
    pub fn cause(self, entry: u32, word: u32) -> Option<u64> {
        let causes = self.causes?;
        if entry != abi::REST {
            return causes.copy(entry as usize)?.word(word);
        }
        // Before the rows, as in a sum.
        let [exits, cycles] = causes.sums();
        let (field, held) = match word {
            abi::CAUSE_EXITS => (abi::EXITS, exits),
            abi::CAUSE_CYCLES => (abi::CYCLES, cycles),
            _ => return None,
        };
        Some(self.value(abi::TOTAL, field)?.saturating_sub(held))
    }

    /// Copies a row while another thread may be adding to it.
    ///
    /// It is read against the order in which it is written, so that the copy never has
    /// more times than exits. If it has fewer, exits were being added: it is copied again.
    /// If one is missing all the while, its writer was interrupted, and it is let pass.
    fn line(self, row: usize) -> [u64; ALL] {
        let mut line = [0; ALL];
        for attempt in 0..ATTEMPTS {
            for (word, value) in line.iter_mut().enumerate().rev() {
                *value = self.cell(row, word).map_or(0, |cell| cell.load(Acquire));
            }
            let buckets = line.iter().skip(BUCKETS).take(abi::BUCKETS as usize);
            let timed = buckets.fold(0u64, |sum, n| sum.wrapping_add(*n));
            let missing = line[EXITS].wrapping_sub(line[DROPPED]).wrapping_sub(timed);
            if self.hist.is_none() || missing == 0 || (missing == 1 && attempt >= PATIENCE) {
                break;
            }
        }
        line
    }

    /// Adds another set, which may be written meanwhile. The generation stays.
    pub fn add(self, other: View<'_>) {
        let add_cell = |word, cell: &AtomicU64, by| {
            cell.store(join(word, cell.load(Relaxed), by), Relaxed);
        };
        let add_row = |to, from| {
            for (word, by) in (0..ALL).zip(other.line(from)) {
                if let Some(cell) = self.cell(to, word) {
                    add_cell(word, cell, by);
                }
            }
        };
        // Before the rows, which then have all exits that an entry has.
        if let Some((causes, others)) = self.causes.zip(other.causes) {
            causes.add(others);
        }
        add_cell(EXITS, &self.set.failed, other.set.failed.load(Relaxed));
        add_cell(EXITS, &self.set.emulated, other.set.emulated.load(Relaxed));
        add_row(BEYOND, BEYOND);
        for (to, from) in self.set.map.iter().zip(&other.set.map) {
            let from = from.load(Acquire);
            if from != NONE {
                let to = match to.load(Relaxed) {
                    NONE => self.set.hand_out(to),
                    row => row.into(),
                };
                add_row(to, from.into());
            }
        }
    }

    /// Empties a set and raises its generation.
    pub fn clear(self) {
        let zero = |counter: &AtomicU64| counter.store(0, Relaxed);
        self.set.rows.iter().flatten().for_each(zero);
        self.set.map.iter().for_each(|row| row.store(NONE, Relaxed));
        self.set.used.store(0, Relaxed);
        zero(&self.set.failed);
        zero(&self.set.emulated);
        let hist = self.hist.map(|hist| hist.rows.iter().flatten());
        hist.into_iter().flatten().for_each(zero);
        if let Some(causes) = self.causes {
            causes.clear();
        }
        add(&self.set.generation, 1);
    }
}
