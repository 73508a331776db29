// SPDX-License-Identifier: GPL-2.0
//! Values that others published, or that were recorded, give the lines that
//! they must.
#![allow(missing_docs)]

mod common;

use common::{decoded, dump, text, values, Fake, INTEL};
use vmx_caps::audit::audit;
use vmx_caps::capabilities::{Capabilities, State};
use vmx_caps::cpuid::{Identity, Signature};
use vmx_caps::decode::RawLine;
use vmx_caps::parse;
use vmx_caps::tables::by_index;

const DUMPS: [&str; 6] = [
    "i5-9300h-vmware",
    "virtualbox-logs",
    "bochs-2.7-haswell",
    "bochs-2.7-penryn",
    "bochs-2.7-tigerlake",
    "kvm-nested-6.12",
];

/// Expects that of a section all lines say "can set and clear", but for those
/// that are given.
fn expect_all_free_but(lines: &[&str], exceptions: &[&str]) {
    for exception in exceptions {
        assert!(lines.contains(exception), "{exception} not in {lines:#?}");
    }
    let others = lines.iter().filter(|line| !exceptions.contains(line));
    for line in others {
        assert!(line.ends_with(": Can set=Yes, Can clear=Yes"), "{line}");
    }
}

fn cannot_set(names: &[&str]) -> Vec<String> {
    let line = |name: &&str| format!("{name}: Can set=No, Can clear=Yes");
    names.iter().map(line).collect()
}

fn cannot_clear(names: &[&str]) -> Vec<String> {
    let line = |name: &&str| format!("{name}: Can set=Yes, Can clear=No");
    names.iter().map(line).collect()
}

fn expect(lines: &[&str], count: usize, not_set: &[&str], not_clear: &[&str]) {
    assert_eq!(lines.len(), count, "{lines:#?}");
    let exceptions = [cannot_set(not_set), cannot_clear(not_clear)].concat();
    let exceptions: Vec<&str> = exceptions.iter().map(String::as_str).collect();
    expect_all_free_but(lines, &exceptions);
}

#[test]
fn the_course_log_is_reproduced() {
    let log = decoded("i5-9300h-vmware");
    assert!(log.has("msr 0x481 IA32_VMX_PINBASED_CTLS 0x3f00000016"));
    assert!(log.has("Pin-based VM-execution controls (IA32_VMX_PINBASED_CTLS 0x481): 0x3f00000016"));
    expect(
        &log.section("Pin-based"),
        5,
        &["Activate VMX-preemption timer", "Process posted interrupts"],
        &[],
    );
    expect(
        &log.section("Primary processor-based"),
        22,
        &["Activate tertiary controls"],
        &["CR3-load exiting", "CR3-store exiting"],
    );
    expect(
        &log.section("Secondary processor-based"),
        32,
        &[
            "Virtualize APIC accesses",
            "APIC-register virtualization",
            "Virtual-interrupt delivery",
            "VMCS shadowing",
            "Enable ENCLS exiting",
            "Enable PML",
            "Conceal VMX from PT",
            "PASID translation",
            "Sub-page write permissions for EPT",
            "Intel PT uses guest physical addresses",
            "Use TSC scaling",
            "Enable user wait and pause",
            "Enable PCONFIG",
            "Enable ENCLV exiting",
            "EPC virtualization extensions",
            "VMM bus-lock detection",
            "Instruction timeout",
        ],
        &[],
    );
    expect(
        &log.section("VM-entry controls"),
        17,
        &[
            "Entry to SMM",
            "Deactivate dual-monitor treatment",
            "Load IA32_BNDCFGS",
            "Conceal VMX from PT",
            "Load IA32_RTIT_CTL",
            "Load UINV",
            "Load CET state",
            "Load guest IA32_LBR_CTL",
            "Load PKRS",
            "Load FRED",
            "Load IA32_SPEC_CTRL",
            "Allow SEAM-guest telemetry",
        ],
        &["Load debug controls"],
    );
    expect(
        &log.section("Primary VM-exit controls"),
        18,
        &[
            "Save VMX-preemption timer value",
            "Clear IA32_BNDCFGS",
            "Conceal VMX from PT",
            "Clear IA32_RTIT_CTL",
            "Clear IA32_LBR_CTL",
            "Clear UINV",
            "Load CET state",
            "Load PKRS",
            "Save IA32_PERF_GLOBAL_CTL",
            "Activate secondary controls",
        ],
        &["Save debug controls"],
    );
}

#[test]
fn the_true_msrs_count_and_the_plain_ones_are_marked_where_they_differ() {
    let log = decoded("virtualbox-logs");
    let marked = |line: &&String| line.contains("plain MSR");
    let marked: Vec<&String> = log.all.iter().filter(marked).collect();
    assert_eq!(
        marked,
        [
            "  CR3-load exiting: Can set=Yes, Can clear=Yes (plain MSR: Can clear=No)",
            "  CR3-store exiting: Can set=Yes, Can clear=Yes (plain MSR: Can clear=No)",
            "  Save debug controls: Can set=Yes, Can clear=Yes (plain MSR: Can clear=No)",
            "  Load debug controls: Can set=Yes, Can clear=Yes (plain MSR: Can clear=No)",
        ]
    );
    for header in [
        "Pin-based VM-execution controls (IA32_VMX_TRUE_PINBASED_CTLS 0x48d): 0x7f00000016",
        "Primary processor-based VM-execution controls (IA32_VMX_TRUE_PROCBASED_CTLS 0x48e): 0xfff9fffe04006172",
        "Primary VM-exit controls (IA32_VMX_TRUE_EXIT_CTLS 0x48f): 0x1ffffff00036dfb",
        "VM-entry controls (IA32_VMX_TRUE_ENTRY_CTLS 0x490): 0x3ffff000011fb",
        "VM-function controls (IA32_VMX_VMFUNC 0x491): 0x1",
        "Secondary VM-exit controls (IA32_VMX_EXIT_CTLS2 0x493): not enumerated",
    ] {
        assert!(log.has(header), "{header} not in {:#?}", log.all);
    }
    assert_eq!(
        log.section("VM-function controls"),
        ["EPTP switching: Can set=Yes, Can clear=Yes"]
    );
}

#[test]
fn fields_are_decoded() {
    let log = decoded("virtualbox-logs");
    let basic = log.section("Basic VMX information");
    for line in [
        "VMCS revision identifier: 0x4",
        "VMXON and VMCS region size: 1024 bytes",
        "VMCS memory type: 6, write-back (WB)",
        "Dual-monitor treatment of SMIs and SMM: Yes",
        "Default1 controls may be 0 (TRUE MSRs exist): Yes",
        "Hardware exceptions may be injected with or without an error code: No",
    ] {
        assert!(basic.contains(&line), "{line} not in {basic:#?}");
    }
    let misc = log.section("Miscellaneous data");
    for line in [
        "VMX-preemption timer rate: 7, counts at TSC / 2^7",
        "Number of CR3-target values: 4",
        "Recommended maximum of MSRs in a load or store list: 512",
        "Activity state wait-for-SIPI: Yes",
        "Intel PT can be used in VMX operation: Yes",
        "VMWRITE can write VM-exit information fields: Yes",
    ] {
        assert!(misc.contains(&line), "{line} not in {misc:#?}");
    }
    let ept = log.section("EPT and VPID capabilities");
    assert!(ept.contains(&"Page-walk length of 4: Yes"));
    assert!(ept.contains(&"Page-walk length of 5: No"));
    assert!(ept.contains(&"INVVPID single-context-retaining-globals type: Yes"));
    let cr0 = log.section("CR0 bits in VMX operation");
    assert!(cr0.contains(&"PG: Can set=Yes, Can clear=No"));
    assert!(cr0.contains(&"WP: Can set=Yes, Can clear=Yes"));
    assert!(
        cr0.contains(&"reserved bits 0x1ffaffc0, ignored by the CPU: Can set=Yes, Can clear=Yes")
    );
    let cr4 = log.section("CR4 bits in VMX operation");
    assert!(cr4.contains(&"VMXE: Can set=Yes, Can clear=No"));
    assert!(cr4.contains(&"CET: Can set=No, Can clear=Yes"));
    assert_eq!(
        log.section("VMCS enumeration"),
        ["Highest index of any VMCS field encoding: 0x17"]
    );
    let unknown: Vec<&String> = log.all.iter().filter(|l| l.contains("unknown")).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn no_recorded_value_violates_the_audit() {
    for name in DUMPS {
        let violations: Vec<String> = audit(&dump(name)).map(|v| v.to_string()).collect();
        assert!(violations.is_empty(), "{name}: {violations:#?}");
    }
}

#[test]
fn every_line_of_a_dump_is_a_comment_or_an_msr_by_its_name() {
    for name in DUMPS {
        let mut caps = Capabilities::EMPTY;
        for line in text(name).lines().filter(|line| !line.starts_with('#')) {
            let (index, state) = parse::raw_line(line).expect(line);
            assert!(caps.set(index, state), "{name}: {line}");
            let row = by_index(index).unwrap();
            assert_eq!(RawLine(row, state).to_string(), line, "{name}");
        }
        assert_eq!(caps, dump(name));
    }
}

#[test]
fn what_kvm_gives_to_a_guest_is_told_from_hardware() {
    let guest = Identity {
        hypervisor: Some(Signature(*b"KVMKVMKVM\0\0\0")),
        ..INTEL
    };
    let machine = Fake([(0, values(&dump("kvm-nested-6.12")))].into());
    let (log, verdict) = machine.report(&guest, false);
    assert!(log.warnings.is_empty(), "{:#?}", log.warnings);
    assert!(verdict
        .to_string()
        .ends_with("VMCS revision 0x11e57ed0 looks like KVM's"));
}

#[test]
fn a_whole_machine_is_collected_again_from_its_dump() {
    let caps = dump("bochs-2.7-haswell");
    let machine = Fake([(0, values(&caps))].into());
    let (log, verdict) = machine.report(&INTEL, false);
    assert_eq!(vmx_caps::parse::log(&log.all.join("\n")), caps);
    assert!(log.warnings.is_empty(), "{:#?}", log.warnings);
    assert!(verdict.is_usable());
    assert!(log.has("only CPU 0 is online"));
    let absent = caps
        .iter()
        .filter(|(_, state)| *state == State::NotEnumerated);
    let absent: Vec<u32> = absent.map(|(msr, _)| msr.index).collect();
    assert_eq!(absent, [0x492, 0x493]);
    let size: usize = log.all.iter().map(|line| line.len() + 1).sum();
    assert!(size < 20_000, "{size} bytes are too many for a log of 2^17");
}
