// SPDX-License-Identifier: GPL-2.0
//! Prints the tables of all capability MSRs as Markdown; `make docs` calls it.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut text = String::new();
    vmx_caps::markdown::write(&mut text).expect("a String takes everything");
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("capabilities-md: cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
