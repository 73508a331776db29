// SPDX-License-Identifier: GPL-2.0

//! Answers of the leaves.
//!
//! A leaf is answered by one set after the other: what a set says is added to what the
//! registers hold already. So KVM visits its vCPUs without a lock of ours and without a
//! copy of their tables, and a leaf that asks for one reason reads one word of each.

#![forbid(unsafe_code)]

use crate::abi::{self, CauseSelector, Layout, Regs, Role, Selector, State};
use crate::counters::{join_field, slot, View};
use crate::vendor::Vendor;

/// What answers depend on besides the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// The bit of a reason's slot: it has a handler and its cause is on in the VM.
    pub enabled: [u64; 3],
    /// A number that no other set of counters has.
    pub instance: u64,
    /// Number of the [`Layout`].
    pub layout: u32,
    /// Number of the [`Vendor`].
    pub vendor: u32,
    /// Frequency of the host's TSC.
    pub tsc_khz: u32,
    /// There are histograms.
    pub hist: bool,
    /// The time from handling to entry is measured.
    pub entry: bool,
    /// It counts beside KVM, which keeps some of it to itself: see [`Config::hides`].
    pub beside: bool,
    /// The causes of the exits are kept.
    pub causes: bool,
}

impl Config {
    fn vendor(&self) -> Vendor {
        Vendor::from_number(self.vendor).unwrap_or_default()
    }

    /// Returns the state of a reason that occurred `exits` times.
    fn state(&self, number: u32, exits: u64) -> State {
        let slot = slot(number);
        let word = self.enabled.get(slot >> 6);
        let enabled = word.is_some_and(|word| (word >> (slot & 63)) & 1 != 0);
        match self.vendor().defines(number) {
            false => State::Undefined,
            true if enabled || exits != 0 => State::Enabled,
            true => State::NotEnabled,
        }
    }

    /// Returns whether only KVM could tell: entries that failed or had to be emulated, and
    /// what SVM's VMCB intercepts.
    fn hides(&self, reason: u32, field: u32) -> bool {
        self.beside
            && (matches!(reason, abi::FAILED | abi::EMULATED)
                || (field == abi::STATE && self.vendor() == Vendor::Svm))
    }

    fn discovery(&self, subleaf: u32) -> Regs {
        let vendor = self.vendor();
        match subleaf {
            0 => {
                let [ebx, ecx, edx] = abi::SIGNATURE;
                Regs {
                    eax: abi::VERSION
                        | ((self.layout & 0xff) << 8)
                        | if self.hist { abi::HISTOGRAMS } else { 0 }
                        | if self.causes { abi::HAS_CAUSES } else { 0 }
                        | if self.beside { abi::BESIDE } else { 0 }
                        | ((vendor as u32) << abi::VENDOR_SHIFT),
                    ebx,
                    ecx,
                    edx,
                }
            }
            1 => {
                let unless = |served, fields| if served { 0 } else { fields };
                Regs {
                    eax: vendor
                        .numbers()
                        .last()
                        .map_or(0, |last| last.wrapping_add(1)),
                    ebx: self.tsc_khz,
                    ecx: 0xfff
                        & !unless(self.hist, (1 << abi::MIN) | (1 << abi::MAX))
                        & !unless(self.hist && self.entry, 1 << abi::ENTRY)
                        & !unless(!self.hides(0, abi::STATE), 1 << abi::STATE),
                    edx: if self.hist { abi::BUCKETS } else { 0 },
                }
            }
            2 => Regs::from_value(self.instance),
            _ => Regs::default(),
        }
    }
}

/// Adds to `regs` what a set says to a leaf; `None` is a set that is not there.
///
/// The registers are zero before the first set. Returns whether the leaf is ours: if it
/// is not, it is answered as if we did not exist.
pub fn answer(
    config: &Config,
    leaf: u32,
    subleaf: u32,
    set: Option<View<'_>>,
    regs: &mut Regs,
) -> bool {
    let value = |number, field| set?.value(number, field);
    let total = |field| value(abi::TOTAL, field).unwrap_or(0);
    let added = match leaf {
        abi::DISCOVERY => Some(config.discovery(subleaf)),
        abi::EXTENSION => {
            extension(config, Selector::decode(subleaf), set, regs.value()).map(Regs::from_value)
        }
        abi::CAUSES if config.causes => CauseSelector::decode(subleaf)
            .and_then(|CauseSelector { entry, word, .. }| set?.cause(entry, word))
            .map(Regs::from_value),
        _ => {
            let Some(role) = Layout::from_number(config.layout).and_then(|all| all.role(leaf))
            else {
                return false;
            };
            let of_reason = |field| match config.vendor().defines(subleaf) {
                true => value(subleaf, field),
                false => None,
            };
            let (exits, cycles) = match role {
                Role::Total => (Some(total(abi::EXITS)), Some(total(abi::CYCLES))),
                Role::TotalCycles => (Some(0), Some(total(abi::CYCLES))),
                Role::Exits => (of_reason(abi::EXITS), Some(0)),
                Role::Cycles => (Some(0), of_reason(abi::CYCLES)),
            };
            exits.zip(cycles).map(|(exits, cycles)| {
                Regs::from_totals(
                    regs.exits().wrapping_add(exits),
                    regs.cycles().wrapping_add(cycles),
                )
            })
        }
    };
    *regs = added.unwrap_or(Regs::UNDEFINED);
    true
}

/// Joins what sets before said to a selector with what this one says.
fn extension(
    config: &Config,
    selector: Selector,
    set: Option<View<'_>>,
    before: u64,
) -> Option<u64> {
    let set = set?;
    let Selector { reason, field, .. } = selector;
    match field {
        abi::SNAPSHOT => Some(set.set.generation()),
        _ if config.hides(reason, field) => None,
        abi::STATE if reason >= abi::BEYOND => None,
        abi::STATE => {
            let exits = set.value(reason, abi::EXITS).unwrap_or(0);
            Some(before.max(config.state(reason, exits) as u64))
        }
        _ => Some(join_field(field, before, set.value(reason, field)?)),
    }
}
