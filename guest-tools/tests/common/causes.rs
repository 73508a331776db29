// SPDX-License-Identifier: GPL-2.0
//! Causes of recordings: tests/recordings has `hist` files of kernels in the lab while a nested
//! guest booted, with no more than 24 entries a table and its totals made to fit.

use std::fs;
use std::path::PathBuf;

use vmxscope::causes::model::Causes;
use vmxscope::tracing::kvm::of_hists;

use super::{printed, Machine};

pub fn recording(kernel: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings");
    fs::read_to_string(format!("{folder}/hist-{kernel}.txt")).unwrap()
}

/// The `hist` file of each event in a recording.
pub fn sections(text: &str) -> Vec<(&str, &str, &str)> {
    let parts = text.split("=== ").filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (event, text) = part.split_once('\n').unwrap();
            (event, event, text)
        })
        .collect()
}

pub fn causes_of(kernel: &str) -> Causes {
    of_hists(sections(&recording(kernel)), 20.0).unwrap()
}

/// As JSON in a file.
pub fn saved(causes: &Causes) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("causes.json");
    fs::write(&file, serde_json::to_string(causes).unwrap()).unwrap();
    (folder, file)
}

pub fn shown(causes: &Causes, words: &[&str]) -> String {
    let (_folder, file) = saved(causes);
    let from = ["causes", "--from", file.to_str().unwrap()];
    printed(&Machine::patched(), &[&from, words].concat())
}
