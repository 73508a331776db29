// SPDX-License-Identifier: GPL-2.0
//! vmxscope: what a virtual machine costs, and what the CPU below can do for it.
//!
//! The program is this library and a `main` that prints errors. Whatever has a name
//! or a bit position comes from `vmx-caps` and `exit-stats`.

pub mod args;
pub mod bars;
pub mod baseline;
pub mod caps;
pub mod causes;
pub mod check;
pub mod child;
pub mod diff;
pub mod error;
pub mod exits;
pub mod exporter;
pub mod format;
pub mod generate;
pub mod guest;
pub mod host;
pub mod input;
pub mod leaf;
pub mod names;
pub mod output;
pub mod platform;
pub mod processor;
pub mod prometheus;
pub mod qmp;
pub mod recording;
pub mod report;
pub mod signals;
pub mod source;
pub mod stat;
pub mod table;
pub mod text;
pub mod tracing;
pub mod tsc;
pub mod units;
pub mod values;
pub mod view;
pub mod vms;
pub mod watch;

use args::{Cli, Command};
use error::{status, Result};
use output::Output;
use processor::Processor;

/// Does what the command line says, and returns the exit status.
pub fn run(cli: &Cli, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    match &cli.command {
        Command::Exits(args) => exits::run(args, processor, out)?,
        Command::Causes(args) => return causes::run(args, processor, out),
        Command::Stat(args) => return stat::run(args, processor, out),
        Command::Caps(args) => return caps::run(args, processor, out),
        Command::Record(args) => return recording::record(args, processor, out),
        Command::Report(args) => report::run(args, out)?,
        Command::Diff(args) => diff::run(args, out)?,
        Command::Exporter(args) => exporter::run(args, processor, out)?,
        Command::Generate(args) => generate::run(args, out)?,
        Command::Vms(args) => vms::run(args, processor, out)?,
        Command::Watch(args) => watch::run(args, processor)?,
        Command::Leaf(args) => leaf::run(args, processor, out)?,
        Command::Check(args) => return check::run(args, processor, out),
    }
    Ok(status::OK)
}
