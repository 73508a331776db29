// SPDX-License-Identifier: GPL-2.0
//! Expect that what a host keeps of the causes of exits is shown by each command, in the
//! guest and on the host.

mod common;

use std::fs;

use common::host::{host, Folder};
use common::{failure, printed, Machine, TSC_KHZ};
use exit_stats::abi;
use exit_stats::causes::Cause;
use vmxscope::causes::model::{CauseKind, Causes};
use vmxscope::view::View;

fn exits(causes: &Causes, kind: CauseKind, key: u64) -> u64 {
    let fits = causes
        .causes
        .iter()
        .find(|cause| cause.kind == kind && cause.key == Some(key));
    fits.map_or(0, |cause| cause.exits)
}

/// A guest whose host keeps its causes.
fn guest() -> Machine {
    let machine = Machine::caused();
    let both = abi::CAUSE_HAS_KEY | abi::CAUSE_HAS_RIP;
    let cause = |id, key, rip| Cause { id, key, rip };
    for _ in 0..700 {
        machine.exit_by(cause(32 | both, 0x6e0, 0xffff_ffff_8100_0010), 1_300);
    }
    for n in 0..30 {
        let id = 30 | both | abi::CAUSE_CPL3;
        machine.exit_by(
            cause(id, 0x1_0000 | 0x20_0000 | 0x608, 0x5555_5555_0000 + n % 2),
            9_000,
        );
    }
    machine.exit_by(cause(1, 0, 0), 3_000);
    machine
}

#[test]
fn a_guest_reads_what_its_host_kept() {
    let text = printed(&guest(), &["causes", "--json"]);
    let causes = Causes::parse(&text, "json").unwrap();
    assert_eq!(exits(&causes, CauseKind::MsrWrite, 0x6e0), 700);
    assert_eq!(exits(&causes, CauseKind::PortIn, 0x121_0608), 0);
    let at = |rip| {
        let found = causes.places.iter().find(|place| place.rip == Some(rip));
        found.map(|place| (place.exits, place.cpl, place.cycles))
    };
    assert_eq!(
        at(0xffff_ffff_8100_0010),
        Some((700, Some(0), Some(910_000)))
    );
    assert_eq!(at(0x5555_5555_0001), Some((15, Some(3), Some(135_000))));
    let by = |reason| causes.reasons.iter().find(|one| one.reason == Some(reason));
    assert_eq!(by(1).unwrap().exits, 1);
    // The program's own CPUIDs have no cause in this model.
    assert_eq!(causes.rest, by(10).unwrap().exits);
}

#[test]
fn a_guest_reads_what_a_command_caused() {
    let machine = guest();
    let text = printed(&machine, &["causes", "--json", "true"]);
    let causes = Causes::parse(&text, "json").unwrap();
    assert!(
        causes.causes.is_empty() && causes.places.is_empty(),
        "{text}"
    );
    assert_eq!(causes.reasons.len(), 1);
}

#[test]
fn a_guest_whose_host_keeps_none_is_told_what_to_do() {
    let (status, message) = failure(&Machine::patched(), &["causes"]);
    assert_eq!(status, 3);
    assert!(message.contains("exit_stats_causes=1"), "{message}");
}

/// The line of a table that begins so.
fn line<'t>(text: &'t str, start: &str) -> Vec<&'t str> {
    let found = text
        .lines()
        .find(|line| line.trim_start().starts_with(start));
    let found = found.unwrap_or_else(|| panic!("no line {start:?} in\n{text}"));
    found.split_whitespace().collect()
}

#[test]
fn exits_shows_them_below_its_table_and_saves_them() {
    let machine = guest();
    let tables = |text: &str| text[text.find("exits of this VM").unwrap()..].to_string();
    let text = tables(&printed(&machine, &["exits", "--causes"]));
    // 910,000 cycles of a clock of 2 GHz.
    assert_eq!(TSC_KHZ, 2_000_000);
    let deadline = line(&text, "700");
    assert_eq!(
        deadline[3..],
        ["455us", "WRMSR", "0x6e0", "IA32_TSC_DEADLINE"],
        "{text}"
    );
    let port = line(&text, "30");
    assert_eq!(port[3..6], ["135us", "OUT", "0x608,"], "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved.json");
    fs::write(&file, printed(&machine, &["exits", "--causes", "--json"])).unwrap();
    let again = printed(
        &machine,
        &["exits", "--causes", "--from", file.to_str().unwrap()],
    );
    // The reader's own exits came in between.
    assert_eq!(line(&tables(&again), "700")[3..], deadline[3..]);
    let metrics = printed(&machine, &["exits", "--causes", "--prometheus"]);
    common::metrics::parse(&metrics);
    let sample =
        "vmxscope_cause_exits{what=\"WRMSR\",key=\"0x6e0\",name=\"IA32_TSC_DEADLINE\"} 700\n";
    assert!(metrics.contains(sample), "{metrics}");
    fs::write(&file, printed(&machine, &["exits", "--json"])).unwrap();
    let words = ["exits", "--causes", "--from", file.to_str().unwrap()];
    let (status, message) = failure(&machine, &words);
    assert!(status == 3 && message.contains("--causes"), "{message}");
}

#[test]
fn a_difference_has_what_came_in_between_only() {
    let machine = guest();
    let view = || -> View {
        serde_json::from_str(&printed(&machine, &["exits", "--causes", "--json"])).unwrap()
    };
    let before = view();
    let both = abi::CAUSE_HAS_KEY | abi::CAUSE_HAS_RIP;
    for _ in 0..5 {
        let id = 32 | both;
        machine.exit_by(
            Cause {
                id,
                key: 0x6e0,
                rip: 0xffff_ffff_8100_0010,
            },
            2_000,
        );
    }
    machine.exit_by(
        Cause {
            id: 31 | both,
            key: 0x1b,
            rip: 0xffff_ffff_8100_0020,
        },
        500,
    );
    let added = view().since(&before).unwrap();
    let mut found: Vec<_> = added.causes.iter().flatten().collect();
    found.sort_by_key(|cause| cause.exits);
    let figures: Vec<_> = found
        .iter()
        .map(|cause| {
            (
                cause.reason,
                cause.key,
                cause.exits,
                cause.cycles,
                cause.error,
            )
        })
        .collect();
    assert_eq!(
        figures,
        [(31, Some(0x1b), 1, 500, 0), (32, Some(0x6e0), 5, 10_000, 0)]
    );
}

#[test]
fn stat_shows_what_a_command_caused_beside_what_it_cost() {
    let machine = guest();
    let words = [
        "stat", "--idle", "0", "--causes", "-r", "2", "--json", "true",
    ];
    let stat: serde_json::Value = serde_json::from_str(&printed(&machine, &words)).unwrap();
    // Nothing happened but the reading, which has no cause in this model.
    for run in stat["runs"].as_array().unwrap() {
        assert_eq!(run["added"]["causes"], serde_json::json!([]));
    }
    let text = printed(&machine, &["stat", "--idle", "0", "--causes", "true"]);
    assert!(text.contains("VM exits while it ran: true"), "{text}");
    assert!(text.contains(" exits of this VM in "), "{text}");
    let (status, message) = failure(&Machine::patched(), &["stat", "--causes", "true"]);
    assert!(
        status == 3 && message.contains("exit_stats_causes=1"),
        "{message}"
    );
}

#[test]
fn a_report_of_a_recording_shows_them_with_the_functions_names() {
    let machine = guest();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.rec");
    let name = file.to_str().unwrap();
    printed(&machine, &["record", "--causes", "-o", name, "true"]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\n{\"functions\":{"), "{text}");
    // As if they were of this command, in whose guest a function had a name.
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let mut first: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    first["view"]["causes"] = serde_json::json!([]);
    for row in first["view"]["reasons"].as_array_mut().unwrap() {
        row["exits"] = 0.into();
    }
    first["view"]["total"]["exits"] = 0.into();
    lines[1] = first.to_string();
    let functions = lines
        .iter()
        .position(|line| line.starts_with("{\"functions"))
        .unwrap();
    lines[functions] = r#"{"functions":{"0xffffffff81000010":"lapic_next_deadline+0x10"}}"#.into();
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    let page = printed(&machine, &["report", name]);
    for part in [
        "<h2>What made the exits</h2>",
        "<td>700</td>",
        "<td class=\"w\">IA32_TSC_DEADLINE</td>",
        "<td class=\"w\">lapic_next_deadline+0x10</td>",
        "<td class=\"w\">0x555555550001</td>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    printed(&machine, &["record", "-o", name, "true"]);
    assert!(!printed(&machine, &["report", name]).contains("What made"));
}

/// A host whose VM web1 has this file of causes.
fn host_with(name: &str, causes: Option<&str>) -> Folder {
    let folder = host(name);
    if let Some(text) = causes {
        let vm = folder.0.join("sys/kernel/debug/kvm/4211-14");
        fs::write(vm.join("exit_stats_causes"), text).unwrap();
    }
    folder
}

const KEPT: &str = "reason\tsymbol\tkey\trip\tcpl3\tl2\texits\tcycles\terror\n\
    32\tWRMSR\t0x6e0\t0xffffffff81000010\t0\t0\t40\t80000\t0\n\
    12\tHLT\t-\t-\t0\t0\t7\t7000\t2\n\
    rest\t-\t-\t-\t-\t-\t3\t900\t-\n";

#[test]
fn a_host_tells_what_made_the_exits_of_one_of_its_vms() {
    let (machine, folder) = (Machine::patched(), host_with("kept", Some(KEPT)));
    let root = folder.0.to_str().unwrap();
    let map = folder.0.join("System.map");
    fs::write(
        &map,
        "ffffffff81000000 T lapic_next_deadline\nffffffff81000100 T last\n",
    )
    .unwrap();
    let words = [
        "causes",
        "--vm",
        "web1",
        "--root",
        root,
        "--symbols",
        map.to_str().unwrap(),
    ];
    let text = printed(&machine, &words);
    assert!(text.contains(" exits of VM web1 in "), "{text}");
    assert_eq!(
        line(&text, "40")[3..],
        ["40.0us", "WRMSR", "0x6e0", "IA32_TSC_DEADLINE"]
    );
    assert!(text.contains(" lapic_next_deadline+0x10\n"), "{text}");
    let causes = Causes::parse(
        &printed(&machine, &[&words[..], &["--json"]].concat()),
        "json",
    )
    .unwrap();
    assert_eq!(causes.vm.as_deref(), Some("web1"));
    // HLT has neither key nor place: it is among the reasons only.
    assert_eq!((causes.causes.len(), causes.places.len()), (1, 1));
}

#[test]
fn a_host_that_keeps_none_or_tells_nonsense_says_so() {
    let machine = Machine::patched();
    let cut_off = KEPT.trim_end();
    let wrong = KEPT.replace("0x6e0", "6e0");
    for (text, status, told) in [
        (None, 3, "exit_stats_causes=1"),
        (Some(""), 3, "exit_stats_causes=1"),
        (Some(cut_off), 4, "cut off"),
        (
            Some(wrong.as_str()),
            4,
            "exit_stats_causes:2: no number in column \"key\": \"6e0\"",
        ),
    ] {
        let folder = host_with("kept-none", text);
        let root = folder.0.to_str().unwrap();
        let (got, message) = failure(&machine, &["causes", "--vm", "web1", "--root", root]);
        assert!(got == status && message.contains(told), "{got} {message}");
    }
    let folder = host_with("kept-all", Some(KEPT));
    let root = folder.0.to_str().unwrap();
    let (status, message) = failure(&machine, &["exits", "--causes", "--host", "--root", root]);
    assert!(status == 2 && message.contains("--vm"), "{message}");
}
