// SPDX-License-Identifier: GPL-2.0
//! Expect that a command is charged with its own exits, and with no others.

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod figures;
mod signals;

use std::process::{Command, Stdio};

use common::Machine;

/// A guest that has 10 HLTs while it is idle, and whose command executes CPUID 1,000
/// times and writes to 50 ports. Readings: one for discovery, two round the idle
/// time, two round each run.
pub(crate) fn busy() -> Machine {
    Machine {
        meanwhile: |machine, times| match times {
            2 => (0..10).for_each(|_| machine.exit(12, 2_000)),
            n if n >= 4 && n % 2 == 0 => {
                (0..1_000).for_each(|_| machine.exit(10, 1_000));
                (0..50).for_each(|_| machine.exit(30, 9_000));
            }
            _ => (),
        },
        ..Machine::booted()
    }
}

/// The program on a host's files: `folder` has to live as long.
pub(crate) fn on_host(folder: &common::host::Folder, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command.args(["stat", "--host", "--root"]).arg(&folder.0);
    command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
