// SPDX-License-Identifier: GPL-2.0
//! Expect that what is far off a baseline is marked, and nothing else.

mod common;

use std::fs;
use std::path::Path;

use common::{failure, printed, Machine};
use tempfile::TempDir;
use vmxscope::baseline::{Baseline, BUILT_IN};

/// What a machine's `exits --json` saved.
fn saved(machine: &Machine) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("normal.json");
    fs::write(&file, printed(machine, &["exits", "--json"])).unwrap();
    let name = file.display().to_string();
    (folder, name)
}

/// The cell of a reason below "normal", and the line on what is far off.
fn compared(machine: &Machine, baseline: &str, reason: &str) -> (String, String) {
    let text = printed(machine, &["exits", "--baseline", baseline]);
    let head = text.lines().next().unwrap();
    let end = head.find("normal").expect("a column") + "normal".len();
    let row = text
        .lines()
        .find(|line| line.get(5..).is_some_and(|rest| rest.starts_with(reason)));
    let row = row.unwrap_or_else(|| panic!("{reason} in {text}"));
    // As wide as its longest cell, which may be wider than the heading.
    let cell = row[..end].rsplit("  ").next().unwrap().trim().to_string();
    let words = text.lines().find(|line| line.contains("Compared by"));
    (cell, words.unwrap().to_string())
}

#[test]
fn the_same_guest_is_normal() {
    let (_folder, file) = saved(&Machine::booted());
    // What reads it is not the guest's.
    let (cell, words) = compared(&Machine::booted(), &file, "CPUID");
    assert_eq!(cell, "", "this program's own exits");
    assert!(words.starts_with("Nothing is far off. Compared by exits per vCPU and second"));
    let ept = compared(&Machine::booted(), &file, "EPT violation");
    assert_eq!(ept.0, "x1.0");
}

#[test]
fn what_is_four_times_as_much_is_marked_and_what_is_rare_is_not() {
    let (_folder, file) = saved(&Machine::booted());
    let machine = Machine::booted();
    (0..20_000).for_each(|_| machine.exit(12, 1));
    // 30 exceptions of 24,000 exits are less than one percent, whatever they were before.
    (0..150).for_each(|_| machine.exit(0, 1));
    let (cell, words) = compared(&machine, &file, "HLT");
    assert!(cell.starts_with('x') && cell.ends_with(" !"), "{cell}");
    assert!(words.contains("HLT x"), "{words}");
    assert!(!words.contains("Exception"), "{words}");
    // A guest that does as much in five times the time has a fifth of it.
    let slow = Machine::booted();
    (0..20_000).for_each(|_| slow.exit(48, 6_000));
    let (cell, words) = compared(&slow, &file, "HLT");
    assert!(cell.starts_with("x0.") && cell.ends_with(" !"), "{cell}");
    assert!(words.contains("HLT x0."), "{words}");
}

#[test]
fn what_the_baseline_has_and_this_guest_has_not_is_told() {
    let (_folder, file) = saved(&Machine::booted());
    let machine = Machine::patched();
    (0..100).for_each(|_| machine.exit(48, 6_000));
    let text = printed(&machine, &["exits", "--baseline", &file]);
    assert!(text.contains("I/O instruction (none here)"), "{text}");
    (0..100).for_each(|_| machine.exit(40, 6_000));
    let text = printed(&machine, &["exits", "--baseline", &file]);
    assert!(text.contains("PAUSE (none in "), "{text}");
    // Fewer rows in the table are no fewer exits.
    let top = printed(&machine, &["exits", "--top=1", "--baseline", &file]);
    assert!(top.contains("PAUSE (none in "), "{top}");
}

#[test]
fn the_built_in_ones_say_what_they_were_made_of() {
    for (name, _) in BUILT_IN {
        let baseline = Baseline::open(Path::new(name)).unwrap();
        for part in ["Linux 6.", "one vCPU", "by make experiment-baselines"] {
            assert!(baseline.about.contains(part), "{name}: {}", baseline.about);
        }
        let text = printed(&Machine::booted(), &["exits", "--baseline", name]);
        assert!(text.contains(&format!(" with {name}: ")), "{text}");
    }
    let (status, message) = failure(&Machine::booted(), &["exits", "--baseline", "party"]);
    assert_eq!(status, 2);
    assert!(message.contains("idle, boot, disk"), "{message}");
}
