// SPDX-License-Identifier: GPL-2.0
//! `vmxscope record`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::source::SourceArgs;
use crate::values::{duration, interval};

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope record -o before.rec make -j2
  vmxscope record -o idle.rec --duration 30s --interval 500ms
  vmxscope report before.rec after.rec -o report.html

A recording has a line of JSON a view. Each view but the first and the last is read with as few
exits as can be; how many it took is in it. The command's exit status is passed on.")]
pub struct RecordArgs {
    /// Write the recording into this file; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Read so often
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Without a command: end after so long, instead of by an interrupt
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "command")]
    pub duration: Option<Duration>,
    /// Record also what made the exits, if the host keeps that: the report shows it
    #[arg(long)]
    pub causes: bool,
    /// The command, and its arguments
    #[arg(trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
}
