// SPDX-License-Identifier: GPL-2.0
//! Designs with histograms that were tried, as little as those of `others`.

use std::sync::atomic::{AtomicU64, AtomicU8, Ordering::Relaxed};

use super::others::{add, Plain, ROWS};
use super::{clock, each, Place, Shared};
use exit_stats::counters::View;

/// Lines of eight buckets to hand out: with the marks 16 KiB, like ours.
const LINES: usize = 245;
/// What fits in 16 KiB if each row has as many.
const NARROW: u32 = 23;

/// All buckets of all rows: 43.5 KiB.
pub(crate) struct Flat([[AtomicU64; 64]; ROWS]);

impl Default for Flat {
    fn default() -> Self {
        Self(std::array::from_fn(|_| {
            std::array::from_fn(|_| AtomicU64::new(0))
        }))
    }
}

/// As many buckets a row as 16 KiB hold; the outermost take what lies beyond.
pub(crate) struct Narrow([[AtomicU64; NARROW as usize]; ROWS]);

impl Default for Narrow {
    fn default() -> Self {
        Self(std::array::from_fn(|_| {
            std::array::from_fn(|_| AtomicU64::new(0))
        }))
    }
}

/// Lines that are handed out, like ours; the eight marks of a row are also one word.
pub(crate) struct Lines {
    words: [AtomicU64; ROWS],
    marks: [[AtomicU8; 8]; ROWS],
    lines: [[AtomicU64; 8]; LINES],
    used: AtomicU64,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            marks: std::array::from_fn(|_| Default::default()),
            lines: std::array::from_fn(|_| Default::default()),
            used: AtomicU64::new(0),
        }
    }
}

impl Lines {
    /// Returns the mark of a line that is handed out.
    #[cold]
    #[inline(never)]
    fn hand_out(&self) -> u8 {
        let used = self.used.load(Relaxed);
        self.used.store(used + 1, Relaxed);
        u8::try_from(used + 1).unwrap_or(u8::MAX)
    }

    /// Adds to a bucket; false if the mark is of no line.
    #[inline(always)]
    fn add(&self, mark: u8, bucket: u32) -> bool {
        let line = self.lines.get(usize::from(mark.wrapping_sub(1)));
        line.is_some_and(|line| {
            add(&line[(bucket & 7) as usize], 1);
            true
        })
    }
}

/// Counts, adds up, and keeps the extremes; returns the time's bucket.
#[inline(always)]
fn count(plain: &Plain, reason: u32) -> u32 {
    let cycles = plain.count(reason);
    plain.extremes(reason, cycles);
    (cycles | 1).ilog2()
}

/// All buckets of all rows, found by an index.
#[inline(never)]
pub(crate) fn flat(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let bucket = count(&place.plain, reason);
        if let Some(row) = place.flat.0.get(reason as usize) {
            add(&row[(bucket & 63) as usize], 1);
        }
    });
}

/// Fewer buckets, of which the outermost are no powers of two.
#[inline(never)]
pub(crate) fn narrow(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let bucket = count(&place.plain, reason).saturating_sub(6);
        if let Some(row) = place.narrow.0.get(reason as usize) {
            add(&row[bucket.min(NARROW - 1) as usize], 1);
        }
    });
}

/// Lines that are handed out: ours, less what `others` lacks.
#[inline(never)]
pub(crate) fn lines(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let bucket = count(&place.plain, reason);
        let Some(marks) = place.lines.marks.get(reason as usize) else {
            return;
        };
        let mark = &marks[((bucket >> 3) & 7) as usize];
        if !place.lines.add(mark.load(Relaxed), bucket) {
            mark.store(place.lines.hand_out(), Relaxed);
        }
    });
}

/// The same, with the marks of a row read as one word: the load does not wait for the time.
#[inline(never)]
pub(crate) fn word(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let bucket = count(&place.plain, reason);
        let Some(word) = place.lines.words.get(reason as usize) else {
            return;
        };
        let (marks, shift) = (word.load(Relaxed), bucket & 0x38);
        if !place.lines.add((marks >> shift) as u8, bucket) {
            let mark = u64::from(place.lines.hand_out());
            word.store(marks | (mark << shift), Relaxed);
        }
    });
}

/// All buckets, for the exit before: its time need not be waited for.
#[inline(never)]
pub(crate) fn deferred(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let (before, bucket) = place.before;
        if let Some(row) = place.flat.0.get(before as usize) {
            add(&row[(bucket & 63) as usize], 1);
        }
        place.before = (reason, count(&place.plain, reason));
    });
}

/// Times that wait to be sorted into the histograms, so that no load waits for the clock.
#[derive(Default)]
pub(crate) struct Ring {
    waiting: [AtomicU64; 32],
    used: AtomicU64,
}

/// Sorts all that waits into the lines that are handed out.
#[inline(never)]
fn sort_in(place: &Place) {
    for slot in &place.ring.waiting {
        let (reason, bucket) = (slot.load(Relaxed) >> 8, slot.load(Relaxed) as u8);
        let Some(marks) = place.lines.marks.get(reason as usize) else {
            continue;
        };
        let mark = &marks[usize::from((bucket >> 3) & 7)];
        if !place.lines.add(mark.load(Relaxed), u32::from(bucket)) {
            mark.store(place.lines.hand_out(), Relaxed);
        }
    }
    place.ring.used.store(0, Relaxed);
}

/// Lines that are handed out, for 32 exits at once: until then they wait in a ring.
#[inline(never)]
pub(crate) fn ring(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let used = place.ring.used.load(Relaxed);
        let bucket = count(&place.plain, reason);
        let word = (u64::from(reason) << 8) | u64::from(bucket);
        place.ring.waiting[(used & 31) as usize].store(word, Relaxed);
        place.ring.used.store(used + 1, Relaxed);
        if used == 31 {
            sort_in(place);
        }
    });
}

/// Ours with histograms, inlined instead of called.
#[inline(never)]
pub(crate) fn inlined(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        place.vcpu.exit(reason, false, clock());
        let to = View {
            set: &place.set,
            hist: Some(&place.hist),
            causes: None,
        };
        place.vcpu.handled(to, clock());
    });
}
