// SPDX-License-Identifier: GPL-2.0
//! Expect that the program itself behaves as programs should: exit statuses, pipes,
//! help. It runs on whatever machine this is, which serves no exit statistics.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn vmxscope(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command.args(words).env_remove("NO_COLOR").output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_command_line_is_status_2_and_names_the_option() {
    for words in [
        &["exits", "--sort=size"][..],
        &["exits", "--json", "--csv"],
        &["leaf", "0x4ffffffd", "-s", "9-3"],
        &["leaf", "0x1ffffffff"],
        &["exits", "--layout=fall21"],
    ] {
        let output = vmxscope(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let option = words.last().unwrap().trim_start_matches("--");
        let option = option.split('=').next().unwrap();
        assert!(error(&output).contains(option), "{}", error(&output));
    }
}

#[test]
fn here_there_are_no_exit_statistics_and_that_is_status_3() {
    // Unless the tests run in a guest of ours, which they need not.
    let output = vmxscope(&["exits"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    assert!(error(&output).starts_with("vmxscope: no exit statistics here: "));
}

#[test]
fn every_command_has_help_with_examples_or_rules() {
    let help = String::from_utf8(vmxscope(&["--help"]).stdout).unwrap();
    assert!(help.contains("Exit status:\n  0 "), "{help}");
    for command in [
        "exits",
        "vms",
        "stat",
        "watch",
        "record",
        "report",
        "diff",
        "exporter",
        "caps",
        "leaf",
        "caps diff",
        "caps common",
        "caps need",
        "caps explain",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let output = vmxscope(&words);
        assert_eq!(output.status.code(), Some(0));
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Examples:\n  "), "{command}: {help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

#[test]
fn what_a_command_would_ignore_is_refused() {
    let file = "../tests/dumps/bochs-2.7-penryn.txt";
    for words in [
        &["caps", "--from", file, "diff", file, file][..],
        &["caps", "--msr", "0x481=0x7f00000016", "common", file],
        &["caps", "diff", file, file, "--prometheus"],
        &["caps", "need", "xen", "--from", file, "--prometheus"],
        &["leaf", "0", "--prometheus"],
        &["watch", "--from", file],
    ] {
        let output = vmxscope(words);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}",
            error(&output)
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vmxscope"))
        .args(["leaf", "0", "-s", "0-65535"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // The reader is dropped, and the pipe with it, after one line of 65,537.
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "CPU:\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), error(&output).as_str()),
        (Some(0), "")
    );
}

#[test]
fn every_cpu_can_be_asked_in_turn() {
    let output = vmxscope(&["leaf", "0x40000000", "--all-cpus"]);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let theirs = Command::new("cpuid")
        .args(["-r", "-l", "0x40000000"])
        .output();
    let theirs = theirs.expect("cpuid runs; `make setup` unpacks it");
    assert_eq!(output.stdout, theirs.stdout);
}

#[test]
fn registers_are_printed_as_the_cpuid_program_prints_them() {
    for (leaf, subleaf) in [
        ("0x1", "0"),
        ("0x80000002", "0"),
        ("0x40000000", "0"),
        ("0x4ffffffd", "444"),
    ] {
        let theirs = Command::new("cpuid")
            .args(["-1", "-r", "-l", leaf, "-s", subleaf])
            .output();
        let theirs = theirs.expect("cpuid runs; `make setup` unpacks it");
        let ours = vmxscope(&["leaf", leaf, "-s", subleaf]);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        // Leaf 1 has the number of the CPU that answered in EBX.
        let without = |text: String| match text.split_once(" ebx=") {
            Some((before, after)) if leaf == "0x1" => format!("{before} {}", &after[11..]),
            _ => text,
        };
        assert_eq!(
            without(text(ours.stdout)),
            without(text(theirs.stdout)),
            "{leaf}"
        );
    }
}

#[test]
fn colours_are_as_the_environment_says() {
    let file = "../tests/dumps/bochs-2.7-penryn.txt";
    let colored = |variables: &[(&str, &str)], more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let output = command
            .args(["caps", "--from", file])
            .args(more)
            .output()
            .unwrap();
        output.stdout.contains(&0x1b)
    };
    // Standard output is a pipe.
    assert!(!colored(&[], &[]));
    assert!(colored(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!colored(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]));
    assert!(colored(&[("NO_COLOR", "1")], &["--color=always"]));
    assert!(!colored(&[("CLICOLOR_FORCE", "1")], &["--color=never"]));
}

#[test]
fn what_a_command_refuses_is_not_in_its_help() {
    for command in ["leaf", "caps diff", "caps need", "caps explain"] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = String::from_utf8(vmxscope(&words).stdout).unwrap();
        assert!(
            help.contains("--json") && !help.contains("--prometheus"),
            "{command}: {help}"
        );
    }
}
