// SPDX-License-Identifier: GPL-2.0
//! Expect that no input of the corpora, and none like them, makes the program panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use vmxscope_fuzz::{Target, TARGETS};

/// Inputs of each target that are like one of its corpus.
const LIKE: u32 = 400;

/// The inputs of a target's corpus.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A change of an input: at which share of its length, what is taken out, and what is put in.
type Edit = (f64, usize, Vec<u8>);

fn edit() -> impl Strategy<Value = Edit> {
    let number = || {
        prop_oneof![
            Just("18446744073709551615".to_string()),
            Just("4294967295".into()),
            Just("0".into()),
            Just("-1".into()),
            Just("1e308".into()),
            any::<u64>().prop_map(|number| number.to_string()),
            any::<u64>().prop_map(|number| format!("{number:#x}")),
        ]
    };
    let text = prop_oneof![
        3 => number().prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..4),
        1 => Just(b"\n".to_vec()),
    ];
    (0.0..1.0, 0..24_usize, text)
}

fn apply(input: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for (place, out, new) in edits {
        let start = (place * bytes.len() as f64) as usize;
        let end = (start + out).min(bytes.len());
        bytes.splice(start..end, new.iter().copied());
    }
    bytes
}

fn try_target(name: &str, target: Target) {
    let inputs = corpus(name);
    assert!(!inputs.is_empty(), "{name} has no corpus");
    inputs.iter().for_each(|input| target(input));
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(LIKE)
    };
    let like = (0..inputs.len(), proptest::collection::vec(edit(), 1..4));
    TestRunner::new(config)
        .run(&like, |(number, edits)| {
            target(&apply(&inputs[number], &edits));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// A test a target, so that they run beside each other.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let mut targets = TARGETS.iter();
            let (name, target) = targets.find(|(name, _)| *name == stringify!($name)).unwrap();
            try_target(name, *target);
        })*

        #[test]
        fn every_target_is_tested_and_no_corpus_is_without_one() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), tested);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
            for entry in fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name();
                assert!(tested.contains(&name.to_str().unwrap()), "{name:?}");
            }
        }
    };
}

targets! {
    capabilities profiles complaints views recordings qmp exit_stats_raw exit_stats_vcpus
    hist causes names words
}
