// SPDX-License-Identifier: GPL-2.0
//! Expect that a command is charged with its own exits, and with no others.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::host::host;
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

/// The program on a host's files: `folder` has to live as long.
fn on_host(folder: &common::host::Folder, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command.args(["stat", "--host", "--root"]).arg(&folder.0);
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn signal(name: &str, pid: u32) {
    let pid = pid.to_string();
    assert!(Command::new("kill")
        .args([name, &pid])
        .status()
        .unwrap()
        .success());
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
    let order = |words: &[&str]| -> Vec<u64> {
        let words = [&["stat", "--idle=0", "--json"], words, &["true"]].concat();
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
        let (_, value) = json(&machine, &words);
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
}

#[test]
fn an_interrupt_ends_the_idle_time_at_once() {
    let folder = host("stat-idle");
    let started = Instant::now();
    let child = on_host(&folder, &["--idle", "60s", "--", "true"])
        .spawn()
        .unwrap();
    // It is ready for signals when it has asked for them.
    wait_for_handler(child.id());
    signal("-INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

/// Waits until the process catches SIGTERM and SIGINT, by the kernel's word.
fn wait_for_handler(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:\t"))
            .unwrap();
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        if caught & (1 << 14) != 0 && caught & (1 << 1) != 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command that prints a line when it runs; sends a signal then.
fn signalled(name: &str, words: &[&str], signal_name: &str) -> std::process::Output {
    let folder = host(name);
    let mut child = on_host(&folder, words).spawn().unwrap();
    let mut line = String::new();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    from.read_line(&mut line).unwrap();
    assert_eq!(line, "runs\n");
    signal(signal_name, child.id());
    let output = child.wait_with_output().unwrap();
    // No other run began.
    line.clear();
    from.read_line(&mut line).unwrap();
    assert_eq!(line, "");
    output
}

#[test]
fn after_a_signal_there_is_no_other_run_and_the_result_is_shown() {
    // A command that takes no notice of the signal, and one that ends by it.
    let command = "echo runs; sleep 0.3";
    let words = ["--idle=0", "-r", "5", "--", "sh", "-c", command];
    let output = signalled("stat-int", &words, "-INT");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("VM exits while it ran") && !text.contains("runs ("),
        "{text}"
    );
    let words = [
        "--idle=0",
        "-r",
        "5",
        "--",
        "sh",
        "-c",
        "echo runs; exec sleep 60",
    ];
    let output = signalled("stat-term", &words, "-TERM");
    assert_eq!(output.status.code(), Some(128 + 15), "{output:?}");
}

#[test]
fn a_command_needs_no_dashes_and_its_options_are_its_own() {
    let (status, text) = run(&busy(), &["stat", "--idle=0", "sh", "-c", "exit 3"]);
    assert_eq!(status.unwrap(), 3);
    assert!(
        text.contains("VM exits while it ran: sh -c exit 3"),
        "{text}"
    );
}

#[test]
fn without_a_command_the_guest_is_measured_for_a_time() {
    let (status, text) = run(&busy(), &["stat", "--duration", "20ms"]);
    assert_eq!(status.unwrap(), 0);
    assert!(
        text.contains("VM exits meanwhile") && !text.contains("idle:"),
        "{text}"
    );
    // Or until an interrupt.
    let folder = host("stat-alone");
    let child = on_host(&folder, &[]).spawn().unwrap();
    wait_for_handler(child.id());
    signal("-INT", child.id());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn intervals_are_lines_on_standard_output() {
    let folder = host("stat-intervals");
    let mut child = on_host(&folder, &["-I", "20"]).spawn().unwrap();
    wait_for_handler(child.id());
    // More exits of HLT again and again, whenever it is that it reads first.
    let file = folder.0.join("sys/kernel/debug/kvm/exit_stats_raw");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("12\tHLT\t150\t"));
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ends = over.clone();
    let writer = std::thread::spawn(move || {
        for more in 1.. {
            if ends.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
            let now = format!("12\tHLT\t{}\t", 150 + 20 * more);
            let beside = file.with_extension("new");
            std::fs::write(&beside, text.replace("12\tHLT\t150\t", &now)).unwrap();
            std::fs::rename(beside, &file).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let head = lines.next().unwrap().unwrap();
    assert_eq!(
        head,
        "seconds,interval,vm,reason,symbol,exits,exits_per_second,cycles,handling_seconds,own"
    );
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains(",host,12,HLT,"), "{line}");
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    signal("-TERM", child.id());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    let words = ["stat", "-I", "20ms", "--duration", "30ms", "--json"];
    let (_, text) = run(&busy(), &words);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (first["vm"].as_str(), first["reason"].is_u64()),
        (Some("model"), true)
    );
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

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let full = ["stat", "--idle=0", "-o", "/dev/full", "--", "true"];
    let (status, message) = failure(&busy(), &full);
    assert_eq!(status, 5);
    assert!(message.contains("cannot write /dev/full"), "{message}");
    // - is no file.
    let folder = host("stat-dash");
    let output = on_host(&folder, &["--idle=0", "--json", "-o", "-", "true"])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"{\n"), "{output:?}");
    assert!(!folder.0.join("-").exists());
}
