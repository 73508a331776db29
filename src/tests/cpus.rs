// SPDX-License-Identifier: GPL-2.0
//! Several CPUs: that they agree, or in what they differ.
#![allow(missing_docs)]

mod common;

use common::{dump, haswell, INTEL};

#[test]
fn cpus_that_agree_are_said_to_once() {
    let mut machine = haswell();
    let values = machine.0[&0].clone();
    machine.0.extend((1..8).map(|cpu| (cpu, values.clone())));
    let (log, _) = machine.report(&INTEL, false);
    let said: Vec<&String> = log
        .all
        .iter()
        .filter(|line| line.contains("CPUs") || line.starts_with("CPU"))
        .collect();
    assert_eq!(said, ["all 8 online CPUs agree"]);
}

#[test]
fn where_cpus_differ_the_control_and_the_cpus_are_named() {
    let mut machine = haswell();
    let values = machine.0[&0].clone();
    machine.0.extend((1..8).map(|cpu| (cpu, values.clone())));
    for cpu in [2, 4, 5, 6] {
        let msrs = machine.0.get_mut(&cpu).unwrap();
        *msrs.get_mut(&0x48e).unwrap() &= !(1 << (32 + 12));
        *msrs.get_mut(&0x482).unwrap() &= !(1 << (32 + 12));
    }
    *machine.0.get_mut(&7).unwrap().get_mut(&0x485).unwrap() |= 5;
    machine.0.get_mut(&3).unwrap().remove(&0x491);
    let (log, _) = machine.report(&INTEL, false);
    let expected = [
        "CPUs 2,4-6: msr 0x482 IA32_VMX_PROCBASED_CTLS 0xf7f9effe0401e172",
        "CPUs 2,4-6: RDTSC exiting: Can set=No, Can clear=Yes (IA32_VMX_PROCBASED_CTLS); CPU 0: RDTSC exiting: Can set=Yes, Can clear=Yes",
        "CPU 7: msr 0x485 IA32_VMX_MISC 0x200401e5",
        "CPU 7: VMX-preemption timer rate: 5, counts at TSC / 2^5 (IA32_VMX_MISC); CPU 0: VMX-preemption timer rate: 0, counts at TSC / 2^0",
        "CPUs 2,4-6: msr 0x48e IA32_VMX_TRUE_PROCBASED_CTLS 0xf7f9effe04006172",
        "CPUs 2,4-6: RDTSC exiting: Can set=No, Can clear=Yes (IA32_VMX_TRUE_PROCBASED_CTLS); CPU 0: RDTSC exiting: Can set=Yes, Can clear=Yes",
        "CPU 3: msr 0x491 IA32_VMX_VMFUNC enumerated, but the read faulted",
        "the 8 online CPUs do not agree with CPU 0, see above",
    ];
    assert_eq!(log.warnings, expected);
    // The raw lines are of the first CPU, and a parser must keep to them.
    let again = vmx_caps::parse::log(&log.all.join("\n"));
    assert_eq!(again, dump("bochs-2.7-haswell"));
}

#[test]
fn a_long_list_of_cpus_goes_on_in_another_line() {
    let mut machine = haswell();
    let values = machine.0[&0].clone();
    machine.0.extend((1..200).map(|cpu| (cpu, values.clone())));
    for cpu in (1..200).step_by(2) {
        machine.0.get_mut(&cpu).unwrap().insert(0x3a, 0x1);
    }
    let (log, _) = machine.report(&INTEL, false);
    let raw = |line: &&String| line.contains("msr 0x3a IA32_FEATURE_CONTROL 0x1");
    let lines: Vec<&String> = log.warnings.iter().filter(raw).collect();
    assert_eq!(lines.len(), 4, "100 CPUs, 32 ranges a line");
    let named: usize = lines.iter().map(|line| line.split(',').count()).sum();
    assert_eq!(named, 100);
}
