// SPDX-License-Identifier: GPL-2.0
//! Expect that the tables say what the SDM says where no header of Linux can confirm it:
//! the rows without a macro of Linux's, and which control needs which other.
#![allow(missing_docs)]

use std::collections::BTreeSet;

use vmx_caps::dependencies::{Place, DEPENDENCIES};
use vmx_caps::msr::Kind;
use vmx_caps::tables::SECTIONS;

/// MSR, highest bit, lowest bit and name, by SDM vol. 3, App. A, vol. 4, table 2-2, and the
/// control fields' tables of vol. 3, "Virtual Machine Control Structures". The SDM reserves the
/// bit of the EPC virtualization extensions, whose name is public elsewhere.
const WITHOUT_A_MACRO: [(u32, u8, u8, &str); 41] = [
    (0x03a, 14, 8, "SENTER local function enables"),
    (0x03a, 15, 15, "SENTER global enable"),
    (0x480, 30, 0, "VMCS revision identifier"),
    (0x480, 44, 32, "VMXON and VMCS region size"),
    (0x480, 53, 50, "VMCS memory type"),
    (0x480, 58, 58, "Nested-exception support (FRED)"),
    (0x483, 26, 26, "Clear IA32_LBR_CTL"),
    (0x483, 27, 27, "Clear UINV"),
    (0x483, 29, 29, "Load PKRS"),
    (0x483, 31, 31, "Activate secondary controls"),
    (0x484, 19, 19, "Load UINV"),
    (0x484, 21, 21, "Load guest IA32_LBR_CTL"),
    (0x484, 22, 22, "Load PKRS"),
    (0x484, 23, 23, "Load FRED"),
    (0x484, 24, 24, "Load IA32_SPEC_CTRL"),
    (0x484, 25, 25, "Allow SEAM-guest telemetry"),
    (0x485, 4, 0, "VMX-preemption timer rate"),
    (0x485, 24, 16, "Number of CR3-target values"),
    (
        0x485,
        27,
        25,
        "Recommended maximum of MSRs in a load or store list",
    ),
    (0x485, 63, 32, "MSEG revision identifier"),
    (0x48a, 9, 1, "Highest index of any VMCS field encoding"),
    (0x48b, 21, 21, "PASID translation"),
    (0x48b, 23, 23, "Sub-page write permissions for EPT"),
    (0x48b, 27, 27, "Enable PCONFIG"),
    (0x48b, 29, 29, "EPC virtualization extensions"),
    (0x48c, 23, 23, "Supervisor shadow-stack control"),
    (0x48c, 53, 48, "Maximum HLAT prefix size"),
    (0x492, 0, 0, "LOADIWKEY exiting"),
    (0x492, 1, 1, "Enable HLAT"),
    (0x492, 2, 2, "EPT paging-write control"),
    (0x492, 3, 3, "Guest-paging verification"),
    (0x492, 5, 5, "SEAM guest-physical address width"),
    (0x492, 6, 6, "Enable MSR-list instructions"),
    (0x492, 7, 7, "Virtualize IA32_SPEC_CTRL"),
    (0x492, 8, 8, "APIC-timer virtualization"),
    (0x492, 9, 9, "Enable PBNDKB"),
    (0x492, 12, 12, "PEBS uses guest physical addresses"),
    (0x493, 0, 0, "Save FRED"),
    (0x493, 1, 1, "Load FRED"),
    (0x493, 2, 2, "Load IA32_SPEC_CTRL"),
    (0x493, 3, 3, "Prematurely busy shadow stack"),
];

/// What must be 1 if the first is 1, by SDM vol. 3, "Checks on VMX Controls".
const NEEDS: [(&str, &[&str]); 13] = [
    ("Virtual NMIs", &["NMI exiting"]),
    ("NMI-window exiting", &["Virtual NMIs"]),
    ("Virtualize x2APIC mode", &["Use TPR shadow"]),
    ("APIC-register virtualization", &["Use TPR shadow"]),
    (
        "Virtual-interrupt delivery",
        &["Use TPR shadow", "External-interrupt exiting"],
    ),
    (
        "Process posted interrupts",
        &[
            "Virtual-interrupt delivery",
            "Acknowledge interrupt on exit",
        ],
    ),
    ("Unrestricted guest", &["Enable EPT"]),
    ("Mode-based execute control for EPT", &["Enable EPT"]),
    ("Sub-page write permissions for EPT", &["Enable EPT"]),
    ("Enable PML", &["Enable EPT"]),
    ("EPTP switching", &["Enable EPT"]),
    (
        "Intel PT uses guest physical addresses",
        &["Enable EPT", "Load IA32_RTIT_CTL", "Clear IA32_RTIT_CTL"],
    ),
    (
        "Save VMX-preemption timer value",
        &["Activate VMX-preemption timer"],
    ),
];

#[test]
fn rows_that_linux_has_no_macro_for_are_the_sdms() {
    let mut ours = BTreeSet::new();
    for section in SECTIONS {
        let msr = section.msrs().0;
        match msr.kind {
            // The kernel's headers have them, but for three.
            Kind::Fixed { .. } => (),
            Kind::Fields { fields } => {
                let fields = fields.iter().filter(|field| field.linux.is_none());
                ours.extend(fields.map(|field| (msr.index, field.high, field.low, field.name)));
            }
            Kind::Allowed01 { controls, .. } | Kind::Allowed1 { controls } => {
                let controls = controls.iter().filter(|control| control.linux.is_none());
                ours.extend(controls.map(|one| (msr.index, one.bit, one.bit, one.name)));
            }
        }
    }
    assert_eq!(ours, WITHOUT_A_MACRO.into());
    let cr4 = SECTIONS
        .iter()
        .find(|section| section.msrs().0.index == 0x488);
    let bits = cr4.unwrap().msrs().0.controls().iter();
    let of = |name| bits.clone().find(|bit| bit.name == name).unwrap().bit;
    assert_eq!(["KL", "PKS", "UINTR"].map(of), [19, 24, 25]);
}

#[test]
fn the_audit_asks_for_each_check_of_the_sdm_and_no_other() {
    let name = |place: &Place| place.control.name;
    let ours: BTreeSet<(&str, &str)> = DEPENDENCIES
        .iter()
        .map(|rule| (name(&rule.control), name(&rule.needs)))
        .collect();
    let needs = NEEDS.iter();
    let theirs = needs.flat_map(|(from, to)| to.iter().map(move |to| (*from, *to)));
    assert_eq!(ours, theirs.collect());
    // Two names are of more than one MSR's.
    for rule in DEPENDENCIES {
        let place = (rule.needs.msr.index, rule.needs.control.name);
        match place.1 {
            "Load IA32_RTIT_CTL" => assert_eq!(place.0, 0x484),
            "Clear IA32_RTIT_CTL" | "Acknowledge interrupt on exit" => assert_eq!(place.0, 0x483),
            _ => assert!([0x481, 0x482, 0x48b].contains(&place.0), "{place:?}"),
        }
    }
}
