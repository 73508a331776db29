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

use core::sync::atomic::{
    AtomicPtr, AtomicU16, AtomicU64, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::hist::{self, Hist};
use crate::{abi, reason::Vendor};

/// Rows of a set; the first is of [`abi::BEYOND`].
pub const ROWS: usize = 56;

/// Numbers that may have a row of their own, see [`slot`].
pub const SLOTS: usize = 184;

/// Numbers below this are their own slots.
const DIRECT: u32 = 168;

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

/// All figures of a row: its words, and those of its histogram.
pub(crate) type Line = [u64; WORDS + hist::WORDS];

// What the words after them are, of a row's histogram.
const MIN: usize = WORDS + hist::MIN;
const MAX: usize = WORDS + hist::MAX;
const ENTRY: usize = WORDS + hist::ENTRY;
const LATEST: usize = WORDS + hist::LATEST;
const BUCKETS: usize = WORDS + hist::BUCKETS;

/// How often a row is copied until it holds whole exits only. A copy takes some 50 ns.
const ATTEMPTS: usize = 8;

/// What a vCPU carries; valid when zeroed, with [`Set::vendor`] 0.
///
/// A snapshot and what a view is reset to are of this type too. The methods that
/// record are for the one thread that holds the vCPU.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Set {
    /// When the latest exit happened. C writes it, and reason and phase.
    pub(crate) start: AtomicU64,
    /// Until when all time is accounted for.
    pub(crate) mark: AtomicU64,
    /// When what interrupts the phase began; 0 if nothing does.
    pub(crate) since: AtomicU64,
    /// When the guest was first entered.
    pub(crate) first: AtomicU64,
    /// The histograms, or null. C sets it before the vCPU first runs.
    pub(crate) hist: AtomicPtr<Hist>,
    pub(crate) failed: AtomicU64,
    pub(crate) emulated: AtomicU64,
    /// The number of the latest exit.
    pub(crate) reason: AtomicU16,
    pub(crate) phase: AtomicU16,
    /// Whose numbers these are. C sets it before the vCPU first runs.
    pub(crate) vendor: AtomicU8,
    /// Rows handed out.
    pub(crate) used: AtomicU8,
    pub(crate) reserved: u16,
    /// Of a snapshot: how many times it has been taken.
    pub(crate) generation: AtomicU64,
    /// The row of each slot; 0 is none.
    pub(crate) map: [AtomicU8; SLOTS],
    pub(crate) rows: [Row; ROWS],
}

impl Default for Set {
    fn default() -> Self {
        Self {
            start: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            since: AtomicU64::new(0),
            first: AtomicU64::new(0),
            hist: AtomicPtr::new(core::ptr::null_mut()),
            failed: AtomicU64::new(0),
            emulated: AtomicU64::new(0),
            reason: AtomicU16::new(0),
            phase: AtomicU16::new(0),
            vendor: AtomicU8::new(0),
            used: AtomicU8::new(0),
            reserved: 0,
            generation: AtomicU64::new(0),
            map: [const { AtomicU8::new(0) }; SLOTS],
            rows: [const { [const { AtomicU64::new(0) }; WORDS] }; ROWS],
        }
    }
}

/// Returns the slot of a number; [`SLOTS`] if it has none.
#[inline(always)]
pub const fn slot(number: u32) -> usize {
    match number {
        0..DIRECT => number as usize,
        0x400..=0x407 => DIRECT as usize + (number & 7) as usize,
        0xfff0..=0xfff7 => DIRECT as usize + 8 + (number & 7) as usize,
        _ => SLOTS,
    }
}

/// Adds to a counter of which the caller is the only writer.
#[inline(always)]
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    // Released, so that who sees it sees what was written before: the exit.
    counter.store(counter.load(Relaxed).wrapping_add(by), Release);
}

/// Returns the word of a [`Line`] that a field is.
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

/// Joins what two rows, or two sets, say. A smallest time of 0 is none.
fn join(word: usize, a: u64, b: u64) -> u64 {
    match word {
        MIN if a == 0 || b == 0 => a | b,
        MIN => a.min(b),
        MAX => a.max(b),
        _ => a.wrapping_add(b),
    }
}

/// Joins two values of one field, as those of two vCPUs.
pub(crate) fn join_field(field: u32, a: u64, b: u64) -> u64 {
    word(field).map_or(0, |word| join(word, a, b))
}

impl Set {
    /// Returns whose numbers these are.
    pub fn vendor(&self) -> Vendor {
        Vendor::from_number(self.vendor.load(Relaxed).into()).unwrap_or_default()
    }

    /// Says whose numbers these are, before anything is recorded.
    pub fn set_vendor(&self, vendor: Vendor) {
        self.vendor.store(vendor as u8, Relaxed);
    }

    /// Returns how many times a snapshot was taken.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Returns from when until when all time is accounted for.
    pub fn life(&self) -> (u64, u64) {
        (self.first.load(Relaxed), self.mark.load(Relaxed))
    }

    /// Returns the index of a number's row; 0 if it has none of its own.
    #[inline(always)]
    pub(crate) fn row_at(&self, number: u16) -> usize {
        let row = self.map.get(slot(number.into()));
        row.map_or(0, |row| row.load(Relaxed).into())
    }

    /// Returns the same after a row was handed out to it, if there is one left.
    pub(crate) fn row_of(&self, number: u16) -> usize {
        let row = self.row_at(number);
        if row != 0 {
            return row;
        }
        let number = number.into();
        let used = self.used.load(Relaxed).wrapping_add(1);
        match self.map.get(slot(number)) {
            Some(row) if usize::from(used) < ROWS && self.vendor().get(number).is_some() => {
                self.used.store(used, Relaxed);
                row.store(used, Release);
                used.into()
            }
            _ => 0,
        }
    }

    /// Empties a snapshot and raises its generation.
    pub(crate) fn clear(&self) {
        let counters = self.rows.iter().flatten();
        counters.for_each(|counter| counter.store(0, Relaxed));
        self.map.iter().for_each(|row| row.store(0, Relaxed));
        self.used.store(0, Relaxed);
        self.failed.store(0, Relaxed);
        self.emulated.store(0, Relaxed);
        add(&self.generation, 1);
    }
}

/// A set and its histograms, to read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The counters.
    pub set: &'a Set,
    /// Their histograms, if they have any.
    pub hist: Option<&'a Hist>,
}

impl<'a> View<'a> {
    fn cell(self, row: usize, word: usize) -> Option<&'a AtomicU64> {
        match word.checked_sub(WORDS) {
            None => self.set.rows.get(row)?.get(word),
            Some(word) => self.hist?.rows.get(row)?.get(word),
        }
    }

    /// Returns one figure, or `None` if there is no such.
    pub fn value(self, number: u32, field: u32) -> Option<u64> {
        match (number, field) {
            (abi::FAILED, abi::EXITS) => return Some(self.set.failed.load(Relaxed)),
            (abi::EMULATED, abi::EXITS) => return Some(self.set.emulated.load(Relaxed)),
            _ => (),
        }
        let word = word(field)?;
        let of_row = |row| {
            let value = self.cell(row, word)?.load(Acquire);
            let latest = match word {
                BUCKETS.. => self.cell(row, LATEST)?.load(Relaxed),
                _ => 0,
            };
            let waiting = latest != 0 && WORDS + hist::word_of(latest) == word;
            Some(value.wrapping_add(waiting.into()))
        };
        if number == abi::TOTAL {
            let rows = 0..=self.set.used.load(Acquire).into();
            return rows
                .map(of_row)
                .try_fold(0, |sum, row| Some(join(word, sum, row?)));
        }
        if number == abi::BEYOND {
            return of_row(0);
        }
        self.set.vendor().get(number)?;
        let none = of_row(0).map(|_| 0);
        match self.set.map.get(slot(number))?.load(Acquire) {
            0 => none,
            row => of_row(row.into()),
        }
    }

    /// Copies a row while another thread may be adding to it.
    ///
    /// It is read against the order in which it is written, so that the copy never has
    /// more times than exits. If it has fewer, an exit was being added: it is copied
    /// again, and taken as it is if that goes on, because its writer was interrupted.
    fn line(self, row: usize) -> Line {
        let mut line = [0; WORDS + hist::WORDS];
        for _ in 0..ATTEMPTS {
            for (word, value) in line.iter_mut().enumerate().rev() {
                *value = self.cell(row, word).map_or(0, |cell| cell.load(Acquire));
            }
            let latest = core::mem::take(&mut line[LATEST]);
            if let (1.., Some(bucket)) = (latest, line.get_mut(WORDS + hist::word_of(latest))) {
                *bucket = bucket.wrapping_add(1);
            }
            let buckets = line.iter().skip(BUCKETS);
            let timed = buckets.fold(0u64, |sum, bucket| sum.wrapping_add(*bucket));
            if self.hist.is_none() || timed == line[EXITS].wrapping_sub(line[DROPPED]) {
                break;
            }
        }
        line
    }

    /// Changes each figure by that of the same reason in another set.
    fn change(self, other: View<'_>, change: impl Fn(usize, u64, u64) -> u64) {
        let entries = [
            (&self.set.failed, &other.set.failed),
            (&self.set.emulated, &other.set.emulated),
        ];
        for (to, from) in entries {
            to.store(change(EXITS, to.load(Relaxed), from.load(Relaxed)), Relaxed);
        }
        let change_row = |to, from| {
            for (word, by) in other.line(from).into_iter().enumerate() {
                if let Some(cell) = self.cell(to, word) {
                    cell.store(change(word, cell.load(Relaxed), by), Relaxed);
                }
            }
        };
        change_row(0, 0);
        for (to, from) in self.set.map.iter().zip(&other.set.map) {
            let from = from.load(Acquire);
            if from == 0 {
                continue;
            }
            if to.load(Relaxed) == 0 {
                let used = self.set.used.load(Relaxed).wrapping_add(1);
                if usize::from(used) < ROWS {
                    self.set.used.store(used, Relaxed);
                    to.store(used, Relaxed);
                }
            }
            change_row(to.load(Relaxed).into(), from.into());
        }
    }

    /// Adds another set, which may be written meanwhile. The generation stays.
    pub fn add(self, other: View<'_>) {
        self.change(other, join);
    }

    /// Takes an earlier state of this set away. Smallest and largest stay as they are.
    pub fn subtract(self, base: View<'_>) {
        self.change(base, |word, from, by| match word {
            MIN | MAX => from,
            _ => from.saturating_sub(by),
        });
    }

    /// Empties a snapshot and raises its generation.
    pub fn clear(self) {
        self.set.clear();
        if let Some(hist) = self.hist {
            hist.clear();
        }
    }
}
