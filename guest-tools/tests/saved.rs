// SPDX-License-Identifier: GPL-2.0
//! Expect that what was saved is shown as it was.

mod common;

use common::{failure, printed, Machine};

#[test]
fn a_saved_view_is_shown_as_it_was() {
    let machine = Machine::booted();
    let saved = printed(&machine, &["exits", "--json"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved");
    std::fs::write(&file, &saved).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        printed(
            &machine,
            &["exits", "--from", file, "--json", "--sort=time"]
        ),
        saved
    );
    std::fs::write(file, "{\n\"format\": 5}").unwrap();
    let (status, message) = failure(&machine, &["exits", "--from", file]);
    assert_eq!(status, 4);
    assert!(message.starts_with(&format!("{file}:2: ")), "{message}");
    std::fs::remove_file(file).unwrap();
    assert_eq!(failure(&machine, &["exits", "--from", file]).0, 4);
}

#[test]
fn what_was_saved_says_what_was_left_out_and_can_be_shown_again() {
    let machine = Machine::booted();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved");
    let from = file.to_str().unwrap();
    let saved = printed(&machine, &["exits", "--json", "-n", "1"]);
    std::fs::write(&file, &saved).unwrap();
    let text = printed(&machine, &["exits", "--from", from]);
    assert!(
        text.contains("1 of 9 reasons that occurred are shown."),
        "{text}"
    );
    // And again: nothing is forgotten.
    std::fs::write(
        &file,
        printed(&machine, &["exits", "--from", from, "--json"]),
    )
    .unwrap();
    assert_eq!(printed(&machine, &["exits", "--from", from]), text);
    // A list is what --per-vcpu saves.
    std::fs::write(&file, format!("[{saved},{saved}]")).unwrap();
    let text = printed(&machine, &["exits", "--from", from]);
    assert_eq!(text.matches("model:\n").count(), 2, "{text}");
}
