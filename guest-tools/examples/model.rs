// SPDX-License-Identifier: GPL-2.0
//! The program on a model of a guest instead of the CPU: for a look at screens and
//! pages where no patched KVM is.
//!
//! `cargo run -p vmxscope --example model -- watch`

#[path = "../tests/common/mod.rs"]
mod common;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use vmxscope::args::Cli;
use vmxscope::output::{Look, Output};

fn main() -> ExitCode {
    let machine = common::Machine {
        meanwhile: |machine, n| {
            let n = u64::from(n);
            (0..300 + n % 7 * 90).for_each(|k| machine.exit(48, 2_000 + k * k % 9_000));
            (0..80 + n % 3 * 20).for_each(|k| machine.exit(30, 20_000 + k * 100));
            (0..150).for_each(|k| machine.exit(32, 900 + k * 3));
            (0..60).for_each(|k| machine.exit(12, 1_900 + k * 30));
            (0..40).for_each(|k| machine.exit(1, 3_900 + k * 3));
        },
        ..common::Machine::booted()
    };
    let cli = Cli::parse();
    let mut to = io::stdout();
    let mut out = Output::new(&mut to, Look::of(&io::stdout(), cli.color));
    match vmxscope::run(&cli, &machine, &mut out).and_then(|status| out.flush().map(|()| status)) {
        Ok(status) => status.into(),
        Err(error) => {
            eprintln!("vmxscope: {error}");
            error.status().into()
        }
    }
}
