// SPDX-License-Identifier: GPL-2.0
//! When it ends: by a signal, after a time, and in intervals until then.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::host::host;
use crate::common::run;
use crate::{busy, on_host};

fn signal(name: &str, pid: u32) {
    let pid = pid.to_string();
    assert!(Command::new("kill")
        .args([name, &pid])
        .status()
        .unwrap()
        .success());
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
fn a_command_that_a_signal_ended_is_not_run_again() {
    let words = [
        "stat",
        "--idle=0",
        "-r5",
        "--json",
        "sh",
        "-c",
        "kill -TERM $$",
    ];
    let (status, text) = run(&busy(), &words);
    assert_eq!(status.unwrap(), 128 + 15);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["runs"].as_array().unwrap().len(), 1);
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
        "seconds,interval,vm,reason,symbol,exits,exits_per_second,cycles,handling_seconds,own,\
         blocked_cycles,userspace_cycles,scheduled_out_cycles,entry_cycles,guest_cycles"
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
    for time in ["blocked", "userspace", "scheduled_out", "entry", "guest"] {
        assert!(first[format!("{time}_cycles")].is_u64(), "{first}");
    }
}
