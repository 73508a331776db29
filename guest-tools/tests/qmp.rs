// SPDX-License-Identifier: GPL-2.0
//! Expect that a VM's vCPUs are read by its QEMU, whichever way round that lists them.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{failure, printed, Machine};
use serde_json::{json, Value};
use vmxscope::view::View;

/// The buckets of the lab's KVM: 86 numbers, and one for those past the table.
const BUCKETS: usize = 87;

fn column(of: &[(usize, u64)], reversed: bool) -> Vec<u64> {
    let mut column = vec![0; BUCKETS];
    of.iter()
        .for_each(|&(reason, figure)| column[reason] = figure);
    if reversed {
        column.reverse();
    }
    column
}

/// A QEMU with two vCPUs for one client. They are listed with the last first, as
/// QEMU does, and an event comes in between, as may happen at any time.
fn qemu(name: &str, reversed: bool, with_statistics: bool) -> PathBuf {
    let path = std::env::temp_dir().join(format!("vmxscope-{name}-{}.qmp", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let socket = path.clone();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        std::fs::remove_file(socket).unwrap();
        let mut to = stream.try_clone().unwrap();
        let mut send = |value: Value| writeln!(to, "{value}").unwrap();
        send(json!({ "QMP": { "version": {}, "capabilities": [] } }));
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let request: Value = serde_json::from_str(&line).unwrap();
            send(json!({ "event": "RTC_CHANGE", "data": {} }));
            let path = |n: u64| format!("/machine/unattached/device[{n}]");
            let stats = |n: u64| {
                if with_statistics {
                    json!([
                        { "name": "exits_by_reason",
                          "value": column(&[(1, 10 + n), (10, 300), (48, 5_000), (86, n)], reversed) },
                        { "name": "exit_cycles_by_reason",
                          "value": column(&[(1, 7_000), (10, 600_000), (48, 9_000_000)], reversed) },
                    ])
                } else {
                    json!([])
                }
            };
            send(match request["execute"].as_str().unwrap() {
                "qmp_capabilities" => json!({ "return": {} }),
                "query-name" => json!({ "return": { "name": "web1" } }),
                "query-cpus-fast" => json!({ "return": [
                    { "cpu-index": 1, "qom-path": path(5), "thread-id": 12 },
                    { "cpu-index": 0, "qom-path": path(3), "thread-id": 11 },
                ] }),
                "query-stats" => json!({ "return": [
                    { "provider": "kvm", "qom-path": path(5), "stats": stats(1) },
                    { "provider": "kvm", "qom-path": path(3), "stats": stats(0) },
                ] }),
                other => json!({ "error": { "class": "CommandNotFound", "desc": other } }),
            });
        }
    });
    path
}

fn machine() -> Machine {
    Machine {
        tsc_leaf: true,
        ..Machine::patched()
    }
}

fn view(socket: &Path, more: &[&str]) -> View {
    let words = [
        &["exits", "--json", "--qmp", socket.to_str().unwrap()],
        more,
    ]
    .concat();
    serde_json::from_str(&printed(&machine(), &words)).unwrap()
}

#[test]
fn a_vm_is_the_sum_of_its_vcpus_whichever_way_round_qemu_lists_buckets() {
    for reversed in [true, false] {
        let view = view(&qemu(&format!("sum-{reversed}"), reversed, true), &[]);
        let exits = |reason| view.row(reason).unwrap().exits;
        assert_eq!(
            (exits(1), exits(10), exits(48), exits(12)),
            (21, 600, 10_000, 0)
        );
        assert_eq!(exits(exit_stats::abi::BEYOND), 1);
        assert_eq!(view.row(48).unwrap().cycles, 18_000_000);
        assert_eq!(view.total.exits, 10_622);
        assert_eq!((view.vm.as_str(), view.counts_only), ("web1", true));
    }
}

#[test]
fn one_vcpu_can_be_chosen_and_each_shown() {
    let one = view(&qemu("one", true, true), &["--vcpu=1"]);
    assert_eq!(
        (one.vm.as_str(), one.row(1).unwrap().exits),
        ("web1:vcpu1", 11)
    );
    let socket = qemu("each", true, true);
    let words = ["exits", "--per-vcpu", "--qmp", socket.to_str().unwrap()];
    insta::assert_snapshot!(printed(&machine(), &words));
    let socket = qemu("prometheus", true, true);
    let words = [
        "exits",
        "--prometheus",
        "--per-vcpu",
        "--qmp",
        socket.to_str().unwrap(),
    ];
    let samples = common::metrics::parse(&printed(&machine(), &words));
    assert!(samples
        .iter()
        .any(|sample| sample.labels["vm"] == "web1:vcpu1"));
    // What is not known is left out, not 0.
    assert!(samples
        .iter()
        .all(|sample| !sample.name.contains("blocked")));
}

#[test]
fn what_cannot_be_read_is_told() {
    let message = |socket: &Path, more: &[&str]| {
        let words = [&["exits", "--qmp", socket.to_str().unwrap()], more].concat();
        failure(&machine(), &words)
    };
    let (status, text) = message(&qemu("stock", true, false), &[]);
    assert!(status == 3 && text.contains("exits_by_reason"), "{text}");
    let (status, text) = message(&qemu("few", true, true), &["--vcpu=2"]);
    assert!(status == 2 && text.contains("2 vCPUs"), "{text}");
    let (status, text) = message(Path::new("/nowhere/qmp"), &[]);
    assert!(status == 5 && text.contains("/nowhere/qmp"), "{text}");
}

/// A QEMU of one vCPU, whose two lists are these.
fn lists(name: &str, exits: Vec<u64>, cycles: Vec<u64>) -> PathBuf {
    closing(name, exits, cycles, 1, usize::MAX)
}

/// The same for so many clients, one after the other. It closes the connection of each when it
/// has given its lists so often.
fn closing(name: &str, exits: Vec<u64>, cycles: Vec<u64>, clients: usize, times: usize) -> PathBuf {
    let path = std::env::temp_dir().join(format!("vmxscope-{name}-{}.qmp", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let socket = path.clone();
    thread::spawn(move || {
        for left in (0..clients).rev() {
            let (stream, _) = listener.accept().unwrap();
            if left == 0 {
                std::fs::remove_file(&socket).unwrap();
            }
            let mut to = stream.try_clone().unwrap();
            let mut send = |value: Value| writeln!(to, "{value}").unwrap();
            send(json!({ "QMP": {} }));
            let mut given = 0;
            for line in BufReader::new(&stream).lines() {
                let Ok(line) = line else { return };
                let request: Value = serde_json::from_str(&line).unwrap();
                let answer = match request["execute"].as_str().unwrap() {
                    "query-name" => json!({ "name": "\u{1b}[2Jweb1" }),
                    "query-cpus-fast" => json!([{ "cpu-index": 0, "qom-path": "/cpu" }]),
                    "query-stats" => {
                        given += 1;
                        json!([{ "qom-path": "/cpu", "stats": [
                            { "name": "exits_by_reason", "value": exits },
                            { "name": "exit_cycles_by_reason", "value": cycles },
                        ] }])
                    }
                    _ => json!({}),
                };
                send(json!({ "return": answer }));
                if given == times {
                    break;
                }
            }
        }
    });
    path
}

#[test]
fn an_exporter_asks_a_qemu_that_closed_its_connection_anew() {
    let of = [(48, 5_000)];
    let socket = closing("closes", column(&of, true), column(&of, true), 3, 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.prom");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command.args(["exporter", "--interval", "20ms", "--qmp"]);
    command.arg(&socket).arg("--textfile").arg(&file);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..3 {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !file.exists() {
            thread::sleep(Duration::from_millis(5));
            if Instant::now() >= deadline {
                child.kill().unwrap();
                panic!("it is not written again");
            }
        }
        std::fs::remove_file(&file).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_count_that_no_reason_has_tells_the_order() {
    // EPT violations only: in the wrong order they are reason 38, and more of them are at
    // the list's lower end than at its upper one.
    for reversed in [true, false] {
        let of = [(48, 5_000)];
        let socket = lists(
            &format!("only-{reversed}"),
            column(&of, reversed),
            column(&of, reversed),
        );
        let view = view(&socket, &[]);
        assert_eq!(view.row(48).unwrap().exits, 5_000, "{reversed}");
        assert!(view.row(38).is_none());
        assert_eq!(view.vm, "\\u{1b}[2Jweb1");
    }
    let both = [(38, 1), (48, 1)];
    let socket = lists("both", column(&both, false), column(&both, false));
    let words = ["exits", "--qmp", socket.to_str().unwrap()];
    let (status, message) = failure(&machine(), &words);
    assert!(
        status == 4 && message.contains("exits of reason 38"),
        "{message}"
    );
}

#[test]
fn counts_of_more_than_64_bits_are_refused() {
    let of = [(10, u64::MAX), (48, u64::MAX)];
    let socket = lists("huge", column(&of, true), column(&of, true));
    let words = ["exits", "--qmp", socket.to_str().unwrap()];
    let (status, message) = failure(&machine(), &words);
    assert!(status == 4 && message.contains("64 bits"), "{message}");
}
