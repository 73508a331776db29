// SPDX-License-Identifier: GPL-2.0

//! Answers of the leaves.
//!
//! A query first says what it needs; then each set of counters in question is
//! added; at last it makes the registers. So KVM visits its vCPUs without a
//! lock of ours and without a copy of their tables, and a leaf that asks for one
//! reason reads one word of each.

#![forbid(unsafe_code)]

use crate::abi::{self, Layout, Regs, Role, Selector, State};
use crate::counters::{Counters, Figure, Scope};
use crate::hist::Hist;
use crate::reason;

/// What answers depend on besides the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Bit n: reason n has a handler and its cause is on in the VM.
    pub enabled: [u64; 2],
    /// Number of the [`Layout`].
    pub layout: u32,
    /// Frequency of the host's TSC.
    pub tsc_khz: u32,
    /// The figures are the whole host's.
    pub host_scope: bool,
    /// There are histograms.
    pub hist: bool,
    /// Zero.
    pub reserved: [u8; 6],
}

impl Config {
    /// Returns the state of a reason.
    pub fn state(&self, reason: u32) -> State {
        let word = self.enabled.get((reason >> 6) as usize);
        let enabled = word.is_some_and(|word| (word >> (reason & 63)) & 1 != 0);
        match (reason::is_defined(reason), enabled) {
            (false, _) => State::Undefined,
            (true, false) => State::NotEnabled,
            (true, true) => State::Enabled,
        }
    }
}

/// What a query needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// Not ours: the leaf is answered as if we did not exist.
    NotServed = 0,
    /// Nothing.
    Ready = 1,
    /// The live counters of every vCPU.
    AddLive = 2,
    /// The snapshot of the vCPU that asks.
    AddSnapshot = 3,
    /// The same, after it has been taken anew.
    TakeSnapshot = 4,
}

/// How the registers are made; plain numbers, since C carries them.
mod shape {
    /// Both words hold two registers each.
    pub(super) const READY: u32 = 0;
    /// Exits.
    pub(super) const EXITS: u32 = 1;
    /// Cycles.
    pub(super) const CYCLES: u32 = 2;
    /// Exits and cycles.
    pub(super) const BOTH: u32 = EXITS | CYCLES;
    /// One figure for the extension leaf.
    pub(super) const FIGURE: u32 = 4;
    /// A value for the extension leaf that the counters do not change.
    pub(super) const KNOWN: u32 = 5;
    /// The generation of a snapshot.
    pub(super) const GENERATION: u32 = 6;
}

/// A leaf that is being answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Query {
    pub(crate) value: u64,
    pub(crate) second: u64,
    pub(crate) reason: u32,
    pub(crate) field: u32,
    pub(crate) shape: u32,
    pub(crate) step: u32,
    pub(crate) added: u32,
    pub(crate) broken: u32,
}

impl Query {
    /// Decodes a leaf.
    pub fn begin(config: &Config, leaf: u32, ecx: u32) -> (Self, Step) {
        match leaf {
            abi::EXTENSION => Self::extension(config, Selector::decode(ecx)),
            abi::DISCOVERY => Self::ready(Self::discovery(config, ecx)),
            _ => match Layout::from_number(config.layout).and_then(|layout| layout.role(leaf)) {
                Some(role) => Self::of_role(config, role, ecx),
                None => (Self::default(), Step::NotServed),
            },
        }
    }

    fn discovery(config: &Config, ecx: u32) -> Regs {
        match ecx {
            0 => {
                let flag = |on: bool, bit| if on { bit } else { 0 };
                let [ebx, ecx, edx] = abi::SIGNATURE;
                Regs {
                    eax: abi::VERSION
                        | ((config.layout & 0xff) << 8)
                        | flag(config.host_scope, abi::HOST_SCOPE)
                        | flag(config.hist, abi::HISTOGRAMS),
                    ebx,
                    ecx,
                    edx,
                }
            }
            1 => Regs {
                eax: reason::COUNT as u32,
                ebx: config.tsc_khz,
                ecx: abi::FIELDS,
                edx: if config.hist { abi::BUCKETS } else { 0 },
            },
            _ => Regs::default(),
        }
    }

    fn of_role(config: &Config, role: Role, ecx: u32) -> (Self, Step) {
        let (shape, of_reason) = match role {
            Role::Total => (shape::BOTH, false),
            Role::TotalCycles => (shape::CYCLES, false),
            Role::Exits => (shape::EXITS, true),
            Role::Cycles => (shape::CYCLES, true),
        };
        if !of_reason {
            return Self::sum(shape, abi::TOTAL, 0, Step::AddLive);
        }
        match config.state(ecx) {
            State::Undefined => Self::ready(Regs::UNDEFINED),
            State::NotEnabled => Self::ready(Regs::default()),
            State::Enabled => Self::sum(shape, ecx, 0, Step::AddLive),
        }
    }

    fn extension(config: &Config, selector: Selector) -> (Self, Step) {
        let Selector {
            reason,
            field,
            snapshot,
        } = selector;
        let step = match snapshot {
            true => Step::AddSnapshot,
            false => Step::AddLive,
        };
        match field {
            // The reason does not matter.
            abi::SNAPSHOT if snapshot => Self::sum(shape::GENERATION, reason, field, step),
            abi::SNAPSHOT => Self::sum(shape::GENERATION, reason, field, Step::TakeSnapshot),
            abi::STATE if reason >= abi::BEYOND => Self::ready(Regs::UNDEFINED),
            abi::STATE => {
                let state = u64::from(config.state(reason) as u32);
                if !snapshot {
                    return Self::ready(Regs::from_value(state));
                }
                // It needs a snapshot to be read from, though none changes it.
                let (mut query, step) = Self::sum(shape::KNOWN, reason, field, step);
                query.value = state;
                (query, step)
            }
            _ => {
                let served = match (Scope::from_number(reason), Figure::from_field(field)) {
                    (Some(_), Some(Figure::Bucket(_))) if !config.hist => false,
                    (Some(scope), Some(figure)) => scope.has(figure),
                    _ => false,
                };
                if !served {
                    return Self::ready(Regs::UNDEFINED);
                }
                Self::sum(shape::FIGURE, reason, field, step)
            }
        }
    }

    fn ready(regs: Regs) -> (Self, Step) {
        let query = Self {
            value: (u64::from(regs.ebx) << 32) | u64::from(regs.eax),
            second: (u64::from(regs.edx) << 32) | u64::from(regs.ecx),
            shape: shape::READY,
            step: Step::Ready as u32,
            ..Self::default()
        };
        (query, Step::Ready)
    }

    fn sum(shape: u32, reason: u32, field: u32, step: Step) -> (Self, Step) {
        let query = Self {
            reason,
            field,
            shape,
            step: step as u32,
            ..Self::default()
        };
        (query, step)
    }

    /// Adds what one set of counters has to say.
    pub fn add(&mut self, counters: &Counters, hist: Option<&Hist>) {
        self.added = self.added.saturating_add(1);
        let joined = match self.shape {
            shape::FIGURE => Figure::from_field(self.field)
                .and_then(|figure| self.join(counters, hist, figure, self.value))
                .map(|value| (value, 0)),
            shape::GENERATION => Some((counters.generation(), 0)),
            shape @ (shape::EXITS | shape::CYCLES | shape::BOTH) => {
                let part = |asked, figure, sum| match shape & asked {
                    0 => Some(0),
                    _ => self.join(counters, None, figure, sum),
                };
                part(shape::EXITS, Figure::Exits, self.value).zip(part(
                    shape::CYCLES,
                    Figure::Cycles,
                    self.second,
                ))
            }
            _ => return,
        };
        match joined {
            Some((value, second)) => (self.value, self.second) = (value, second),
            None => self.broken = 1,
        }
    }

    fn join(
        &self,
        counters: &Counters,
        hist: Option<&Hist>,
        figure: Figure,
        sum: u64,
    ) -> Option<u64> {
        let scope = Scope::from_number(self.reason)?;
        Some(figure.join(sum, counters.value(hist, scope, figure)?))
    }

    /// Makes the registers.
    pub fn end(&self) -> Regs {
        let (value, second) = (self.value, self.second);
        if self.shape == shape::READY {
            return Regs {
                eax: value as u32,
                ebx: (value >> 32) as u32,
                ecx: second as u32,
                edx: (second >> 32) as u32,
            };
        }
        if self.added == 0 || self.broken != 0 {
            return Regs::UNDEFINED;
        }
        match self.shape {
            shape::EXITS | shape::CYCLES | shape::BOTH => Regs::from_totals(value, second),
            _ => Regs::from_value(value),
        }
    }
}
