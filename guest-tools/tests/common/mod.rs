// SPDX-License-Identifier: GPL-2.0
//! A model of a guest: its CPUs, and a KVM that serves their CPUID with the code
//! that the kernel has.
#![allow(dead_code, unreachable_pub)] // Each test has a copy, and not every test uses all of it.

pub mod causes;
pub mod host;
pub mod metrics;

use std::cell::{Cell, RefCell};
use std::io;

use clap::Parser;
use exit_stats::abi::{Regs, Selector, CAUSES, EXTENSION, SNAPSHOT};
use exit_stats::answer::{answer, Config};
use exit_stats::causes::{Cause, ENTRIES, ROOM};
use exit_stats::clock::Vcpu;
use exit_stats::counters::{Set, View};
use exit_stats::hist::Hist;
use exit_stats::outside::Table;
use exit_stats::reader::CpuidReader;
use vmxscope::args::Cli;
use vmxscope::error::Result;
use vmxscope::output::{Look, Output};
use vmxscope::processor::Processor;

/// The frequency of the model's clock: 2 cycles are a nanosecond.
pub const TSC_KHZ: u32 = 2_000_000;

pub struct Machine {
    /// `None` is a host that serves no leaves of ours.
    pub config: Option<Config>,
    /// Whether the discovery and extension leaves are served.
    pub discovery: bool,
    pub vendor: &'static [u8; 12],
    pub hypervisor: Option<&'static [u8; 12]>,
    /// What leaves get that nobody serves.
    pub otherwise: Regs,
    /// Whether CPUID tells the frequency of the TSC.
    pub tsc_leaf: bool,
    pub cpus: usize,
    /// Whether the host has memory for a snapshot.
    pub memory: bool,
    /// How many times a snapshot is replaced while it is read.
    pub disturbed: Cell<u32>,
    /// What happens when the program lets go of its CPU for the n-th time, which it
    /// does after each reading.
    pub meanwhile: fn(&Machine, u32),
    pub released: Cell<u32>,
    pub pinned: Cell<usize>,
    pub vcpu: Vcpu,
    pub counted: (Set, Box<Hist>),
    pub clock: Cell<u64>,
    pub snapshot: RefCell<Option<(Set, Box<Hist>)>>,
    /// The causes of the exits and those of the snapshot, if the host keeps them.
    pub causes: Option<Box<(Table<ENTRIES>, Table<ROOM>)>>,
}

impl Machine {
    /// A guest of a patched KVM on an Intel host.
    pub fn patched() -> Self {
        Self {
            config: Some(Config {
                enabled: [!0; 3],
                tsc_khz: TSC_KHZ,
                hist: true,
                ..Config::default()
            }),
            discovery: true,
            vendor: b"GenuineIntel",
            hypervisor: Some(b"KVMKVMKVM\0\0\0"),
            otherwise: Regs::default(),
            tsc_leaf: false,
            cpus: 2,
            memory: true,
            disturbed: Cell::new(0),
            meanwhile: |_, _| (),
            released: Cell::new(0),
            pinned: Cell::new(0),
            vcpu: Default::default(),
            counted: Default::default(),
            clock: Cell::new(1_000_000),
            snapshot: RefCell::new(None),
            causes: None,
        }
    }

    /// One whose host keeps the causes of exits.
    pub fn caused() -> Self {
        let mut machine = Self::patched();
        machine.causes = Some(Box::new((Table::new(1), Table::new(1))));
        machine.config.as_mut().unwrap().causes = true;
        machine
    }

    /// Lets an exit happen whose cause is kept.
    pub fn exit_by(&self, cause: Cause, cycles: u64) {
        let start = self.clock.get();
        self.vcpu.exit(cause.id as u32, false, start);
        let id = cause.id & !0xffff_ffff;
        self.vcpu.cause(Cause { id, ..cause });
        self.vcpu.handled(self.view(), start + cycles);
        self.clock.set(start + cycles + 1_000);
    }

    fn taken<'a>(&'a self, set: &'a (Set, Box<Hist>)) -> View<'a> {
        View {
            causes: self.causes.as_ref().map(|causes| causes.1.causes()),
            ..view(set)
        }
    }

    fn view(&self) -> View<'_> {
        View {
            causes: self.causes.as_ref().map(|causes| causes.0.causes()),
            ..view(&self.counted)
        }
    }

    /// A guest of an unpatched one.
    pub fn stock() -> Self {
        Self {
            config: None,
            ..Self::patched()
        }
    }

    /// A guest that did what a small boot does.
    pub fn booted() -> Self {
        let machine = Self::patched();
        for (reason, times, cycles) in [
            (0, 30, 2_500),
            (1, 200, 3_100),
            (12, 150, 1_900),
            (28, 40, 1_700),
            (30, 1_200, 9_000),
            (32, 700, 1_300),
            (48, 2_000, 6_000),
            (49, 25, 15_000),
        ] {
            for n in 0..times {
                machine.exit(reason, cycles + n * 7 % 1_000);
            }
        }
        machine
    }

    /// Lets an exit happen.
    pub fn exit(&self, reason: u32, cycles: u64) {
        let start = self.clock.get();
        self.vcpu.exit(reason, false, start);
        self.vcpu.handled(view(&self.counted), start + cycles);
        self.clock.set(start + cycles + 1_000);
    }

    fn basic(&self, leaf: u32) -> Option<Regs> {
        let words = |text: &[u8; 12]| {
            let word = |n: usize| u32::from_le_bytes(text[n..n + 4].try_into().unwrap());
            [word(0), word(4), word(8)]
        };
        let [first, second, third] = words(self.vendor);
        let (features, [ebx, ecx, edx]) = match self.hypervisor {
            Some(signature) => (1 << 31, words(signature)),
            None => (0, [0; 3]),
        };
        let regs = |eax, ebx, ecx, edx| Regs { eax, ebx, ecx, edx };
        Some(match leaf {
            0 if self.tsc_leaf => regs(0x15, first, third, second),
            // A crystal of 25 MHz.
            0x15 if self.tsc_leaf => regs(1, TSC_KHZ / 25_000, 25_000_000, 0),
            0 => regs(0xd, first, third, second),
            1 => regs(0x306c3, 0, features, 0),
            7 => Regs::default(),
            0xd => regs(7, 0x340, 0x340, 0),
            0x4000_0000 if self.hypervisor.is_some() => regs(0x4000_0001, ebx, ecx, edx),
            _ => return None,
        })
    }

    fn serve(&self, leaf: u32, ecx: u32) -> Option<Regs> {
        let config = self.config.as_ref()?;
        if !self.discovery && leaf < exit_stats::abi::FIRST {
            return None;
        }
        let Selector {
            field,
            snapshot: of_snapshot,
            ..
        } = Selector::decode(ecx);
        let mut regs = Regs::default();
        let mut snapshot = self.snapshot.borrow_mut();
        let set = if !(matches!(leaf, EXTENSION | CAUSES) && (of_snapshot || field == SNAPSHOT)) {
            Some(self.view())
        } else {
            if self.memory && !of_snapshot {
                let taken = self.taken(snapshot.get_or_insert_with(Default::default));
                taken.clear();
                taken.add(self.view());
            }
            snapshot.as_ref().map(|set| self.taken(set))
        };
        answer(config, leaf, ecx, set, &mut regs).then_some(regs)
    }
}

/// A set and its histograms.
pub fn view(pair: &(Set, Box<Hist>)) -> View<'_> {
    View {
        set: &pair.0,
        hist: Some(&pair.1),
        causes: None,
    }
}

impl CpuidReader for Machine {
    fn cpuid(&self, eax: u32, ecx: u32) -> Regs {
        // The exit is latched before it is handled, and counted and timed afterwards.
        let start = self.clock.get();
        self.vcpu.exit(10, false, start);
        let answer = self
            .basic(eax)
            .or_else(|| self.serve(eax, ecx))
            .unwrap_or(self.otherwise);
        self.vcpu.handled(view(&self.counted), start + 1_200);
        self.clock.set(start + 2_000);
        if self.disturbed.get() != 0 && eax == exit_stats::abi::EXTENSION && ecx >> 31 != 0 {
            self.disturbed.set(self.disturbed.get() - 1);
            if let Some(snapshot) = &*self.snapshot.borrow() {
                view(snapshot).clear();
            }
        }
        answer
    }
}

impl Processor for Machine {
    fn cpus(&self) -> io::Result<Vec<usize>> {
        Ok((0..self.cpus).collect())
    }

    fn pin(&self, cpu: usize) -> io::Result<()> {
        self.pinned.set(cpu);
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        let times = self.released.get() + 1;
        self.released.set(times);
        (self.meanwhile)(self, times);
        Ok(())
    }

    fn machine(&self) -> String {
        "model".into()
    }
}

/// Runs a command line on a machine; gives its status, and what it printed.
pub fn run(machine: &Machine, words: &[&str]) -> (Result<u8>, String) {
    run_wide(machine, words, None)
}

/// The same on a terminal of that many columns.
pub fn run_wide(machine: &Machine, words: &[&str], width: Option<usize>) -> (Result<u8>, String) {
    let cli = Cli::try_parse_from(["vmxscope"].iter().chain(words)).unwrap();
    let mut printed = Vec::new();
    let look = Look {
        width,
        ..Look::PLAIN
    };
    let mut out = Output::new(&mut printed, look);
    let result = vmxscope::run(&cli, machine, &mut out);
    (result, String::from_utf8(printed).unwrap())
}

/// What a command line printed that had to succeed.
pub fn printed(machine: &Machine, words: &[&str]) -> String {
    let (result, text) = run(machine, words);
    assert_eq!(result.unwrap(), 0, "{text}");
    text
}

/// The message and the status of one that had to fail.
pub fn failure(machine: &Machine, words: &[&str]) -> (u8, String) {
    let (result, text) = run(machine, words);
    let error = result.expect_err(&text);
    (error.status(), error.to_string())
}

/// A view without the times at which it was read.
pub fn steady(text: &str) -> String {
    let timeless = |line: &str| {
        let times = ["\"unix_ms\": ", "\"monotonic_ns\": "];
        let time = times.into_iter().find(|time| line.contains(time));
        match time.and_then(|time| Some((time, line.split_once(time)?))) {
            Some((time, (before, _))) => format!("{before}{time}0,\n"),
            None => format!("{line}\n"),
        }
    };
    text.lines().map(timeless).collect()
}
