// SPDX-License-Identifier: GPL-2.0
//! Expect that a recording holds what happened, and that its page says so.

mod common;

use std::path::PathBuf;

use common::{failure, run, Machine};
use proptest::prelude::*;
use vmxscope::recording::{self, Recording};
use vmxscope::report::facts::Facts;
use vmxscope::report::html;

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
    let (status, path) = recorded("command", &busy(), &["--", "sh", "-c", "sleep 0.2; exit 3"]);
    assert_eq!(status, 3);
    let recording = opened(path);
    assert_eq!(recording.header.command, ["sh", "-c", "sleep 0.2; exit 3"]);
    assert!(
        (4..10).contains(&recording.views.len()),
        "{}",
        recording.views.len()
    );
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
    assert!(opened(path).views.len() >= 3);
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

proptest! {
    #[test]
    fn no_text_does_worse_than_an_error(text in any::<String>(), lines in prop::collection::vec("[{}\"a-z:,0-9]{0,30}", 0..5)) {
        let _ = recording::parse(&text, "fuzz");
        let text = format!("{{\"header\"{}", lines.join("\n"));
        let _ = recording::parse(&text, "fuzz");
    }
}
