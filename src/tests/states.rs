// SPDX-License-Identifier: GPL-2.0
//! The four states of an MSR, the rules, unknown bits, raw lines.
#![allow(missing_docs)]

mod common;

use common::{haswell, INTEL};
use std::cell::RefCell;
use vmx_caps::audit::audit;
use vmx_caps::capabilities::{Capabilities, State};
use vmx_caps::dependencies::{Place, DEPENDENCIES};
use vmx_caps::tables::{by_index, MSRS};

#[test]
fn an_msr_that_does_not_exist_by_its_rule_is_never_read() {
    let machine = haswell();
    let read = RefCell::new(Vec::new());
    let cpu = |index: u32| {
        read.borrow_mut().push(index);
        machine.0[&0].get(&index).copied()
    };
    Capabilities::collect(&INTEL, &cpu, false);
    let mut expected: Vec<u32> = MSRS.iter().map(|msr| msr.index).collect();
    expected.retain(|index| ![0x492, 0x493].contains(index));
    assert_eq!(*read.borrow(), expected);
}

#[test]
fn without_secondary_controls_and_true_msrs_half_of_them_do_not_exist() {
    let mut machine = haswell();
    let msrs = machine.0.get_mut(&0).unwrap();
    *msrs.get_mut(&0x480).unwrap() &= !(1 << 55);
    *msrs.get_mut(&0x482).unwrap() &= !(1 << 63);
    let (log, _) = machine.report(&INTEL, false);
    for index in [
        0x48b, 0x48c, 0x48d, 0x48e, 0x48f, 0x490, 0x491, 0x492, 0x493,
    ] {
        let name = by_index(index).unwrap().name;
        let line = format!("msr {index:#x} {name} not enumerated");
        assert!(log.has(&line), "{line}");
    }
    assert!(log
        .all
        .iter()
        .any(|line| line.contains("(IA32_VMX_PINBASED_CTLS 0x481)")));
}

#[test]
fn ept_or_vpid_is_enough_for_ept_vpid_cap() {
    for (allowed, exists) in [
        (0, false),
        (1 << 33, true),
        (1 << 37, true),
        (1 << 34, false),
    ] {
        let mut machine = haswell();
        machine.0.get_mut(&0).unwrap().insert(0x48b, allowed);
        let (log, _) = machine.report(&INTEL, false);
        let line = "msr 0x48c IA32_VMX_EPT_VPID_CAP not enumerated";
        assert_eq!(log.has(line), !exists, "{allowed:#x}");
    }
}

#[test]
fn the_four_states_are_told_apart() {
    let mut machine = haswell();
    let msrs = machine.0.get_mut(&0).unwrap();
    msrs.remove(&0x48c);
    msrs.insert(0x492, 0x10);
    let (log, _) = machine.report(&INTEL, false);
    assert!(log.has("msr 0x48c IA32_VMX_EPT_VPID_CAP enumerated, but the read faulted"));
    assert!(log.has("msr 0x492 IA32_VMX_PROCBASED_CTLS3 not enumerated"));
    assert_eq!(
        log.warnings,
        ["audit: IA32_VMX_EPT_VPID_CAP: enumerated, but reading it faulted"]
    );
    let (log, _) = machine.report(&INTEL, true);
    assert!(log.has("msr 0x492 IA32_VMX_PROCBASED_CTLS3 0x10 (readable though not enumerated)"));
    assert!(log.has("msr 0x493 IA32_VMX_EXIT_CTLS2 not enumerated"));
    let tertiary = log.section("Tertiary processor-based");
    assert!(tertiary.contains(&"IPI virtualization: Can set=Yes, Can clear=Yes"));
}

#[test]
fn bits_that_the_table_does_not_know_are_logged() {
    let mut machine = haswell();
    let msrs = machine.0.get_mut(&0).unwrap();
    // Settable, fixed to 1, and of the default1 class without having to be 1.
    for index in [0x481, 0x48d] {
        *msrs.get_mut(&index).unwrap() |= 1 << (32 + 20);
        *msrs.get_mut(&index).unwrap() |= (1 << (32 + 21)) | (1 << 21);
    }
    *msrs.get_mut(&0x48d).unwrap() &= !(1 << 4);
    *msrs.get_mut(&0x480).unwrap() |= 1 << 57;
    *msrs.get_mut(&0x489).unwrap() |= 1 << 40;
    let (log, _) = machine.report(&INTEL, false);
    let pin = log.section("Pin-based");
    assert_eq!(
        pin[5..],
        [
            "unknown bit 4: Can set=Yes, Can clear=Yes (plain MSR: Can clear=No)",
            "unknown bit 20: Can set=Yes, Can clear=Yes",
            "unknown bit 21: Can set=Yes, Can clear=No",
        ]
    );
    let basic = log.section("Basic VMX information");
    assert!(basic.contains(&"unknown bit 57: Yes"));
    let cr4 = log.section("CR4 bits");
    assert!(cr4.contains(&"unknown bit 40: Can set=Yes, Can clear=Yes"));
}

#[test]
fn a_control_that_vm_entry_would_refuse_is_a_violation() {
    for rule in DEPENDENCIES {
        let mut caps = Capabilities::EMPTY;
        let bit = |place: &Place| place.msr.may_set(place.control);
        let (has, lacks) = (bit(&rule.control), bit(&rule.needs));
        for msr in [rule.needs.msr, rule.control.msr] {
            caps.set(msr.index, State::Present(0));
        }
        caps.set(has.msr, State::Present(1 << has.bit));
        let expected = format!(
            "{} can be set, but not {} ",
            rule.control.control.name, rule.needs.control.name
        );
        let found = |caps: &Capabilities| audit(caps).any(|v| v.to_string().contains(&expected));
        assert!(found(&caps), "{expected}");
        let both = if has.msr == lacks.msr {
            (1 << has.bit) | (1 << lacks.bit)
        } else {
            1 << lacks.bit
        };
        caps.set(lacks.msr, State::Present(both));
        assert!(!found(&caps), "{expected}");
        // Of an MSR that was not read nothing is known.
        if has.msr != lacks.msr {
            caps.set(lacks.msr, State::NotEnumerated);
            assert!(!found(&caps), "{expected}");
        }
    }
}

#[test]
fn raw_lines_are_found_in_a_kernel_log() {
    let parse = vmx_caps::parse::raw_line;
    let present = State::Present(0x00da_0400_0000_0004);
    for line in [
        "msr 0x480 IA32_VMX_BASIC 0xda040000000004",
        "[   12.345678] vmx_caps: msr 0x480 IA32_VMX_BASIC 0xda040000000004",
        "<6>[   12.345678][  T123] vmx_caps: msr 0x480 IA32_VMX_BASIC 0xda040000000004\r",
        "Nov 21 09:00:00 host kernel: vmx_caps: msr 0x480 IA32_VMX_BASIC 0xda040000000004",
    ] {
        assert_eq!(parse(line), Some((0x480, present)), "{line}");
    }
    for line in [
        "",
        "msr",
        "msr 480 IA32_VMX_BASIC 0x1",
        "msr 0x480 IA32_VMX_BASIC",
        "msr 0x480 IA32_VMX_BASIC 0x",
        "msr 0x480 IA32_VMX_BASIC 0x+1",
        "msr 0x480 IA32_VMX_BASIC 0x11111111111111111",
        "msr 0x480 IA32_VMX_BASIC 0x1 (something else)",
        "msr 0x100000000 IA32_VMX_BASIC 0x1",
        "vmx_caps: CPUs 1-3: msr 0x480 IA32_VMX_BASIC 0x1",
    ] {
        assert_eq!(parse(line), None, "{line}");
    }
}
