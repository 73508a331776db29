// SPDX-License-Identifier: GPL-2.0
//! The command that is run, its status, and where the result goes.

use crate::common::host::host;
use crate::common::{failure, run, Machine};
use crate::{busy, on_host};

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
