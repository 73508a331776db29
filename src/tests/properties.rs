// SPDX-License-Identifier: GPL-2.0
//! What holds for any values whatsoever.
#![allow(missing_docs)]

mod common;

use common::consistent::consistent;
use common::{Fake, Lines, INTEL};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use vmx_caps::audit::audit;
use vmx_caps::capabilities::{Capabilities, State};
use vmx_caps::cpuid::Identity;
use vmx_caps::decode::{fields, unnamed_bits, Controls, RawLine};
use vmx_caps::msr::{Kind, Msr};
use vmx_caps::tables::{by_index, Section, MSRS, SECTIONS};
use vmx_caps::{parse, report};

fn some_msr() -> impl Strategy<Value = &'static Msr> {
    (0..MSRS.len()).prop_map(|position| &MSRS[position])
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        4 => any::<u64>().prop_map(State::Present),
        1 => Just(State::NotEnumerated),
        1 => Just(State::Faulted),
        1 => any::<u64>().prop_map(State::PresentNotEnumerated),
    ]
}

fn any_caps() -> impl Strategy<Value = Capabilities> {
    vec(any_state(), MSRS.len()).prop_map(|states| {
        let mut caps = Capabilities::EMPTY;
        for (msr, state) in MSRS.iter().zip(states) {
            assert!(caps.set(msr.index, state));
        }
        caps
    })
}

/// The definition, written out apart from the code: bit `n` may be 1 and may
/// be 0.
fn by_definition(section: &Section, source: &Msr, caps: &Capabilities, n: u32) -> (bool, bool) {
    let value = |msr: &Msr| caps.state(msr).raw().unwrap();
    if let Section::Fixed { fixed0, fixed1 } = section {
        return ((value(fixed1) >> n) & 1 == 1, (value(fixed0) >> n) & 1 == 0);
    }
    let value = value(source);
    match source.kind {
        Kind::Allowed01 { .. } if n > 31 => (false, true),
        Kind::Allowed01 { .. } => ((value >> (n + 32)) & 1 == 1, (value >> n) & 1 == 0),
        _ => ((value >> n) & 1 == 1, true),
    }
}

/// Decodes a value of an MSR of which nothing else is known, and reads it back.
fn decode_alone(msr: &Msr, value: u64) {
    let mut caps = Capabilities::EMPTY;
    assert!(caps.set(msr.index, State::Present(value)));
    let mut lines = Lines::default();
    report::of_values(&caps, &mut lines);
    assert_eq!(parse::log(&lines.all.join("\n")), caps);
    // The audit may say what it likes of it, as long as it says it.
    assert!(audit(&caps).all(|violation| !violation.to_string().is_empty()));
}

#[test]
fn each_msr_is_decoded_with_each_bit_alone_and_all_but_it() {
    // In Miri a few will do.
    for bit in (0..64).step_by(if cfg!(miri) { 31 } else { 1 }) {
        for value in [1 << bit, !(1 << bit), u64::MAX << bit] {
            MSRS.iter().for_each(|msr| decode_alone(msr, value));
        }
    }
}

proptest! {
    // Beside this file, and not where proptest looks when lib.rs is in the folder above.
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_answer_agrees_with_the_definition_and_none_is_dropped(caps in any_caps()) {
        for section in SECTIONS {
            let Some(controls) = Controls::of(section, &caps) else { continue };
            let source = controls.source;
            let mut unsaid = 0..64u32;
            for decoded in controls.iter() {
                let n = u32::from(decoded.bit);
                let expected = by_definition(section, source, &caps, n);
                prop_assert_eq!((decoded.answer.can_set, decoded.answer.can_clear), expected);
                prop_assert_eq!(decoded.control.is_some(), (source.named() >> n) & 1 == 1);
                if decoded.control.is_none() {
                    prop_assert!(expected != (false, true), "bit {} says nothing", n);
                }
            }
            let said: u64 = controls.iter().map(|decoded| 1 << decoded.bit).sum();
            let quiet = unsaid.all(|n| {
                let answer = by_definition(section, source, &caps, n);
                let expected = match source.kind {
                    Kind::Allowed01 { default1, .. } => {
                        n < 32 && (default1 >> n) & 1 == 1 && answer == (true, false)
                    }
                    _ => (controls.ignored() >> n) & 1 == 1 && answer == (true, true),
                };
                (said >> n) & 1 == 1 || answer == (false, true) || expected
            });
            prop_assert!(quiet, "{:?} drops a bit", source.name);
        }
    }

    #[test]
    fn the_true_msr_counts_where_there_is_one(caps in any_caps()) {
        for section in SECTIONS {
            let Section::Controls { plain, true_form: Some(true_form) } = section else { continue };
            let Some(controls) = Controls::of(section, &caps) else { continue };
            let expected = if caps.value(true_form).is_some() { true_form } else { plain };
            prop_assert_eq!(controls.source.index, expected.index);
            for decoded in controls.iter() {
                if let (Some(plain_says), Some(_)) = (decoded.plain, caps.state(plain).raw()) {
                    let n = u32::from(decoded.bit);
                    let says = (plain_says.can_set, plain_says.can_clear);
                    prop_assert_eq!(says, by_definition(section, plain, &caps, n));
                    prop_assert_ne!(plain_says, decoded.answer);
                }
            }
        }
    }

    #[test]
    fn fields_and_unnamed_bits_put_the_value_together_again(msr in some_msr(), value: u64) {
        if let Kind::Fields { .. } = msr.kind {
            let named = fields(msr, value).map(|field| field.value << field.field.low);
            let unnamed = unnamed_bits(msr, value).map(|bit| 1 << bit);
            prop_assert_eq!(named.chain(unnamed).sum::<u64>(), value);
        }
    }

    #[test]
    fn each_msr_is_decoded_whatever_its_value_is(value: u64) {
        MSRS.iter().for_each(|msr| decode_alone(msr, value));
    }

    #[test]
    fn raw_lines_survive_a_round_trip(caps in any_caps()) {
        for (msr, state) in caps.iter() {
            let line = RawLine(msr, state).to_string();
            prop_assert_eq!(parse::raw_line(&line), Some((msr.index, state)), "{}", line);
        }
        let mut lines = Lines::default();
        report::of_values(&caps, &mut lines);
        prop_assert_eq!(parse::log(&lines.all.join("\n")), caps);
    }

    #[test]
    fn the_parser_takes_anything(text in "\\PC*", almost in "(vmx_caps: )?msr 0x[0-9a-f]{0,20} [A-Z]{0,3} ?(0x)?[0-9a-f()z ]*") {
        parse::log(&text);
        parse::raw_line(&almost);
    }

    #[test]
    fn no_machine_makes_the_report_panic_or_a_line_too_long(
        machine in btree_map(0..300u32, btree_map(some_msr().prop_map(|msr| msr.index), any::<u64>(), 0..22), 1..6),
        cpuid in any::<[[u32; 4]; 4]>(),
        probe: bool,
    ) {
        let leaf = |leaf: u32, _: u32| cpuid[(leaf & 3) as usize];
        for identity in [Identity::read(&leaf), INTEL] {
            let (log, verdict) = Fake(machine.clone()).report(&identity, probe);
            prop_assert_eq!(log.all.last().cloned(), Some(verdict.to_string()));
            prop_assert!(log.all.len() == 1 || log.all.len() > MSRS.len());
        }
    }

    #[test]
    fn any_difference_of_two_cpus_is_warned_of(
        machine in consistent(), cpu in 1..9u32, msr in some_msr(), flip in 1..u64::MAX,
    ) {
        let first = machine.clone();
        let mut second = machine;
        let Some(value) = second.get_mut(&msr.index) else { return Ok(()) };
        *value ^= flip;
        let others = (1..9).map(|n| (n, if n == cpu { second.clone() } else { first.clone() }));
        let mut machine = Fake(others.collect());
        machine.0.insert(0, first.clone());
        let enumerated = Capabilities::collect(&INTEL, &|index| first.get(&index).copied(), false);
        let (log, _) = machine.report(&INTEL, false);
        let line = format!("CPU {cpu}: msr {:#x} {} ", msr.index, msr.name);
        let named = log.warnings.iter().any(|warning| warning.starts_with(&line));
        prop_assert_eq!(named, enumerated.value(msr).is_some(), "{:#?}", log.warnings);
        prop_assert_eq!(log.has("all 9 online CPUs agree"), !named);
    }

    #[test]
    fn the_audit_finds_nothing_in_consistent_values(machine in consistent()) {
        let caps = Capabilities::collect(&INTEL, &|index| machine.get(&index).copied(), false);
        let found: Vec<String> = audit(&caps).map(|violation| violation.to_string()).collect();
        prop_assert!(found.is_empty(), "{found:#?} in {machine:#x?}");
    }

    #[test]
    fn the_audit_finds_what_is_broken(machine in consistent(), fault in 0..FAULTS.len(), bit in 0..64u32) {
        let (index, break_it, message) = FAULTS[fault];
        let mut broken = machine.clone();
        let before = broken[&index];
        *broken.get_mut(&index).unwrap() = break_it(before, bit);
        let caps = Capabilities::collect(&INTEL, &|index| broken.get(&index).copied(), false);
        let read = caps.value(by_index(index).unwrap()).is_some();
        let changed = broken[&index] != before;
        let found = audit(&caps).any(|violation| violation.to_string().contains(message));
        prop_assert_eq!(found, read && changed, "{} at {:#x}", message, index);
    }
}

type Fault = (u32, fn(u64, u32) -> u64, &'static str);

/// Ways to break the consistent value of an MSR, each of which changes it or
/// leaves it as it is, and what the audit must say of it.
const FAULTS: &[Fault] = &[
    (
        0x481,
        |v, n| v & !(1 << [1, 2, 4][n as usize % 3]),
        "PINBASED_CTLS: default1",
    ),
    (
        0x483,
        |v, n| v & !(1 << [0, 2, 17][n as usize % 3]),
        "EXIT_CTLS: default1",
    ),
    (
        0x482,
        |v, _| v & !(1 << (32 + 26)),
        "PROCBASED_CTLS: must be 1 and must be 0: 0x4000000 (bit 26)",
    ),
    (
        0x48e,
        |v, _| v ^ (1 << (32 + 7)),
        "what may be 1 differs from the plain MSR: 0x80 (HLT exiting)",
    ),
    (
        0x490,
        |v, _| v ^ (1 << 9),
        "what must be 1 differs from the plain MSR: 0x200 (IA-32e mode guest)",
    ),
    (
        0x48b,
        |v, n| v | (1 << (n % 32)),
        "PROCBASED_CTLS2: reserved bits are 1",
    ),
    (
        0x480,
        |v, _| v | (1 << 31),
        "BASIC: reserved bits are 1: 0x80000000",
    ),
    (0x480, |v, _| v & !(0x1fff << 32), "VMCS region of 0 bytes"),
    (
        0x480,
        |v, _| v | (0x1fff << 32),
        "VMCS region of 8191 bytes",
    ),
    (0x480, |v, _| v | (1 << 50), "VMCS memory type"),
    (0x485, |v, _| v | (0x1ff << 16), "511 CR3-target values"),
    (
        0x485,
        |v, n| v | (1 << [10, 13, 31][n as usize % 3]),
        "MISC: reserved bits are 1",
    ),
    (
        0x487,
        |v, _| v & !1,
        "CR0_FIXED0: fixed to 1 here, to 0 in FIXED1: 0x1 (PE)",
    ),
    (
        0x489,
        |v, _| v & !(1 << 13),
        "CR4_FIXED0: fixed to 1 here, to 0 in FIXED1: 0x2000 (VMXE)",
    ),
    (
        0x48a,
        |v, n| v | [1, 1 << 10, 1 << 63][n as usize % 3],
        "VMCS_ENUM: reserved bits are 1",
    ),
];
