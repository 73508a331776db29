// SPDX-License-Identifier: GPL-2.0
//! Designs without histograms that were tried, and two loads that show what an
//! instruction costs between two readings of the clock. Each is less than ours must be:
//! none of them knows of nested guests, of being scheduled out, or of being switched on
//! and off.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{clock, each, Place, Shared};

/// As many rows as ours, one more than there are reasons; a power of two would cost more
/// memory and one check less.
pub(super) const ROWS: usize = 87;

/// Rows of plain counters.
pub(crate) struct Plain {
    rows: [[AtomicU64; 8]; ROWS],
    start: AtomicU64,
}

impl Default for Plain {
    fn default() -> Self {
        Self {
            rows: std::array::from_fn(|_| Default::default()),
            start: AtomicU64::new(0),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

impl Plain {
    /// Counts and adds up, and returns the time.
    #[inline(always)]
    pub(super) fn count(&self, reason: u32) -> u64 {
        self.start.store(clock(), Relaxed);
        let Some(row) = self.rows.get(reason as usize) else {
            return 0;
        };
        add(&row[0], 1);
        let cycles = clock().wrapping_sub(self.start.load(Relaxed));
        add(&row[1], cycles);
        cycles
    }

    /// Smallest and largest, by a comparison and a jump each.
    #[inline(always)]
    pub(super) fn extremes(&self, reason: u32, cycles: u64) {
        let Some(row) = self.rows.get(reason as usize) else {
            return;
        };
        // The smallest is kept inverted, so that 0 is none yet.
        if !cycles > row[2].load(Relaxed) {
            row[2].store(!cycles, Relaxed);
        }
        if cycles > row[3].load(Relaxed) {
            row[3].store(cycles, Relaxed);
        }
    }
}

/// Two additions, and no smallest and largest.
#[inline(never)]
pub(crate) fn adds(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        place.plain.count(reason);
    });
}

/// Smallest and largest, each by a jump that is hardly ever taken.
#[inline(never)]
pub(crate) fn jumps(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let cycles = place.plain.count(reason);
        place.plain.extremes(reason, cycles);
    });
}

/// Smallest and largest written each time, without a jump.
#[inline(never)]
pub(crate) fn branchless(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        let cycles = place.plain.count(reason);
        if let Some(row) = place.plain.rows.get(reason as usize) {
            row[2].store(row[2].load(Relaxed).max(!cycles), Relaxed);
            row[3].store(row[3].load(Relaxed).max(cycles), Relaxed);
        }
    });
}

/// The floor, and ten multiplications of which each needs the one before: a long wait,
/// and few instructions.
#[inline(never)]
pub(crate) fn chain(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        place.last.store(clock(), Relaxed);
        let end = black_box(clock());
        let product = (0..10).fold(end, |product, _| product.wrapping_mul(u64::from(reason)));
        place.plain.start.store(product, Relaxed);
    });
}

/// The floor, and three loads of which each needs the one before: as long a wait.
#[inline(never)]
pub(crate) fn loads(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        place.last.store(clock(), Relaxed);
        let end = black_box(clock());
        // What is loaded is 0, which only we know.
        let follow = |at: u64| place.plain.rows[(at & 63) as usize][7].load(Relaxed);
        let found = follow(follow(follow(end & u64::from(reason))));
        place.plain.start.store(found, Relaxed);
    });
}

/// The floor, and three loads that do not need each other.
#[inline(never)]
pub(crate) fn apart(place: &mut Place, _: &Shared, exits: u64) {
    each(exits, |reason| {
        place.last.store(clock(), Relaxed);
        black_box(clock());
        let load = |at: u32| place.plain.rows[(at & 63) as usize][7].load(Relaxed);
        let found = load(reason) | load(reason + 1) | load(reason + 2);
        place.plain.start.store(found, Relaxed);
    });
}
