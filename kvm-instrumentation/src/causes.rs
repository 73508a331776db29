// SPDX-License-Identifier: GPL-2.0

//! What made the exits: the most frequent causes, in a table of fixed size.
//!
//! A cause is an exit reason, what the exit was about (its key: a MSR, a port, a page)
//! and the guest's instruction. A guest can make any number of them, so a table keeps
//! those that matter by Space-Saving (Metwally, Agrawal, El Abbadi 2005): a cause that is
//! not in a full table takes over the entry with the fewest exits, and goes on from its
//! count. So, of a table of n entries that saw N exits:
//!
//! - an entry's exits are at most its error too many, and never too few;
//! - their sum is N, so the fewest are at most N / n, and with them each error;
//! - a cause without an entry had at most [`Head::missed`] exits, which are at most the
//!   fewest: whatever had more than N / n is there.
//!
//! While no entry was taken over, all of this is exact. An entry's cycles are of the
//! exits that are its own for sure: exits less error.
//!
//! An entry is found by a hash whose chains are as long as chance has it, for the guest
//! does not know the seed. The entries that have the fewest exits are kept in a bit map;
//! when it has run out, all n are looked at again. So an exit whose cause is there looks at
//! n entries at most, and in fact at one or two; another one at no more than six times n.

#![forbid(unsafe_code)]

use crate::abi;
use crate::counters::add;
use crate::sync::{Acquire, AtomicU32, AtomicU64, AtomicU8, Relaxed, Release};

/// Entries of a vCPU's table, and what is left of a sum: with the head, 8 KiB.
pub const ENTRIES: usize = 123;
/// Room of a sum, which holds two tables while they are joined.
pub const ROOM: usize = 2 * ENTRIES;

/// Chains of the hash.
pub(crate) const CHAINS: usize = 256;
/// How often an entry is copied at most while it is taken over.
const ATTEMPTS: usize = 8;

/// An entry: one cache line.
pub(crate) type Entry = [AtomicU64; WORDS];

pub(crate) const WORDS: usize = 8;

// What the words of an entry are. The first six are those that a leaf tells.
const ID: usize = abi::CAUSE_ID as usize;
const KEY: usize = abi::CAUSE_KEY as usize;
const RIP: usize = abi::CAUSE_RIP as usize;
const EXITS: usize = abi::CAUSE_EXITS as usize;
const CYCLES: usize = abi::CAUSE_CYCLES as usize;
const ERROR: usize = abi::CAUSE_ERROR as usize;
/// The next entry of the chain, counted from 1.
const NEXT: usize = 6;
/// Odd while the entry is being taken over.
const VERSION: usize = 7;

/// What precedes the entries of a table; valid when zeroed.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Head {
    /// Two random numbers, which are odd. C sets them, and `capacity`, before the vCPU
    /// first runs.
    pub(crate) seeds: [u64; 2],
    /// Entries in use.
    pub(crate) used: AtomicU64,
    /// What has no entry had at most so many exits.
    pub(crate) missed: AtomicU64,
    /// The fewest exits of an entry, when that was last looked for.
    pub(crate) fewest: AtomicU64,
    /// The entries that had so many then, and were not taken over since.
    pub(crate) candidates: [AtomicU64; 2],
    /// Entries that there is room for: [`ENTRIES`] or [`ROOM`].
    pub(crate) capacity: AtomicU32,
    pub(crate) reserved: u32,
    /// The first entry of each chain, counted from 1.
    pub(crate) first: [AtomicU8; CHAINS],
}

/// What made an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    /// The reason, and in 63:32 which of the others are valid: [`abi::CAUSE_HAS_KEY`].
    pub id: u64,
    /// What the exit was about.
    pub key: u64,
    /// The linear address of the guest's instruction.
    pub rip: u64,
}

/// An entry, copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) cause: Cause,
    pub(crate) exits: u64,
    pub(crate) cycles: u64,
    pub(crate) error: u64,
}

impl Copied {
    /// Returns a word that a leaf tells.
    pub(crate) fn word(self, word: u32) -> Option<u64> {
        Some(match word {
            abi::CAUSE_ID => self.cause.id,
            abi::CAUSE_KEY => self.cause.key,
            abi::CAUSE_RIP => self.cause.rip,
            abi::CAUSE_EXITS => self.exits,
            abi::CAUSE_CYCLES => self.cycles,
            abi::CAUSE_ERROR => self.error,
            _ => return None,
        })
    }
}

/// A table: its head and its entries.
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a> {
    pub(crate) head: &'a Head,
    pub(crate) entries: &'a [Entry],
}

/// Which entries have been met.
#[derive(Default)]
struct Met([u64; ROOM.div_ceil(64)]);

impl Met {
    /// Meets an entry; returns whether for the first time.
    fn meet(&mut self, index: usize) -> bool {
        let Some(word) = self.0.get_mut(index >> 6) else {
            return false;
        };
        let before = *word;
        *word |= 1 << (index & 63);
        *word != before
    }
}

/// Returns the index before a number that counts from 1; of 0, one that no entry has.
fn index(number: u64) -> usize {
    number.wrapping_sub(1) as usize
}

/// Returns whether an entry is this cause's.
#[inline(always)]
fn is(entry: &Entry, cause: Cause) -> bool {
    let is = |word: usize, value| entry[word].load(Relaxed) == value;
    is(RIP, cause.rip) && is(KEY, cause.key) && is(ID, cause.id)
}

impl<'a> Causes<'a> {
    /// Returns the chain of a cause.
    #[inline(always)]
    fn chain(self, cause: Cause) -> &'a AtomicU8 {
        let [one, other] = &self.head.seeds;
        let about = cause.key.wrapping_add(cause.id << 40);
        // Multiply-shift: for few seeds two causes are of one chain.
        let hash = about
            .wrapping_mul(*one)
            .wrapping_add(cause.rip.wrapping_mul(*other));
        &self.head.first[(hash >> 56) as usize % CHAINS]
    }

    #[inline(always)]
    fn find(self, chain: &AtomicU8, cause: Cause) -> Option<(usize, &'a Entry)> {
        let mut number = chain.load(Relaxed).into();
        for _ in 0..self.entries.len() {
            let entry = self.entries.get(index(number))?;
            if is(entry, cause) {
                return Some((index(number), entry));
            }
            number = entry[NEXT].load(Relaxed);
        }
        None
    }

    /// Counts an exit that took `cycles`, after its reason's row has counted it. One writer only.
    pub(crate) fn count(self, cause: Cause, cycles: u64) {
        let chain = self.chain(cause);
        let found = self.find(chain, cause).map(|(_, entry)| entry);
        if let Some(entry) = found.or_else(|| self.enter(chain, cause)) {
            add(&entry[EXITS], 1);
            add(&entry[CYCLES], cycles);
        }
    }

    /// Gives a cause a free entry, or takes over the one with the fewest exits.
    fn enter(self, chain: &AtomicU8, cause: Cause) -> Option<&'a Entry> {
        let used = self.head.used.load(Relaxed) as usize;
        if let Some(entry) = self.entries.get(used) {
            self.link(chain, used, entry, cause);
            self.head.used.store(used.wrapping_add(1) as u64, Release);
            return Some(entry);
        }
        let (index, entry) = self.fewest()?;
        self.unlink(index, entry);
        add(&entry[VERSION], 1);
        let exits = entry[EXITS].load(Relaxed);
        entry[CYCLES].store(0, Release);
        entry[ERROR].store(exits, Release);
        self.link(chain, index, entry, cause);
        add(&entry[VERSION], 1);
        self.head.missed.store(exits, Release);
        Some(entry)
    }

    fn link(self, chain: &AtomicU8, index: usize, entry: &Entry, cause: Cause) {
        entry[ID].store(cause.id, Release);
        entry[KEY].store(cause.key, Release);
        entry[RIP].store(cause.rip, Release);
        entry[NEXT].store(chain.load(Relaxed).into(), Relaxed);
        chain.store(index.wrapping_add(1) as u8, Relaxed);
    }

    fn unlink(self, gone: usize, entry: &Entry) {
        let next = entry[NEXT].load(Relaxed);
        let chain = self.chain(self.cause(entry));
        let mut number = chain.load(Relaxed).into();
        if index(number) == gone {
            return chain.store(next as u8, Relaxed);
        }
        for _ in 0..self.entries.len() {
            let Some(before) = self.entries.get(index(number)) else {
                return;
            };
            number = before[NEXT].load(Relaxed);
            if index(number) == gone {
                return before[NEXT].store(next, Relaxed);
            }
        }
    }

    fn cause(self, entry: &Entry) -> Cause {
        let word = |word: usize| entry[word].load(Acquire);
        Cause {
            id: word(ID),
            key: word(KEY),
            rip: word(RIP),
        }
    }

    /// Returns an entry that none has fewer exits than, of a full vCPU's table.
    ///
    /// Exits only grow, so an entry that had the fewest and still has as many is one.
    fn fewest(self) -> Option<(usize, &'a Entry)> {
        let exits = |entry: &Entry| entry[EXITS].load(Relaxed);
        let fewest = self.head.fewest.load(Relaxed);
        for (first, word) in [0, 64_u32].into_iter().zip(&self.head.candidates) {
            let mut bits = word.load(Relaxed);
            while bits != 0 {
                let index = bits.trailing_zeros().wrapping_add(first) as usize;
                bits &= bits.wrapping_sub(1);
                if let Some(entry) = self.entries.get(index) {
                    if exits(entry) == fewest {
                        word.store(bits, Relaxed);
                        return Some((index, entry));
                    }
                }
            }
            word.store(0, Relaxed);
        }
        let fewest = self.entries.iter().map(exits).min()?;
        self.head.fewest.store(fewest, Relaxed);
        let mut found = None;
        for index in 0..self.entries.len() {
            match (
                self.entries.get(index),
                self.head.candidates.get(index >> 6),
            ) {
                (Some(entry), Some(word)) if exits(entry) == fewest => {
                    if found.is_none() {
                        found = Some((index, entry));
                    } else {
                        word.store(word.load(Relaxed) | (1 << (index & 63)), Relaxed);
                    }
                }
                _ => (),
            }
        }
        found
    }

    /// Returns how many entries there are.
    pub(crate) fn used(self) -> usize {
        self.head.used.load(Acquire) as usize
    }

    /// Copies an entry, which may be counted in meanwhile; `None` if there is no such, or
    /// it is being taken over all the while.
    pub(crate) fn copy(self, index: usize) -> Option<Copied> {
        let entry = self.entries.get(..self.used())?.get(index)?;
        (0..ATTEMPTS).find_map(|_| {
            let version = entry[VERSION].load(Acquire);
            let copied = Copied {
                cycles: entry[CYCLES].load(Acquire),
                exits: entry[EXITS].load(Acquire),
                error: entry[ERROR].load(Acquire),
                cause: self.cause(entry),
            };
            (version & 1 == 0 && entry[VERSION].load(Relaxed) == version).then_some(copied)
        })
    }

    /// Returns exits and cycles of all entries.
    pub(crate) fn sums(self) -> [u64; 2] {
        let copies = (0..self.used()).filter_map(|index| self.copy(index));
        copies.fold([0; 2], |[exits, cycles], copied| {
            [
                exits.wrapping_add(copied.exits),
                cycles.wrapping_add(copied.cycles),
            ]
        })
    }

    /// Adds another table, which may be written meanwhile, to this one, which has room.
    ///
    /// What only one of them has may have been missed by the other. Those with the most
    /// exits stay, and nothing else than in a table is promised of them: of any n causes,
    /// a table's own exits or else what it missed add up to no more than it saw.
    pub(crate) fn add(self, other: Causes<'_>) {
        let mut met = Met::default();
        let missed = self.head.missed.load(Relaxed);
        let before = self.used();
        for from in (0..other.used()).filter_map(|index| other.copy(index)) {
            let chain = self.chain(from.cause);
            let (index, entry, more) = match self.find(chain, from.cause) {
                Some((index, entry)) => (index, entry, 0),
                None => {
                    let free = self.used();
                    match (free < self.entries.len()).then(|| self.enter(chain, from.cause)) {
                        Some(Some(entry)) => (free, entry, missed),
                        _ => continue,
                    }
                }
            };
            // One that moved on to another entry meanwhile is met again.
            if !met.meet(index) {
                continue;
            }
            add(&entry[EXITS], from.exits.wrapping_add(more));
            add(&entry[ERROR], from.error.wrapping_add(more));
            add(&entry[CYCLES], from.cycles);
        }
        // Read last: what was taken over before it was copied is in it.
        let more = other.head.missed.load(Acquire);
        add(&self.head.missed, more);
        for index in (0..before).filter(|&index| met.meet(index)) {
            if let Some(entry) = self.entries.get(index) {
                add(&entry[EXITS], more);
                add(&entry[ERROR], more);
            }
        }
        self.shorten();
    }

    /// Drops the entries with the fewest exits until as many are left as a vCPU has.
    fn shorten(self) {
        let mut used = self.used();
        if used <= ENTRIES {
            return;
        }
        let exits = |entry: &Entry| entry[EXITS].load(Relaxed);
        while used > ENTRIES {
            let entries = self.entries.get(..used).unwrap_or_default();
            let Some(fewest) = entries.iter().min_by_key(|entry| exits(entry)) else {
                return;
            };
            let missed = self.head.missed.load(Relaxed).max(exits(fewest));
            self.head.missed.store(missed, Relaxed);
            let Some(last) = entries.last() else { return };
            for (to, from) in fewest.iter().zip(last) {
                to.store(from.load(Relaxed), Relaxed);
            }
            used = used.wrapping_sub(1);
        }
        self.clear_chains();
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index) else {
                return;
            };
            if index < used {
                let cause = self.cause(entry);
                self.link(self.chain(cause), index, entry, cause);
            } else {
                entry.iter().for_each(|word| word.store(0, Relaxed));
            }
        }
        self.head.used.store(used as u64, Release);
    }

    fn clear_chains(self) {
        self.head
            .first
            .iter()
            .for_each(|first| first.store(0, Relaxed));
    }

    /// Empties a table.
    pub(crate) fn clear(self) {
        self.clear_chains();
        self.head.used.store(0, Relaxed);
        self.head.missed.store(0, Relaxed);
        let words = self.entries.iter().flatten();
        words.for_each(|word| word.store(0, Relaxed));
    }
}
