// SPDX-License-Identifier: GPL-2.0
//! What the tests share: CPUs made of values, and their log as lines.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod consistent;

use std::collections::BTreeMap;
use std::fmt;

use vmx_caps::capabilities::Capabilities;
use vmx_caps::cpuid::{Identity, Signature};
use vmx_caps::cpus::{Cpus, Machine};
use vmx_caps::parse;
use vmx_caps::report::{self, Level, Log};
use vmx_caps::verdict::Verdict;

pub const INTEL: Identity = Identity {
    vendor: Signature(*b"GenuineIntel"),
    vmx: true,
    smx: false,
    sgx: false,
    hypervisor: None,
};

/// A line that is longer than this may be cut off by printk.
pub const LONGEST_LINE: usize = 950;

#[derive(Default)]
pub struct Lines {
    pub all: Vec<String>,
    pub warnings: Vec<String>,
}

impl Log for Lines {
    fn line(&mut self, level: Level, text: fmt::Arguments<'_>) {
        let line = text.to_string();
        assert!(line.len() <= LONGEST_LINE, "too long for printk: {line}");
        assert!(!line.contains('\n'), "more than a line: {line}");
        if level == Level::Warning {
            self.warnings.push(line.clone());
        }
        self.all.push(line);
    }
}

impl Lines {
    /// The lines that follow the header of a section.
    pub fn section(&self, header: &str) -> Vec<&str> {
        let start = self.all.iter().position(|line| line.starts_with(header));
        let start = start.unwrap_or_else(|| panic!("no section {header} in {:#?}", self.all));
        let lines = self.all[start + 1..].iter();
        lines.map_while(|line| line.strip_prefix("  ")).collect()
    }

    pub fn has(&self, line: &str) -> bool {
        self.all.iter().any(|other| other == line)
    }
}

/// A machine of CPUs with these MSRs; any other faults.
#[derive(Debug, Clone, Default)]
pub struct Fake(pub BTreeMap<u32, BTreeMap<u32, u64>>);

impl Machine for Fake {
    fn next_cpu(&self, after: Option<u32>) -> Option<u32> {
        let from = after.map_or(0, |cpu| cpu + 1);
        self.0.range(from..).next().map(|(cpu, _)| *cpu)
    }

    fn read_msr(&self, cpu: u32, index: u32) -> Option<u64> {
        self.0[&cpu].get(&index).copied()
    }
}

impl Fake {
    pub fn report(&self, identity: &Identity, probe: bool) -> (Lines, Verdict) {
        let mut lines = Lines::default();
        let cpus = Cpus {
            machine: self,
            identity,
            probe,
        };
        let verdict = report::report(&cpus, &mut lines);
        (lines, verdict)
    }
}

/// A recorded dump.
pub fn text(name: &str) -> String {
    let path = format!("{}/../tests/dumps/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).expect(&path)
}

/// The values of a recorded dump.
pub fn dump(name: &str) -> Capabilities {
    parse::log(&text(name))
}

pub fn values(caps: &Capabilities) -> BTreeMap<u32, u64> {
    let present = caps
        .iter()
        .filter_map(|(msr, state)| Some((msr.index, state.raw()?)));
    present.collect()
}

/// A whole machine with one CPU.
pub fn haswell() -> Fake {
    Fake([(0, values(&dump("bochs-2.7-haswell")))].into())
}

/// The raw lines and the decoded sections of a dump.
pub fn decoded(name: &str) -> Lines {
    let mut lines = Lines::default();
    report::of_values(&dump(name), &mut lines);
    lines
}
