// SPDX-License-Identifier: GPL-2.0
//! Expect that ftrace's tables become causes, in each form of the output.

mod common;

use std::fs;

use common::causes::{causes_of, recording, saved, sections, shown};
use common::{failure, Machine};
use exit_stats::reason::Vendor;
use vmxscope::causes::model::{Cause, CauseKind, Causes};
use vmxscope::tracing::hist::parse;
use vmxscope::tracing::kvm::of_hists;

fn exits(causes: &Causes, kind: CauseKind, key: u64) -> u64 {
    let fits = |cause: &&Cause| cause.kind == kind && cause.key == Some(key);
    causes
        .causes
        .iter()
        .filter(fits)
        .map(|cause| cause.exits)
        .sum()
}

#[test]
fn the_tables_of_each_kernel_are_read_whole() {
    // Read off the recordings by eye.
    for (kernel, all, io, cpuid, deadline, page) in [
        ("6.1", 71_449, 40_403, 1_039, 7_324, 8),
        ("6.12", 71_783, 40_403, 1_066, 8_088, 0),
        ("7.3", 96_892, 40_470, 1_059, 17_682, 2),
    ] {
        let causes = causes_of(kernel);
        assert_eq!(
            (causes.vendor, causes.exits),
            (Vendor::Vmx, all),
            "{kernel}"
        );
        let of = |number| {
            let mut reasons = causes.reasons.iter();
            reasons
                .find(|cause| cause.reason == Some(number))
                .unwrap()
                .exits
        };
        assert_eq!((of(30), of(10), of(29)), (io, cpuid, 1), "{kernel}");
        assert_eq!(
            exits(&causes, CauseKind::MsrWrite, 0x6e0),
            deadline,
            "{kernel}"
        );
        assert_eq!(
            exits(&causes, CauseKind::PortIn, 0x101_0071),
            20_000,
            "{kernel}"
        );
        assert_eq!(
            exits(&causes, CauseKind::PortOut, 0x1_0070),
            20_000,
            "{kernel}"
        );
        // 4276092928 is the local APIC's page; error code 385 (bit 0) is a read. In 6.12's
        // recording pages are by RIP as well, which is no table of this program.
        assert_eq!(
            exits(&causes, CauseKind::Page, 0xfee0_0001),
            page,
            "{kernel}"
        );
    }
}

#[test]
fn events_that_found_a_table_full_are_counted_and_told() {
    let text = recording("6.12");
    let (.., pages) = sections(&text)
        .into_iter()
        .find(|(event, ..)| *event == "kvm_page_fault")
        .unwrap();
    let tables = parse(pages, "hist").unwrap();
    let full = tables
        .iter()
        .find(|table| table.keys == ["fault_address", "error_code"])
        .unwrap();
    assert_eq!(full.dropped, 1_877);
    let mut causes = causes_of("6.12");
    causes
        .dropped
        .insert("places in the guest's code".into(), 1_877);
    let table = shown(&causes, &[]);
    assert!(
        table.contains("places in the guest's code was full: 1,877 events"),
        "{table}"
    );
    let folded = shown(&causes, &["--folded=places"]);
    assert!(folded.ends_with("no place in the table 1877\n"), "{folded}");
    let metrics = shown(&causes, &["--prometheus"]);
    assert!(
        metrics.contains("vmxscope_dropped_events{table=\"places in the guest's code\"} 1877\n")
    );
}

#[test]
fn a_file_that_is_no_table_of_ftraces_is_refused_with_its_line() {
    let good = "# trigger info: hist:keys=rw,port:vals=hitcount [active]\n\
        { rw: 1, port: 128 } hitcount: 7\n\nTotals:\n    Hits: 7\n    Entries: 1\n    Dropped: 0\n";
    assert_eq!(parse(good, "hist").unwrap()[0].entries, [(vec![1, 128], 7)]);
    for (from, to, told) in [
        (
            "Hits: 7",
            "Hits: 8",
            "hist:5: the entries are 7 events, but it had 8",
        ),
        ("port: 128", "size: 128", "hist:2: no entry"),
        (", port: 128", "", "hist:2: no entry"),
        ("hitcount: 7", "hitcount: many", "hist:2: no entry"),
        ("    Dropped: 0\n", "", "cut off"),
        ("keys=", "vals=", "hist:1: no keys"),
    ] {
        let message = parse(&good.replacen(from, to, 1), "hist")
            .unwrap_err()
            .to_string();
        assert!(message.contains(told), "{message}");
    }
}

#[test]
fn flags_of_an_exit_reason_are_no_other_reason() {
    let hist = |isa: u32, reasons: [u64; 2]| {
        format!(
            "# trigger info: hist:keys=isa,exit_reason:vals=hitcount\n\
             {{ isa: {isa}, exit_reason: {} }} hitcount: 2\n\
             {{ isa: {isa}, exit_reason: {} }} hitcount: 3\n\
             Totals:\n    Hits: 5\n    Dropped: 0\n",
            reasons[0], reasons[1]
        )
    };
    let of = |isa, reasons| {
        let text = hist(isa, reasons);
        of_hists([("kvm_exit", "hist", text.as_str())], 1.0).unwrap()
    };
    // Bit 27 of VMX's exit reason says that it was in enclave mode.
    let vmx = of(1, [10, 0x0800_000a]);
    assert_eq!(
        (vmx.vendor, vmx.reasons.len(), vmx.reasons[0].exits),
        (Vendor::Vmx, 1, 5)
    );
    let svm = of(2, [0x13, 0xffff_ffff]);
    assert_eq!(svm.vendor, Vendor::Svm);
    assert_eq!(svm.reasons[0].reason, Some(0xfff2));
    // Exit code 0x13 is a write of CR3.
    assert_eq!(exits(&svm, CauseKind::ControlRegister, 3), 2);
}

#[test]
fn stacks_of_causes_have_the_reasons_without_causes_too() {
    let folded = shown(&causes_of("6.12"), &["--folded"]);
    assert!(
        folded.contains("WRMSR;0x6e0 IA32_TSC_DEADLINE 8088\n"),
        "{folded}"
    );
    assert!(folded.contains("\nPREEMPTION_TIMER 8069\n"), "{folded}");
    assert!(!folded.contains("IO_INSTRUCTION"), "{folded}");
}

#[test]
fn what_is_saved_as_json_is_read_back_the_same() {
    let causes = causes_of("6.12");
    let json = shown(&causes, &["--json"]);
    assert_eq!(Causes::parse(&json, "json").unwrap(), causes);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["advice"][0]["rule"], "rtc");
}

#[test]
fn a_guest_cannot_make_as_many_labels_as_it_likes() {
    let causes = causes_of("6.12");
    let metrics = shown(&causes, &["--prometheus", "--top", "3"]);
    common::metrics::parse(&metrics);
    let samples = metrics
        .lines()
        .filter(|line| line.starts_with("vmxscope_cause_exits{"));
    let values: Vec<u64> = samples
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(values.len() <= 3 + 16, "{metrics}");
    let all: u64 = causes.causes.iter().map(|cause| cause.exits).sum();
    assert_eq!(values.iter().sum::<u64>(), all);
    assert!(
        metrics.contains("{what=\"RDMSR\",key=\"others\",name=\"\"} "),
        "{metrics}"
    );
}

#[test]
fn a_host_that_cannot_count_says_what_it_lacks() {
    let machine = Machine::patched();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let words = ["causes", "--host", "--root", root];
    let (status, message) = failure(&machine, &words);
    assert!(
        status == 3 && message.contains("mount -t tracefs"),
        "{message}"
    );
    let tracing = folder.path().join("sys/kernel/tracing");
    fs::create_dir_all(tracing.join("instances")).unwrap();
    let (status, message) = failure(&machine, &words);
    assert!(
        status == 3 && message.contains("modprobe kvm_intel"),
        "{message}"
    );
    fs::create_dir_all(tracing.join("events/kvm/kvm_exit")).unwrap();
    let (status, message) = failure(&machine, &words);
    assert!(
        status == 3 && message.contains("CONFIG_HIST_TRIGGERS"),
        "{message}"
    );
    // exits names what it lacks itself, for ftrace would be no way out.
    let (status, message) = failure(&machine, &["exits", "--host", "--root", root]);
    assert!(
        status == 3 && message.contains("no exit statistics"),
        "{message}"
    );
}

#[test]
fn an_instance_that_a_killed_program_left_is_removed_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let tracing = folder.path().join("sys/kernel/tracing");
    fs::create_dir_all(tracing.join("events/kvm/kvm_exit/hist")).unwrap();
    for name in ["vmxscope-1", "someone", "vmxscope-2"] {
        fs::create_dir_all(tracing.join("instances").join(name)).unwrap();
    }
    let held = fs::File::open(tracing.join("instances/vmxscope-2")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    // A folder is no instance, in which a trigger could be set.
    let words = ["causes", "--host", "--duration", "10ms", "--root"];
    let root = folder.path().to_str().unwrap();
    let (status, message) = failure(&Machine::patched(), &[&words[..], &[root]].concat());
    assert!(
        status == 5 && message.contains("cannot set the trigger"),
        "{message}"
    );
    let left = fs::read_dir(tracing.join("instances")).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["someone", "vmxscope-2"]);
}

#[test]
fn files_that_are_not_understood_are_refused_by_name() {
    let (folder, file) = saved(&causes_of("6.12"));
    let text = fs::read_to_string(&file).unwrap();
    let machine = Machine::patched();
    for (from, to, told) in [
        (
            "vmxscope-causes-1",
            "vmxscope-causes-9",
            "\"vmxscope-causes-9\"",
        ),
        (
            "\"seconds\":20.0",
            "\"seconds\":0.0",
            "no length of time: 0",
        ),
        ("\"exits\":71783", "\"exits\":-1", "-1"),
        ("\"key\":\"0x6e0\"", "\"key\":\"6e0\"", "\"6e0\""),
    ] {
        let other = folder.path().join("other.json");
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(&other, changed).unwrap();
        let (status, message) = failure(&machine, &["causes", "--from", other.to_str().unwrap()]);
        assert!(status == 4 && message.contains(told), "{message}");
        assert!(message.contains("other.json"), "{message}");
    }
}
