// SPDX-License-Identifier: GPL-2.0
//! The CPUs of one machine, and in what they differ.
//!
//! Nothing is stored a CPU, for nothing is allocated: what has to be known
//! again is read again, and only where CPUs differ.

use core::fmt;

use crate::capabilities::{Capabilities, State};
use crate::cpuid::Identity;
use crate::decode::{Allowed, Answer, FieldValue, RawLine};
use crate::msr::{Control, Field, Kind, Msr};
use crate::tables::MSRS;

/// A machine with CPUs whose MSRs can be read. The set of CPUs must not change
/// while it is looked at.
pub trait Machine {
    /// The first online CPU, or the next one after the given one.
    fn next_cpu(&self, after: Option<u32>) -> Option<u32>;

    /// The value of an MSR of that CPU, or `None` where RDMSR raises #GP.
    fn read_msr(&self, cpu: u32, index: u32) -> Option<u64>;
}

/// The CPUs of a machine, and how to read them.
#[derive(Debug, Clone, Copy)]
pub struct Cpus<'a, M> {
    /// The machine.
    pub machine: &'a M,
    /// What CPUID says.
    pub identity: &'a Identity,
    /// Whether to read MSRs that do not exist by their rule, too.
    pub probe: bool,
}

/// A list of CPUs, such as `CPUs 1,4-7`, of no more ranges than fit in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuList {
    ranges: [(u32, u32); CpuList::RANGES],
    used: usize,
}

impl CpuList {
    /// With ten digits a number, 32 ranges are at most 672 characters; a
    /// kernel log line holds about a thousand.
    pub const RANGES: usize = 32;

    const EMPTY: Self = Self {
        ranges: [(0, 0); Self::RANGES],
        used: 0,
    };

    /// Adds the next higher CPU; false if the list is full.
    fn push(&mut self, cpu: u32) -> bool {
        if let Some((_, last)) = self.ranges.iter_mut().take(self.used).last() {
            if last.checked_add(1) == Some(cpu) {
                *last = cpu;
                return true;
            }
        }
        match self.ranges.get_mut(self.used) {
            Some(range) => {
                *range = (cpu, cpu);
                self.used = self.used.saturating_add(1);
                true
            }
            None => false,
        }
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = match self.ranges.iter().take(self.used).next() {
            Some((first, last)) if self.used == 1 && first == last => "CPU ",
            _ => "CPUs ",
        };
        for (first, last) in self.ranges.iter().take(self.used) {
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// Part of an MSR that has a name of its own.
#[derive(Debug, Clone, Copy)]
enum Part {
    Control(&'static Control),
    Field(&'static Field),
}

/// What a part says on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Answer(Answer),
    Value(u64),
}

impl Part {
    fn mask(self, msr: &Msr) -> u64 {
        match (self, &msr.kind) {
            (Part::Control(control), Kind::Allowed01 { .. }) => {
                control.mask() | control.mask().wrapping_shl(32)
            }
            (Part::Control(control), _) => control.mask(),
            (Part::Field(field), _) => field.mask(),
        }
    }

    fn says(self, msr: &Msr, value: u64) -> Says {
        match (self, Allowed::of(msr, value)) {
            (Part::Control(control), Some(allowed)) => Says::Answer(allowed.answer(control.bit)),
            (Part::Control(control), None) => Says::Value((value & control.mask() != 0).into()),
            (Part::Field(field), _) => Says::Value(field.of(value)),
        }
    }
}

/// `HLT exiting: Can set=Yes, Can clear=No`.
struct Said(Part, Says);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Said(Part::Field(field), Says::Value(value)) => FieldValue { field, value }.fmt(f),
            Said(Part::Field(field), Says::Answer(answer)) => write!(f, "{}: {answer}", field.name),
            Said(Part::Control(control), Says::Answer(answer)) => {
                write!(f, "{}: {answer}", control.name)
            }
            Said(Part::Control(control), Says::Value(value)) => {
                write!(f, "{}: {value}", control.name)
            }
        }
    }
}

impl<M: Machine> Cpus<'_, M> {
    /// The online CPUs, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        core::iter::successors(self.machine.next_cpu(None), |cpu| {
            self.machine.next_cpu(Some(*cpu))
        })
    }

    /// Reads one CPU.
    pub fn read(&self, cpu: u32) -> Capabilities {
        let reader = |index| self.machine.read_msr(cpu, index);
        Capabilities::collect(self.identity, &reader, self.probe)
    }

    /// Compares every other CPU with `first`, whose values are given. Passes a
    /// line for each difference to `line`, and returns the number of CPUs.
    pub fn compare(
        &self,
        first: u32,
        caps: &Capabilities,
        line: &mut impl FnMut(fmt::Arguments<'_>),
    ) -> u32 {
        let mut count = 0u32;
        let mut changed = [0u64; MSRS.len()];
        for cpu in self.iter() {
            count = count.saturating_add(1);
            let other = self.read(cpu);
            for (slot, ((_, here), (_, there))) in
                changed.iter_mut().zip(caps.iter().zip(other.iter()))
            {
                *slot |= difference(here, there);
            }
        }
        for ((msr, state), changed) in caps.iter().zip(changed) {
            if changed == 0 {
                continue;
            }
            let state_on = |cpu| self.read(cpu).state(msr);
            self.groups(state, state_on, &mut |cpus, state| {
                line(format_args!("{cpus}: {}", RawLine(msr, state)));
            });
            let Some(value) = state.raw() else {
                continue;
            };
            for part in parts(msr).filter(|part| part.mask(msr) & changed != 0) {
                let says = part.says(msr, value);
                // A CPU that has no value at all was named by its state.
                let says_on = |cpu| {
                    state_on(cpu)
                        .raw()
                        .map_or(says, |value| part.says(msr, value))
                };
                self.groups(says, says_on, &mut |cpus, other| {
                    let (here, there) = (Said(part, says), Said(part, other));
                    line(format_args!(
                        "{cpus}: {there} ({}); CPU {first}: {here}",
                        msr.name
                    ));
                });
            }
        }
        count
    }

    /// Finds the CPUs on which `value` is not `usual`, and passes each value
    /// with the CPUs that have it to `emit`: at least once a value, and again
    /// when the list of CPUs is full.
    fn groups<V: Copy + PartialEq>(
        &self,
        usual: V,
        value: impl Fn(u32) -> V,
        emit: &mut impl FnMut(&CpuList, V),
    ) {
        for first in self.iter() {
            let this = value(first);
            let mut before = self.iter().take_while(|cpu| *cpu < first);
            if this == usual || before.any(|cpu| value(cpu) == this) {
                continue;
            }
            let mut list = CpuList::EMPTY;
            let from_here = self.iter().skip_while(|cpu| *cpu < first);
            for cpu in from_here.filter(|cpu| value(*cpu) == this) {
                if !list.push(cpu) {
                    emit(&list, this);
                    list = CpuList::EMPTY;
                    list.push(cpu);
                }
            }
            emit(&list, this);
        }
    }
}

/// The bits in which two states differ; all of them where one has no value.
fn difference(a: State, b: State) -> u64 {
    match (a.raw(), b.raw()) {
        (Some(a), Some(b)) => a ^ b,
        _ if a == b => 0,
        _ => u64::MAX,
    }
}

fn parts(msr: &'static Msr) -> impl Iterator<Item = Part> {
    let fields = match msr.kind {
        Kind::Fields { fields } => fields,
        _ => &[],
    };
    let controls = msr.controls().iter().map(Part::Control);
    controls.chain(fields.iter().map(Part::Field))
}
