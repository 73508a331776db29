// SPDX-License-Identifier: GPL-2.0
//! vmxscope, the program: standard output, standard error and the exit status.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use vmxscope::args::Cli;
use vmxscope::output::{Look, Output};
use vmxscope::processor::ThisCpu;
use vmxscope::text::harmless_lines;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut to: Box<dyn Write> = if cli.prints_beside_a_command() {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout().lock())
    };
    let mut to = BufWriter::new(&mut to);
    let look = if cli.prints_beside_a_command() {
        Look::of(&io::stderr(), cli.color)
    } else {
        Look::of(&io::stdout(), cli.color)
    };
    let mut out = Output::new(&mut to, look);
    let result = vmxscope::run(&cli, &ThisCpu::default(), &mut out)
        .and_then(|status| out.flush().map(|()| status));
    match result {
        Ok(status) => status.into(),
        Err(error) => {
            // What was printed so far comes before the reason why there is no more.
            let _ = out.flush();
            if !error.is_silent() {
                // Standard error may be a terminal that is gone: no reason to panic.
                let text = harmless_lines(&error.to_string());
                let _ = writeln!(io::stderr(), "vmxscope: {text}");
            }
            error.status().into()
        }
    }
}
