// SPDX-License-Identifier: GPL-2.0
//! The values of one CPU, collected so that no read can go wrong unnoticed.

use core::fmt;

use crate::cpuid::Identity;
use crate::msr::{Bit, Exists, Msr};
use crate::tables::MSRS;

/// One logical processor whose MSRs can be read.
pub trait MsrReader {
    /// The value of the MSR, or `None` where RDMSR raises #GP.
    fn read_msr(&self, index: u32) -> Option<u64>;
}

impl<F: Fn(u32) -> Option<u64>> MsrReader for F {
    fn read_msr(&self, index: u32) -> Option<u64> {
        self(index)
    }
}

/// What is known about an MSR of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its rule says that it exists, and it was read.
    Present(u64),
    /// Its rule says that it does not exist.
    NotEnumerated,
    /// Its rule says that it exists, and yet RDMSR raised #GP.
    Faulted,
    /// Its rule says that it does not exist, and yet it could be read.
    PresentNotEnumerated(u64),
}

impl State {
    /// The value of an MSR that exists by its rule.
    pub const fn value(self) -> Option<u64> {
        match self {
            State::Present(value) => Some(value),
            _ => None,
        }
    }

    /// Whatever value was read, by rule or not.
    pub const fn raw(self) -> Option<u64> {
        match self {
            State::Present(value) | State::PresentNotEnumerated(value) => Some(value),
            _ => None,
        }
    }
}

/// [`State::NotEnumerated`] as it stands in a log.
pub const NOT_ENUMERATED: &str = "not enumerated";
/// [`State::Faulted`] as it stands in a log.
pub const FAULTED: &str = "enumerated, but the read faulted";
/// What follows the value of a [`State::PresentNotEnumerated`] in a log.
pub const NOT_BY_RULE: &str = "readable though not enumerated";

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Present(value) => write!(f, "{value:#x}"),
            State::NotEnumerated => f.write_str(NOT_ENUMERATED),
            State::Faulted => f.write_str(FAULTED),
            State::PresentNotEnumerated(value) => write!(f, "{value:#x} ({NOT_BY_RULE})"),
        }
    }
}

/// The state of every capability MSR of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    states: [State; MSRS.len()],
}

impl Capabilities {
    /// A CPU of which nothing is known: no MSR is enumerated.
    pub const EMPTY: Self = Self {
        states: [State::NotEnumerated; MSRS.len()],
    };

    /// Reads every MSR that exists by its rule, and with `probe` the others
    /// too.
    pub fn collect(identity: &Identity, cpu: &impl MsrReader, probe: bool) -> Self {
        let mut caps = Self::EMPTY;
        for msr in MSRS {
            let exists = caps.exists(identity, msr);
            let value = if exists || probe {
                cpu.read_msr(msr.index)
            } else {
                None
            };
            caps.set(
                msr.index,
                match (exists, value) {
                    (true, Some(value)) => State::Present(value),
                    (true, None) => State::Faulted,
                    (false, Some(value)) => State::PresentNotEnumerated(value),
                    (false, None) => State::NotEnumerated,
                },
            );
        }
        caps
    }

    /// Whether the MSR exists by its rule, given the MSRs of lower numbers.
    pub fn exists(&self, identity: &Identity, msr: &Msr) -> bool {
        match msr.exists {
            Exists::VmxSmxOrSgx => identity.vmx || identity.smx || identity.sgx,
            Exists::Vmx => identity.vmx,
            Exists::VmxAnd(groups) => {
                identity.vmx
                    && groups
                        .iter()
                        .all(|group| group.iter().any(|bit| self.bit(*bit)))
            }
        }
    }

    /// The state of an MSR; one that the tables lack is not enumerated.
    pub fn state(&self, msr: &Msr) -> State {
        self.iter()
            .find(|(row, _)| row.index == msr.index)
            .map_or(State::NotEnumerated, |(_, state)| state)
    }

    /// The value of an MSR that exists by its rule and could be read.
    pub fn value(&self, msr: &Msr) -> Option<u64> {
        self.state(msr).value()
    }

    /// Whether a bit of an MSR is 1; a value that is not there has none.
    pub fn bit(&self, bit: Bit) -> bool {
        let mask = 1u64.wrapping_shl(u32::from(bit.bit));
        self.iter()
            .any(|(msr, state)| msr.index == bit.msr && state.value().unwrap_or(0) & mask != 0)
    }

    /// Notes the state of an MSR, as read from a log. Returns false, and
    /// changes nothing, for a number that the tables lack.
    pub fn set(&mut self, index: u32, state: State) -> bool {
        for (msr, slot) in MSRS.iter().zip(self.states.iter_mut()) {
            if msr.index == index {
                *slot = state;
                return true;
            }
        }
        false
    }

    /// Every MSR with its state, by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Msr, State)> + '_ {
        MSRS.iter().zip(self.states.iter().copied())
    }
}
