// SPDX-License-Identifier: GPL-2.0
//! Expect that Prometheus can read what the exporter gives, by a file or by HTTP, and
//! that it ends as services do.

#[path = "../common/mod.rs"]
mod common;
mod figures;
mod http;
mod textfile;

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::host::{host, Folder};
use common::metrics::Sample;

pub(crate) fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command.args(["exporter"]).args(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&Sample| {
        sample.name == name
            && labels
                .iter()
                .all(|(key, value)| sample.labels.get(*key).is_some_and(|is| is == value))
    };
    let found: Vec<&Sample> = samples.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].value
}

/// Ends it as services are ended; one that does not end in time is a failure.
pub(crate) fn terminate(mut child: Child) -> Output {
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= deadline {
            child.kill().unwrap();
            panic!("SIGTERM does not end it");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn page(folder: &Folder, more: &[&str]) -> String {
    let root = folder.0.to_str().unwrap();
    let file = folder.0.join("page.prom");
    let words = [
        &["--root", root, "--textfile", file.to_str().unwrap()],
        more,
    ]
    .concat();
    let output = program(&words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read_to_string(file).unwrap()
}

/// A host whose kernel's table tells the frequency of the clock, or does not.
pub(crate) fn with_frequency(name: &str, khz: Option<u32>) -> Folder {
    let folder = host(name);
    for file in [
        "exit_stats_raw",
        "4211-14/exit_stats_raw",
        "977-12/exit_stats_raw",
    ] {
        let path = folder.0.join("sys/kernel/debug/kvm").join(file);
        let text = fs::read_to_string(&path).unwrap();
        let clocks = |line: &&str| !line.starts_with(['t', 'm']);
        let lines: Vec<&str> = text.lines().filter(clocks).collect();
        let (head, rest) = (lines[0], lines[1..].join("\n"));
        let more = khz.map_or(String::new(), |khz| {
            format!("tsc_khz\t{khz}\nmonotonic_ns\t5000000000\n")
        });
        fs::write(&path, format!("{head}\n{more}{rest}\n")).unwrap();
    }
    folder
}
