// SPDX-License-Identifier: GPL-2.0
//! Expect that a recording holds what happened, and that its page says so.

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::host::host;
use common::{failure, run, Machine};
use exit_stats::reason::Vendor;
use proptest::prelude::*;
use vmxscope::recording::{self, Recording};
use vmxscope::report::facts::Facts;
use vmxscope::report::html;
use vmxscope::view::{Row, Scope, View};

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("vmxscope-{name}-{}", std::process::id()))
}

/// A guest that has some exits between two views.
fn busy() -> Machine {
    Machine {
        meanwhile: |machine, times| {
            (0..1_000 + u64::from(times % 3) * 50).for_each(|n| machine.exit(48, 5_000 + n));
            (0..40).for_each(|n| machine.exit(30, 20_000 + n * 100));
        },
        ..Machine::booted()
    }
}

fn recorded(name: &str, machine: &Machine, command: &[&str]) -> (u8, PathBuf) {
    let path = file(name);
    let words = [
        &["record", "--interval", "40ms", "-o", path.to_str().unwrap()],
        command,
    ]
    .concat();
    (run(machine, &words).0.unwrap(), path)
}

fn opened(path: PathBuf) -> Recording {
    let recording = recording::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    recording
}

#[test]
fn a_recording_holds_the_views_and_the_commands_status() {
    // The command ends when there is a view besides the first, however busy the machine is.
    let script = format!(
        "until [ $(wc -l <{}) -ge 3 ]; do sleep 0.01; done; exit 3",
        file("command").display()
    );
    let (status, path) = recorded("command", &busy(), &["--", "sh", "-c", &script]);
    assert_eq!(status, 3);
    let recording = opened(path);
    assert_eq!(recording.header.command, ["sh", "-c", &script]);
    assert!(recording.views.len() >= 3, "{}", recording.views.len());
    assert_eq!(recording.end.unwrap().status, Some(3));
    let facts = Facts::of(&recording).unwrap();
    let steps: u64 = facts.steps.iter().map(|step| step.added.total.exits).sum();
    assert_eq!(steps, facts.added.total.exits);
    assert_eq!(facts.most(|row| row.exits)[0].reason, 48);
}

#[test]
fn without_a_command_it_ends_by_itself() {
    let (status, path) = recorded("duration", &busy(), &["--duration", "120ms"]);
    assert_eq!(status, 0);
    let recording = opened(path);
    assert!(recording.views.len() >= 2 && recording.end.is_some());
}

#[test]
fn the_page_answers_in_words_and_needs_nothing_else() {
    let (_, path) = recorded("page", &busy(), &["--", "sleep", "0.3"]);
    let facts = Facts::of(&opened(path)).unwrap();
    let page = html::page(std::slice::from_ref(&facts));
    for expected in [
        "Is the rate of exits stable?",
        "EPT violation (48), ",
        "How many exits did a boot take?",
        "<svg role=\"img\" aria-label=\"Exits a second over time\"",
        "aria-label=\"Handling time of one exit by EPT violation\"",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    for forbidden in ["<script", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // The one address is the name of SVG, which nothing fetches.
    assert_eq!(
        page.matches("http").count(),
        page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
}

#[test]
fn two_recordings_are_shown_side_by_side() {
    let (_, ept) = recorded("ept", &busy(), &["--duration", "60ms"]);
    let shadow = Machine {
        meanwhile: |machine, _| (0..500).for_each(|n| machine.exit(0, 3_000 + n)),
        ..Machine::booted()
    };
    let (_, shadow) = recorded("shadow", &shadow, &["--duration", "60ms"]);
    let (_, page) = run(
        &Machine::stock(),
        &["report", ept.to_str().unwrap(), shadow.to_str().unwrap()],
    );
    assert!(page.contains("Side by side"));
    let name = ept.file_name().unwrap().to_str().unwrap();
    assert!(page.contains(&format!("<th>{name}</th>")), "{name}");
    assert!(page.contains("<td>gone</td>") && page.contains("<td>new</td>"));
    std::fs::remove_file(ept).unwrap();
    std::fs::remove_file(shadow).unwrap();
}

#[test]
fn counters_that_started_anew_are_added_up() {
    let (_, path) = recorded("anew", &busy(), &["--duration", "120ms"]);
    let mut recording = opened(path);
    let again = recording.views[0].clone();
    recording.views.push(again);
    let facts = Facts::of(&recording).unwrap();
    assert_eq!(facts.restarts, 1);
    let steps: u64 = facts.steps.iter().map(|step| step.added.total.exits).sum();
    assert_eq!(facts.added.total.exits, steps);
    // Of what was before, nobody asked how long the guest slept: not told, and not 0.
    assert!(facts.added.counts_only);
}

#[test]
fn a_recording_that_was_cut_off_is_read_up_to_there() {
    let (_, path) = recorded("cut", &busy(), &["--duration", "120ms"]);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let cut = &text[..text.len() - 10];
    let recording = recording::parse(cut, "cut.rec").unwrap();
    assert_eq!(recording.end, None);
    let spoilt = text.replacen("{\"view\"", "{\"vjew\"", 1);
    let error = recording::parse(&spoilt, "spoilt.rec").unwrap_err();
    assert!(error.to_string().starts_with("spoilt.rec:2: "), "{error}");
    assert_eq!(
        failure(&Machine::stock(), &["report", "/nonexistent.rec"]).0,
        4
    );
}

#[test]
fn markup_in_names_stays_text() {
    let (_, path) = recorded("markup", &busy(), &["--", "echo", "<b onclick=\"x\">&"]);
    let facts = Facts::of(&opened(path)).unwrap();
    let page = html::page(&[facts]);
    assert!(
        page.contains("echo &lt;b onclick=&quot;x&quot;&gt;&amp;"),
        "{page}"
    );
}

/// A command that a signal ends, and that is told of it.
#[test]
fn a_signal_reaches_the_command_and_the_recording_has_its_end() {
    let folder = host("record-term");
    let path = folder.0.join("x.rec");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command.args(["record", "--host", "--root"]).arg(&folder.0);
    command
        .arg("-o")
        .arg(&path)
        .args(["sh", "-c", "echo $$; exec sleep 60"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut pid = String::new();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    from.read_line(&mut pid).unwrap();
    let us = child.id().to_string();
    assert!(Command::new("kill")
        .args(["-TERM", &us])
        .status()
        .unwrap()
        .success());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(!Path::new("/proc").join(pid.trim()).exists());
    assert_eq!(
        recording::open(&path).unwrap().end.unwrap().status,
        Some(128 + 15)
    );
}

#[test]
fn an_interrupt_ends_a_recording_without_a_command() {
    let folder = host("record-int");
    let path = folder.0.join("x.rec");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command
        .args(["record", "--host", "--root"])
        .arg(&folder.0)
        .arg("-o")
        .arg(&path);
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // The first view is written after the signals are taken over.
    while recording::open(&path).is_err() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    let us = child.id().to_string();
    assert!(Command::new("kill")
        .args(["-INT", &us])
        .status()
        .unwrap()
        .success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(recording::open(&path).unwrap().end.is_some());
}

/// A recording of so many EPT violations in so many seconds, while the wall clock was set.
fn made(name: &str, exits: u64, seconds: u64, own: u64) -> Recording {
    let view = |exits: u64, own: u64, ns: u64| {
        let mut view = View::new(Scope::Guest, "made".into(), 2_000_000);
        view.monotonic_ns = Some(ns);
        let row = |reason, exits| Row {
            exits,
            cycles: exits * 1_000,
            ..Row::named(Vendor::Vmx, reason)
        };
        view.reasons = vec![
            row(10, own),
            row(48, exits),
            row(12, 5 * u64::from(exits != 0)),
        ];
        view.own_exits = own;
        view.total.exits = view.reasons.iter().map(|row| row.exits).sum();
        view
    };
    let mut last = view(exits, own, seconds * 1_000_000_000 + 7);
    // Somebody set the clock back by an hour meanwhile.
    last.unix_ms -= 3_600_000;
    let header = recording::Header {
        format: recording::FORMAT.into(),
        command: Vec::new(),
        interval_ms: 1_000,
        about: None,
        compare: None,
    };
    Recording {
        name: name.into(),
        header,
        views: vec![view(0, 0, 7), last],
        functions: Default::default(),
        end: None,
    }
}

#[test]
fn recordings_are_compared_by_rate() {
    let facts = |name, exits, seconds| Facts::of(&made(name, exits, seconds, 0)).unwrap();
    let (a, b) = (facts("a", 20_000, 20), facts("b", 15_000, 15));
    assert_eq!((a.seconds, b.seconds), (20.0, 15.0));
    let page = html::page(&[a.clone(), b]);
    assert!(
        page.contains("<td>\u{d7}1.00</td>") && !page.contains("0.75"),
        "{page}"
    );
    let page = html::page(&[a, facts("c", 240_000, 20)]);
    assert!(page.contains("<td>\u{d7}12</td>"), "{page}");
}

#[test]
fn two_recordings_are_compared_in_the_terminal_too() {
    let folder = host("diff");
    let saved = |name: &str, recording: &Recording| {
        let path = folder.0.join(name);
        let line = |key: &str, value: serde_json::Value| {
            format!("{}\n", serde_json::json!({ key: value }))
        };
        let mut text = line("header", serde_json::to_value(&recording.header).unwrap());
        for view in &recording.views {
            text += &line("view", serde_json::to_value(view).unwrap());
        }
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let (a, b) = (
        saved("a", &made("a", 20_000, 20, 0)),
        saved("b", &made("b", 45_000, 15, 0)),
    );
    let (status, text) = run(&Machine::stock(), &["diff", &a, &b]);
    assert_eq!(status.unwrap(), 0);
    let line = text
        .lines()
        .find(|line| line.contains("EPT violation"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        words[..6],
        ["48", "EPT", "violation", "1,000", "3,000", "\u{d7}3.00"],
        "{text}"
    );
    assert!(text.contains("Exits and time are of a second."));
    // A view by itself has no length.
    let view = folder.0.join("view.json");
    let last = serde_json::to_string(&made("b", 45_000, 15, 0).views[1]).unwrap();
    std::fs::write(&view, last).unwrap();
    let (_, text) = run(
        &Machine::stock(),
        &["diff", &a, view.to_str().unwrap(), "-n", "1"],
    );
    assert!(
        text.contains("\u{d7}2.25") && text.contains("All exits are compared"),
        "{text}"
    );
    assert!(!text.contains("HLT"), "{text}");
}

#[test]
fn the_least_frequent_reason_is_not_the_programs_own() {
    let facts = Facts::of(&made("own", 1_000, 10, 3)).unwrap();
    let answers = facts.answers();
    let (_, least) = answers
        .iter()
        .find(|(question, _)| question.contains("least"))
        .unwrap();
    assert!(least.starts_with("HLT (12), 5 exits"), "{least}");
}

#[test]
fn the_total_is_set_off_from_the_rows() {
    let page = html::page(&[Facts::of(&made("total", 1_000, 10, 3)).unwrap()]);
    assert!(page.contains("tr.sum td { font-weight: 600;"));
    assert!(
        page.contains("<tr class=\"sum\"><td></td><td class=\"w\">All exits"),
        "{page}"
    );
}

proptest! {
    #[test]
    fn no_text_does_worse_than_an_error(text in any::<String>(), lines in prop::collection::vec("[{}\"a-z:,0-9]{0,30}", 0..5)) {
        let _ = recording::parse(&text, "fuzz");
        let text = format!("{{\"header\"{}", lines.join("\n"));
        let _ = recording::parse(&text, "fuzz");
    }
}
