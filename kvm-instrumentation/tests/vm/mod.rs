// SPDX-License-Identifier: GPL-2.0
//! A VM that serves the leaves as KVM does, for tests.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::cell::Cell;

use exit_stats::abi::{self, Layout, Regs, Role, Selector};
use exit_stats::answer::{answer, Config};
use exit_stats::causes::ENTRIES;
use exit_stats::clock::Vcpu;
use exit_stats::counters::{Set, View};
use exit_stats::hist::Hist;
use exit_stats::outside::Table;
use exit_stats::reader::CpuidReader;
use exit_stats::reason::Vendor;

/// So many, or as many as Miri has the time for, which takes some thousand times as long.
pub const fn many<T: Copy>(usual: T, in_miri: T) -> T {
    if cfg!(miri) {
        in_miri
    } else {
        usual
    }
}

/// A vCPU with its counters, or a set of counters alone.
pub struct Counted {
    pub vcpu: Vcpu,
    pub set: Box<Set>,
    pub hist: Option<Box<Hist>>,
    pub causes: Option<Box<Table<ENTRIES>>>,
}

impl Counted {
    pub fn new(vendor: Vendor, hist: bool) -> Self {
        let set = Box::<Set>::default();
        set.set_vendor(vendor);
        let hist = hist.then(Box::default);
        let vcpu = Vcpu::default();
        let causes = None;
        Self {
            vcpu,
            set,
            hist,
            causes,
        }
    }

    /// A vCPU of Intel's with histograms whose life begins at 0.
    pub fn vmx() -> Self {
        Self::new(Vendor::Vmx, true)
    }

    pub fn view(&self) -> View<'_> {
        View {
            set: &self.set,
            hist: self.hist.as_deref(),
            causes: self.causes.as_ref().map(|table| table.causes()),
        }
    }

    pub fn value(&self, number: u32, field: u32) -> Option<u64> {
        self.view().value(number, field)
    }

    /// These fields of a reason.
    pub fn fields<const N: usize>(&self, number: u32, fields: [u32; N]) -> [u64; N] {
        fields.map(|field| self.value(number, field).unwrap())
    }

    pub fn exit(&self, number: u32, l2: bool, start: u64, cycles: u64) {
        self.vcpu.exit(number, l2, start);
        self.handled(start.wrapping_add(cycles));
    }

    pub fn handled(&self, tsc: u64) {
        self.vcpu.handled(self.view(), tsc);
    }

    pub fn event(&self, event: u32, tsc: u64) {
        self.vcpu.event(self.view(), event, tsc);
    }
}

/// A VM as KVM would serve it.
pub struct Vm {
    pub config: Config,
    pub vcpus: Vec<Counted>,
    pub clock: Cell<u64>,
    pub snapshot: Counted,
    pub taken: Cell<bool>,
    pub memory: Cell<bool>,
    /// Runs before every CPUID, as other vCPUs do.
    pub meanwhile: Box<dyn Fn(&Vm)>,
}

impl Vm {
    pub fn new(vcpus: usize, hist: bool) -> Self {
        Self::of(Vendor::Vmx, vcpus, hist)
    }

    pub fn of(vendor: Vendor, vcpus: usize, hist: bool) -> Self {
        Self {
            config: Config {
                enabled: [!0; 3],
                tsc_khz: 2_600_000,
                vendor: vendor as u32,
                instance: 0x1234_5678_9abc_def0,
                hist,
                ..Config::default()
            },
            vcpus: (0..vcpus).map(|_| Counted::new(vendor, hist)).collect(),
            clock: Cell::new(0),
            snapshot: Counted::new(vendor, hist),
            taken: Cell::new(false),
            memory: Cell::new(true),
            meanwhile: Box::new(|_| ()),
        }
    }

    /// An exit at the VM's own clock.
    pub fn exit(&self, vcpu: usize, number: u32, l2: bool, cycles: u64) {
        let start = self.clock.get() + 1;
        self.clock.set(start.saturating_add(cycles));
        self.vcpus[vcpu].exit(number, l2, start, cycles);
    }

    /// What KVM does for CPUID; `None` is that it answers as if unpatched.
    pub fn serve(&self, leaf: u32, ecx: u32) -> Option<Regs> {
        let mut regs = Regs::default();
        let Selector {
            field, snapshot, ..
        } = Selector::decode(ecx);
        if leaf == abi::EXTENSION && (snapshot || field == abi::SNAPSHOT) {
            if !snapshot && self.memory.get() {
                self.taken.set(true);
                self.snapshot.view().clear();
                let vcpus = self.vcpus.iter();
                vcpus.for_each(|vcpu| self.snapshot.view().add(vcpu.view()));
            }
            let set = self.taken.get().then(|| self.snapshot.view());
            return answer(&self.config, leaf, ecx, set, &mut regs).then_some(regs);
        }
        let mut vcpus = self.vcpus.iter().map(Counted::view);
        let served = vcpus.all(|vcpu| answer(&self.config, leaf, ecx, Some(vcpu), &mut regs));
        served.then_some(regs)
    }

    pub fn select(&self, reason: u32, field: u32, snapshot: bool) -> Regs {
        let selector = Selector {
            reason,
            field,
            snapshot,
        };
        self.serve(abi::EXTENSION, selector.encode()).unwrap()
    }

    pub fn leaf(&self, role: Role, reason: u32) -> Regs {
        let layout = Layout::from_number(self.config.layout).unwrap();
        self.serve(layout.leaf(role).unwrap(), reason).unwrap()
    }
}

impl CpuidReader for Vm {
    fn cpuid(&self, eax: u32, ecx: u32) -> Regs {
        (self.meanwhile)(self);
        // What a Haswell guest of an unpatched KVM was seen to get.
        self.serve(eax, ecx).unwrap_or(Regs {
            eax: 7,
            ebx: 0x340,
            ecx: 0x340,
            edx: 0,
        })
    }
}

pub fn regs(eax: u32, ebx: u32, ecx: u32, edx: u32) -> Regs {
    Regs { eax, ebx, ecx, edx }
}
