// SPDX-License-Identifier: GPL-2.0

//! The guest's side of the causes.

#![forbid(unsafe_code)]

use super::{CpuidReader, Reader};
use crate::abi::{self, CauseSelector};
use crate::causes::Cause;

impl CauseSelector {
    /// Makes ECX; bits that do not fit are cut off.
    pub const fn encode(self) -> u32 {
        (self.entry & 0xffff) | ((self.word & 0xff) << 16) | ((self.snapshot as u32) << 31)
    }
}

/// An entry of the snapshot's causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What made the exits.
    pub cause: Cause,
    /// Exits, of which [`Entry::error`] may be another's.
    pub exits: u64,
    /// Handling cycles of those that are its own for sure.
    pub cycles: u64,
    /// By how much its exits may be too many.
    pub error: u64,
}

impl<T: CpuidReader> Reader<T> {
    fn word(&self, entry: u32, word: u32) -> Option<u64> {
        let selector = CauseSelector {
            entry,
            word,
            snapshot: true,
        };
        let regs = self.cpu.cpuid(abi::CAUSES, selector.encode());
        (regs.edx == 0).then_some(regs.value())
    }

    /// Returns an entry of the snapshot's causes; `None` after the last, or if none are kept.
    pub fn cause(&self, entry: u32) -> Option<Entry> {
        if !self.interface.causes {
            return None;
        }
        let word = |word| self.word(entry, word);
        Some(Entry {
            cause: Cause {
                id: word(abi::CAUSE_ID)?,
                key: word(abi::CAUSE_KEY)?,
                rip: word(abi::CAUSE_RIP)?,
            },
            exits: word(abi::CAUSE_EXITS)?,
            cycles: word(abi::CAUSE_CYCLES)?,
            error: word(abi::CAUSE_ERROR)?,
        })
    }
}
