// SPDX-License-Identifier: GPL-2.0
//! A VM that serves the leaves as KVM does, for tests.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::cell::{Cell, RefCell};

use exit_stats::abi::{self, Layout, Regs, Role, Selector};
use exit_stats::answer::{Config, Query, Step};
use exit_stats::clock::{Armed, Vcpu};
use exit_stats::counters::Counters;
use exit_stats::hist::Hist;
use exit_stats::reader::CpuidReader;

/// A VM as KVM would serve it.
pub struct Vm {
    pub config: Config,
    pub vcpus: Vec<(Vcpu, Option<Box<Hist>>)>,
    pub armed: Armed,
    pub snapshot: RefCell<Option<(Counters, Option<Box<Hist>>)>>,
    pub memory: Cell<bool>,
    /// Runs before every CPUID, as other vCPUs do.
    pub meanwhile: Box<dyn Fn(&Vm)>,
}

impl Vm {
    pub fn new(vcpus: usize, hist: bool) -> Self {
        let histograms = || hist.then(Box::<Hist>::default);
        Self {
            config: Config {
                enabled: [!0, !0],
                tsc_khz: 2_600_000,
                hist,
                ..Config::default()
            },
            vcpus: (0..vcpus)
                .map(|_| (Vcpu::default(), histograms()))
                .collect(),
            armed: Armed::new(),
            snapshot: RefCell::new(None),
            memory: Cell::new(true),
            meanwhile: Box::new(|_| ()),
        }
    }

    pub fn exit(&self, vcpu: usize, reason: u32, l2: bool, start: u64, cycles: u64) {
        let (vcpu, hist) = &self.vcpus[vcpu];
        // Exits at the very instant of arming are not timed.
        let start = start + 1;
        vcpu.exit(reason, l2, start);
        vcpu.handled(&self.armed, hist.as_deref(), start + cycles);
    }

    /// What KVM does for CPUID; `None` is that it answers as if unpatched.
    pub fn serve(&self, leaf: u32, ecx: u32) -> Option<Regs> {
        let (mut query, step) = Query::begin(&self.config, leaf, ecx);
        match step {
            Step::NotServed => return None,
            Step::Ready => (),
            Step::AddLive => {
                for (vcpu, hist) in &self.vcpus {
                    query.add(vcpu.counters(), hist.as_deref());
                }
            }
            Step::TakeSnapshot | Step::AddSnapshot => {
                let mut snapshot = self.snapshot.borrow_mut();
                if step == Step::TakeSnapshot {
                    self.take(&mut snapshot);
                }
                if let Some((counters, hist)) = &*snapshot {
                    query.add(counters, hist.as_deref());
                }
            }
        }
        Some(query.end())
    }

    fn take(&self, snapshot: &mut Option<(Counters, Option<Box<Hist>>)>) {
        if snapshot.is_none() && self.memory.get() {
            let hist = self.config.hist.then(Box::<Hist>::default);
            *snapshot = Some((Counters::default(), hist));
        }
        let Some((counters, hist)) = snapshot else {
            return;
        };
        counters.begin_snapshot();
        if let Some(hist) = hist {
            hist.clear();
        }
        for (vcpu, from) in &self.vcpus {
            counters.merge(vcpu.counters());
            if let Some(hist) = hist {
                hist.merge(vcpu.counters(), from.as_deref());
            }
        }
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
