// SPDX-License-Identifier: GPL-2.0
//! Expect that a command is charged with its own exits, and with no others.

mod common;

use common::{failure, run, Machine};
use serde_json::Value;

/// A guest that has 10 HLTs while it is idle, and whose command executes CPUID 1,000
/// times and writes to 50 ports. Readings: one for discovery, two round the idle
/// time, two round each run.
fn busy() -> Machine {
    Machine {
        meanwhile: |machine, times| match times {
            2 => (0..10).for_each(|_| machine.exit(12, 2_000)),
            n if n >= 4 && n % 2 == 0 => {
                (0..1_000).for_each(|_| machine.exit(10, 1_000));
                (0..50).for_each(|_| machine.exit(30, 9_000));
            }
            _ => (),
        },
        ..Machine::booted()
    }
}

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
    assert_eq!(line(&value, 30)["net"], 50.0);
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
fn the_status_of_the_command_is_passed_on() {
    let machine = busy();
    let stat = |command: &[&str]| {
        let words = [&["stat", "--idle=0", "--"], command].concat();
        run(&machine, &words)
    };
    let (status, text) = stat(&["sh", "-c", "exit 7"]);
    assert_eq!(status.unwrap(), 7);
    assert!(text.contains("exit status 7, in 1 of 1 runs"), "{text}");
    assert_eq!(stat(&["sh", "-c", "kill -TERM $$"]).0.unwrap(), 128 + 15);
    let not_run = |command| stat(&[command]).0.unwrap_err();
    assert_eq!(not_run("/nonexistent/program").status(), 127);
    assert_eq!(not_run("/dev/null").status(), 126);
    assert!(not_run("/nonexistent/program")
        .to_string()
        .contains("/nonexistent/program"));
}

#[test]
fn a_host_without_statistics_runs_no_command() {
    let file = std::env::temp_dir().join(format!("vmxscope-ran-{}", std::process::id()));
    let words = ["stat", "--", "touch", file.to_str().unwrap()];
    assert_eq!(failure(&Machine::stock(), &words).0, 3);
    assert!(!file.exists());
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
fn a_result_can_be_kept_in_a_file() {
    let file = std::env::temp_dir().join(format!("vmxscope-stat-{}", std::process::id()));
    let name = file.to_str().unwrap();
    let words = ["stat", "--idle=0", "--csv", "-o", name, "--", "true"];
    let (status, text) = run(&busy(), &words);
    assert_eq!((status.unwrap(), text.as_str()), (0, ""));
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(kept.starts_with("reason,symbol,name,exits,"), "{kept}");
    let words = ["stat", "-o", "/nonexistent/file", "--", "true"];
    assert_eq!(failure(&busy(), &words).0, 5);
}
