// SPDX-License-Identifier: GPL-2.0
//! Expect that nothing in the values of real CPUs is called a contradiction, and that
//! their bits have names. `tests/dumps/real-cpus.tsv` has 89 sets of 2006 to 2026.
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use vmx_caps::audit::audit;
use vmx_caps::capabilities::{Capabilities, State};
use vmx_caps::decode::{unnamed_bits, Controls};
use vmx_caps::tables::{Section, SECTIONS};

const TABLE: &str = include_str!("../../tests/dumps/real-cpus.tsv");

/// Each CPU by the name of its dump.
fn cpus() -> BTreeMap<&'static str, Capabilities> {
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let head: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let cpu = |line: &'static str| {
        let mut caps = Capabilities::EMPTY;
        let cells: Vec<&str> = line.split('\t').collect();
        for (title, cell) in head.iter().zip(&cells).skip(3) {
            let hex =
                |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap();
            if *cell != "-" {
                caps.set(
                    u32::try_from(hex(title)).unwrap(),
                    State::Present(hex(cell)),
                );
            }
        }
        (cells[2], caps)
    };
    lines.map(cpu).collect()
}

#[test]
fn no_real_cpu_contradicts_itself() {
    let cpus = cpus();
    assert_eq!(cpus.len(), 89);
    let of = |(name, caps): (&&str, &Capabilities)| {
        audit(caps)
            .map(|violation| format!("{name}: {violation}"))
            .collect::<Vec<String>>()
    };
    let violations: Vec<String> = cpus.iter().flat_map(of).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn every_bit_of_a_real_cpu_that_has_a_public_name_is_named() {
    let mut unnamed = BTreeMap::<String, BTreeSet<&str>>::new();
    for (name, caps) in cpus() {
        for section in SECTIONS {
            let controls = Controls::of(section, &caps);
            for decoded in controls.iter().flat_map(Controls::iter) {
                if decoded.control.is_none() {
                    let bit = format!("{} bit {}", section.msrs().0.name, decoded.bit);
                    unnamed.entry(bit).or_default().insert(name);
                }
            }
            if let (Section::Fields(msr), Some(value)) = (section, caps.value(section.msrs().0)) {
                for bit in unnamed_bits(msr, value) {
                    let bit = format!("{} bit {bit}", msr.name);
                    unnamed.entry(bit).or_default().insert(name);
                }
            }
        }
    }
    // Nobody has published what these two mean.
    let bits: Vec<&str> = unnamed.keys().map(String::as_str).collect();
    assert_eq!(
        bits,
        ["IA32_VMX_BASIC bit 57", "IA32_VMX_MISC bit 9"],
        "{unnamed:#?}"
    );
}
