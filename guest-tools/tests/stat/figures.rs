// SPDX-License-Identifier: GPL-2.0
//! What is the command's, what the guest's, and what this program's.

use serde_json::Value;

use crate::busy;
use crate::common::{run, Machine};

fn json(machine: &Machine, words: &[&str]) -> (u8, Value) {
    let (status, text) = run(machine, words);
    (status.unwrap(), serde_json::from_str(&text).unwrap())
}

fn line(value: &Value, reason: u64) -> Value {
    let lines = value["average"].as_array().unwrap();
    lines
        .iter()
        .find(|line| line["reason"] == reason)
        .cloned()
        .unwrap_or_default()
}

#[test]
fn a_command_of_exactly_n_cpuid_exits_is_charged_with_n() {
    let words = ["stat", "--idle", "20ms", "--json", "--", "true"];
    let (status, value) = json(&busy(), &words);
    assert_eq!(status, 0);
    let cpuid = line(&value, 10);
    assert_eq!(cpuid["net"], 1000.0, "{cpuid}");
    let own = cpuid["own"].as_f64().unwrap();
    assert_eq!(cpuid["exits"].as_f64().unwrap(), 1000.0 + own);
    assert!(own < 300.0, "{own}");
    let io = line(&value, 30);
    assert_eq!(io["net"], 50.0);
    // The model runs for 1,000 cycles after each exit, and does nothing else.
    assert_eq!(io["guest_cycles"], 50_000.0);
    for time in ["blocked", "userspace", "scheduled_out", "entry"] {
        assert_eq!(io[format!("{time}_cycles")], 0.0, "{io}");
    }
    // The idle guest's are told apart, and none of them happened meanwhile.
    assert_eq!(line(&value, 12), Value::Null);
    assert_eq!(
        value["idle"]["added"]["total"]["exits"].as_u64().unwrap() - 10,
        value["idle"]["added"]["own_exits"].as_u64().unwrap()
    );
}

#[test]
fn several_runs_are_averaged() {
    let words = ["stat", "--idle", "0", "-r", "5", "--json", "--", "true"];
    let machine = Machine {
        meanwhile: |machine, times| match times {
            // One reading less than with the idle time.
            n if n % 2 == 0 => (0..u64::from(n)).for_each(|_| machine.exit(30, 9_000)),
            _ => (),
        },
        ..Machine::booted()
    };
    let (_, value) = json(&machine, &words);
    assert_eq!(value["runs"].as_array().unwrap().len(), 5);
    // 2, 4, 6, 8 and 10.
    let line = line(&value, 30);
    assert_eq!(line["net"], 6.0);
    assert!((line["deviation"].as_f64().unwrap() - 10f64.sqrt()).abs() < 1e-9);
}

#[test]
fn the_table_tells_own_and_idle_exits_apart() {
    let (_, text) = run(&busy(), &["stat", "--idle", "10ms", "--", "true"]);
    let steady: String = text
        .lines()
        .filter(|line| !line.contains("elapsed") && !line.contains("of it the host"))
        .map(|line| match line.split_once(" exits a second") {
            Some(_) => "idle: ...\n".into(),
            None => format!("{line}\n"),
        })
        .collect();
    // The idle time's exits depend on the clock: none of the rows has any.
    let rows = steady.lines().filter(|line| !line.contains("All exits"));
    insta::assert_snapshot!(rows.collect::<Vec<&str>>().join("\n"));
}

#[test]
fn time_order_and_share_are_the_commands_own() {
    // 100 CPUIDs of 1,000 ns each, all by this program, and one I/O exit.
    let machine = Machine {
        meanwhile: |machine, times| {
            if times == 2 {
                machine.exit(30, 100);
            }
        },
        ..Machine::booted()
    };
    let words = ["stat", "--idle=0", "--json", "true"];
    let (_, value) = json(&machine, &words);
    assert_eq!(value["average"][0]["reason"], 30, "{value}");
    let cpuid = line(&value, 10);
    assert_eq!(
        (&cpuid["net"], &cpuid["net_cycles"]),
        (&0.0.into(), &0.0.into())
    );
    assert!(cpuid["cycles"].as_f64().unwrap() > 10_000.0, "{cpuid}");
    let machine = Machine {
        meanwhile: machine.meanwhile,
        ..Machine::booted()
    };
    let (_, text) = run(&machine, &["stat", "--idle=0", "true"]);
    assert!(
        text.contains("50.0ns of it the host handled the net exits"),
        "{text}"
    );
}

#[test]
fn rows_are_sorted_and_limited_as_asked() {
    let asked = |words: &[&str]| {
        let machine = Machine {
            meanwhile: |machine, times| {
                if times == 2 {
                    (0..20).for_each(|_| machine.exit(12, 1_000));
                    (0..10).for_each(|_| machine.exit(48, 900_000));
                    (0..15).for_each(|_| machine.exit(1, 2_000));
                }
            },
            ..Machine::booted()
        };
        run(
            &machine,
            &[&["stat", "--idle=0"], words, &["true"]].concat(),
        )
        .1
    };
    let order = |words: &[&str]| -> Vec<u64> {
        let text = asked(&[&["--json"], words].concat());
        let value: Value = serde_json::from_str(&text).unwrap();
        let lines = value["average"].as_array().unwrap();
        lines
            .iter()
            .map(|line| line["reason"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(order(&["--sort=time"]), [48, 1, 12, 10]);
    assert_eq!(order(&["--sort=count"]), [12, 1, 48, 10]);
    assert_eq!(order(&["--sort=number"]), [1, 10, 12, 48]);
    assert_eq!(order(&["-n", "2"]), [48, 1]);
    let table = asked(&["-n", "2"]);
    assert!(table.contains("External interrupt"), "{table}");
    assert!(!table.contains("HLT"), "{table}");
}

#[test]
fn several_commands_are_shown_side_by_side_with_their_spread() {
    let words = [
        "stat",
        "--idle=0",
        "-r3",
        "--warmup=1",
        "--json",
        "-c",
        "true",
        "-c",
        ":",
    ];
    let (_, value) = json(&busy(), &words);
    let all = value.as_array().unwrap();
    assert_eq!(all.len(), 2);
    for one in all {
        assert_eq!(one["runs"].as_array().unwrap().len(), 3);
        let spread = &one["net_exits"];
        assert_eq!(
            (&spread["min"], &spread["median"], &spread["max"]),
            (&1050.0.into(), &1050.0.into(), &1050.0.into())
        );
        assert!(one["elapsed"]["min"].as_f64() <= one["elapsed"]["median"].as_f64());
    }
    let (_, text) = run(&busy(), &["stat", "--idle=0", "-c", "true", "-c", ":"]);
    assert!(
        text.contains("sh -c true") && text.contains("1,050"),
        "{text}"
    );
}
