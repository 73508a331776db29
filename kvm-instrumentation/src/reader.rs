// SPDX-License-Identifier: GPL-2.0

//! The guest's side: asks the leaves and decodes the answers.
//!
//! Not part of the kernel's object.

#![forbid(unsafe_code)]

pub mod causes;

use crate::abi::{self, Layout, Regs, Role, Selector, State};
use crate::counters::{slot, SLOTS};
use crate::vendor::Vendor;

/// Bit 16 of EAX of [`abi::DISCOVERY`]: the figures are the whole host's. Version 1 only.
const HOST_SCOPE: u32 = 1 << 16;

impl Layout {
    /// Returns the leaf that has `role` in this layout.
    pub fn leaf(self, role: Role) -> Option<u32> {
        (abi::FIRST..=abi::FIRST | 3).find(|&leaf| self.role(leaf) == Some(role))
    }
}

impl Selector {
    /// Makes ECX; bits that do not fit are cut off.
    pub const fn encode(self) -> u32 {
        (self.reason & 0xffff) | ((self.field & 0x7fff) << 16) | ((self.snapshot as u32) << 31)
    }
}

/// Something that executes CPUID: the processor, or a test's model of it.
pub trait CpuidReader {
    /// Executes CPUID with these inputs.
    fn cpuid(&self, eax: u32, ecx: u32) -> Regs;
}

impl<T: CpuidReader + ?Sized> CpuidReader for &T {
    fn cpuid(&self, eax: u32, ecx: u32) -> Regs {
        (**self).cpuid(eax, ecx)
    }
}

/// What the discovery leaf tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Which leaf means what.
    pub layout: Layout,
    /// The figures are the whole host's, as version 1 could have it.
    pub host_scope: bool,
    /// Whose exit reasons these are.
    pub vendor: Vendor,
    /// The figures come from beside KVM and not from inside it.
    pub beside: bool,
    /// Size of the reason table; the reader may know fewer or more.
    pub reasons: u32,
    /// Frequency of the clock of all cycles.
    pub tsc_khz: u32,
    /// Bit n is set if field n is served.
    pub fields: u32,
    /// Leaf [`abi::CAUSES`] is served.
    pub causes: bool,
    /// Buckets of a histogram; 0 without histograms.
    pub buckets: u32,
}

/// Why there is no interface to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeError {
    /// The signature is not there: an unpatched host, or it does not show it.
    Absent,
    /// It is there in a version that this reader does not know.
    Version(u32),
    /// It is there with a layout that this reader does not know.
    Layout(u32),
    /// It is there with reasons of a vendor that this reader does not know.
    Vendor(u32),
}

impl core::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Absent => write!(f, "the host's KVM does not offer exit statistics"),
            Self::Version(version) => {
                write!(
                    f,
                    "the host offers exit statistics in unknown version {version}"
                )
            }
            Self::Layout(layout) => {
                write!(
                    f,
                    "the host offers exit statistics in unknown layout {layout}"
                )
            }
            Self::Vendor(vendor) => {
                write!(
                    f,
                    "the host offers exit statistics of unknown vendor {vendor}"
                )
            }
        }
    }
}

/// Reads leaves of one interface.
#[derive(Clone, Copy, Debug)]
pub struct Reader<T> {
    cpu: T,
    interface: Interface,
}

/// All figures of one reason but its histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Exits.
    pub exits: u64,
    /// Handling cycles.
    pub cycles: u64,
    /// Smallest handling cycles of one exit.
    pub min: u64,
    /// Largest handling cycles of one exit.
    pub max: u64,
    /// Blocked cycles.
    pub blocked: u64,
    /// Userspace cycles.
    pub user: u64,
    /// Exits from a nested guest.
    pub l2: u64,
    /// Dropped timings.
    pub dropped: u64,
}

/// The times of one reason that version 1 does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Cycles for which the vCPU's thread was scheduled out.
    pub away: u64,
    /// Cycles from handling to the next entry.
    pub entry: u64,
    /// Cycles in the guest until such an exit.
    pub guest: u64,
}

/// One consistent set of all figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// By the reason's [`slot`]; `None` where the host defines none.
    pub reasons: [Option<(State, Figures)>; SLOTS],
    /// Of hardware reasons that the host does not define, and of no exit.
    pub beyond: Figures,
    /// The sum of all these, as the host gives it.
    pub total: Figures,
    /// Entries that failed.
    pub failed: u64,
    /// Entries that KVM emulated.
    pub emulated: u64,
    /// How many snapshots this vCPU had taken by then.
    pub generation: u64,
}

impl<T: CpuidReader> Reader<T> {
    /// Asks whether there is an interface, and which.
    pub fn probe(cpu: T) -> Result<Self, ProbeError> {
        let Regs { eax, ebx, ecx, edx } = cpu.cpuid(abi::DISCOVERY, 0);
        if [ebx, ecx, edx] != abi::SIGNATURE {
            return Err(ProbeError::Absent);
        }
        let version = eax & 0xff;
        if version != abi::VERSION {
            return Err(ProbeError::Version(version));
        }
        let layout = (eax >> 8) & 0xff;
        let layout = Layout::from_number(layout).ok_or(ProbeError::Layout(layout))?;
        let vendor = (eax >> abi::VENDOR_SHIFT) & 0xf;
        let vendor = Vendor::from_number(vendor).ok_or(ProbeError::Vendor(vendor))?;
        let size = cpu.cpuid(abi::DISCOVERY, 1);
        let interface = Interface {
            layout,
            host_scope: eax & HOST_SCOPE != 0,
            vendor,
            beside: eax & abi::BESIDE != 0,
            reasons: size.eax,
            tsc_khz: size.ebx,
            fields: size.ecx,
            causes: eax & abi::HAS_CAUSES != 0,
            buckets: match eax & abi::HISTOGRAMS {
                0 => 0,
                _ => size.edx.min(64),
            },
        };
        Ok(Self { cpu, interface })
    }

    /// Returns what the host offers.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Asks the extension leaf; `None` is an undefined selector.
    pub fn select(&self, selector: Selector) -> Option<u64> {
        let regs = self.cpu.cpuid(abi::EXTENSION, selector.encode());
        (regs.edx == 0).then_some(regs.value())
    }

    /// Returns the state of a reason.
    pub fn state(&self, reason: u32) -> State {
        self.state_at(reason, false)
    }

    fn state_at(&self, reason: u32, snapshot: bool) -> State {
        let selector = Selector {
            reason,
            field: abi::STATE,
            snapshot,
        };
        match self.select(selector) {
            Some(2) => State::Enabled,
            Some(1) => State::NotEnabled,
            _ => State::Undefined,
        }
    }

    /// Asks one of the four leaves; `None` if the layout does not have it.
    ///
    /// The answer is what the host said: [`Regs::UNDEFINED`] for an undefined reason.
    pub fn leaf(&self, role: Role, reason: u32) -> Option<Regs> {
        let leaf = self.interface.layout.leaf(role)?;
        Some(self.cpu.cpuid(leaf, reason))
    }

    /// Takes a snapshot and reads all of it.
    ///
    /// The caller pins the thread to one CPU first. Each time somebody else takes
    /// a snapshot on that CPU meanwhile, it starts again, `attempts` times at most.
    /// `None` is that this did not suffice, or that the host had no memory.
    pub fn snapshot(&self, attempts: u32) -> Option<Snapshot> {
        (0..attempts).find_map(|_| {
            let taken = self.take()?;
            let snapshot = self.read_snapshot(taken)?;
            (self.generation()? == taken).then_some(snapshot)
        })
    }

    /// Takes a snapshot and returns its generation.
    pub fn take(&self) -> Option<u64> {
        self.select(Selector {
            reason: 0,
            field: abi::SNAPSHOT,
            snapshot: false,
        })
    }

    /// Returns the generation of this CPU's snapshot, if it has one.
    pub fn generation(&self) -> Option<u64> {
        self.select(Selector {
            reason: 0,
            field: abi::SNAPSHOT,
            snapshot: true,
        })
    }

    fn read_snapshot(&self, generation: u64) -> Option<Snapshot> {
        let entries = |reason| {
            self.select(Selector {
                reason,
                field: abi::EXITS,
                snapshot: true,
            })
        };
        let mut reasons = [None; SLOTS];
        for reason in self.interface.vendor.reasons() {
            let number = reason.number.into();
            let state = self.state_at(number, true);
            if let Some(place) = reasons.get_mut(slot(number)) {
                if state != State::Undefined {
                    *place = Some((state, self.figures(number, true)?));
                }
            }
        }
        Some(Snapshot {
            reasons,
            beyond: self.figures(abi::BEYOND, true)?,
            total: self.figures(abi::TOTAL, true)?,
            failed: entries(abi::FAILED)?,
            emulated: entries(abi::EMULATED)?,
            generation,
        })
    }

    /// Returns all figures of a reason or pseudo reason, live or from the snapshot.
    ///
    /// A field that the host does not serve is 0.
    pub fn figures(&self, reason: u32, snapshot: bool) -> Option<Figures> {
        let get = |field| self.served(reason, field, snapshot);
        Some(Figures {
            exits: get(abi::EXITS)?,
            cycles: get(abi::CYCLES)?,
            min: get(abi::MIN)?,
            max: get(abi::MAX)?,
            blocked: get(abi::BLOCKED)?,
            user: get(abi::USER)?,
            l2: get(abi::L2)?,
            dropped: get(abi::DROPPED)?,
        })
    }

    /// Returns the times that version 1 does not have; likewise.
    pub fn times(&self, reason: u32, snapshot: bool) -> Option<Times> {
        let get = |field| self.served(reason, field, snapshot);
        Some(Times {
            away: get(abi::AWAY)?,
            entry: get(abi::ENTRY)?,
            guest: get(abi::GUEST)?,
        })
    }

    fn served(&self, reason: u32, field: u32, snapshot: bool) -> Option<u64> {
        if (self.interface.fields >> field) & 1 == 0 {
            return Some(0);
        }
        self.select(Selector {
            reason,
            field,
            snapshot,
        })
    }

    /// Returns the number of the host's counters, 0 in version 1. Another number means
    /// another set: figures do not continue.
    pub fn instance(&self) -> u64 {
        self.cpu.cpuid(abi::DISCOVERY, 2).value()
    }

    /// Returns the histogram of a reason or pseudo reason, live or from the snapshot.
    ///
    /// Bucket k is of exits that took `[2^k, 2^(k+1))` cycles, and the last that the
    /// interface has of longer ones too; `None` are those that it does not have.
    pub fn histogram(&self, reason: u32, snapshot: bool) -> [Option<u64>; 64] {
        let mut buckets = [None; 64];
        for (bucket, slot) in (0..self.interface.buckets).zip(&mut buckets) {
            *slot = self.select(Selector {
                reason,
                field: abi::BUCKET.wrapping_add(bucket),
                snapshot,
            });
        }
        buckets
    }
}
