// SPDX-License-Identifier: GPL-2.0
//! `vmxscope stat`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::format::Form;
use crate::source::SourceArgs;
use crate::values::{duration, milliseconds};
use crate::view::Sort;

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope stat make -j2
  vmxscope stat -r 10 --warmup 2 --sort count ./benchmark
  vmxscope stat -r 5 -c 'grep -r foo .' -c 'rg foo'     two commands side by side
  vmxscope stat -o stat.json --json sh -c 'curl -s http://localhost/ | wc -c'
  vmxscope stat                         all that happens until Ctrl-C
  vmxscope stat -I 1000 --duration 1m   a line of CSV a reason and second
  vmxscope stat -p web1 sleep 10        on a host: what that VM does in the time

exits are all that this guest had while the command ran. own are those by which this program
read them, idle is what the guest has anyway in such a time (--idle: measured before), and net
is what is left: the command's. net time is that of the net exits, at the average of their
reason. The result goes to standard error, so that the command's own output can be used, but
lines of intervals go to standard output. The command's exit status is passed on (128 + N if
signal N ended it, 126 and 127 if it could not be run).")]
pub struct StatArgs {
    /// Run the command N times and show averages, with the deviation between runs
    #[arg(short, long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub repeat: u32,
    /// Run it N times before, without measuring that
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub warmup: u32,
    /// Run this command by sh; several are shown side by side
    #[arg(short = 'c', long = "compare", value_name = "CMD", conflicts_with_all = ["command", "interval"])]
    pub compare: Vec<OsString>,
    /// Measure the idle guest for so long first, such as 500ms or 2s; 0 leaves it out
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub idle: Duration,
    /// Without a command: end after so long, instead of by Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["command", "compare"])]
    pub duration: Option<Duration>,
    /// Print a line a reason so often, as CSV, or with --json as a line of JSON each;
    /// a number without a unit is in milliseconds, as perf has it
    #[arg(short = 'I', long, value_name = "TIME", value_parser = milliseconds,
          conflicts_with_all = ["repeat", "warmup", "idle", "sort", "top", "prometheus"])]
    pub interval: Option<Duration>,
    /// Sort by this
    #[arg(long, value_name = "KEY", default_value = "time")]
    pub sort: Sort,
    /// Show no more than N reasons
    #[arg(short = 'n', long, value_name = "N")]
    pub top: Option<usize>,
    /// Show also what made the exits, of all runs together, if the host keeps that
    #[arg(long, conflicts_with_all = ["csv", "interval"])]
    pub causes: bool,
    /// Write the result into this file; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The command, and its arguments
    #[arg(trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}

impl StatArgs {
    /// The words of each command.
    pub fn commands(&self) -> Vec<Vec<OsString>> {
        let by_shell = |text: &OsString| vec!["sh".into(), "-c".into(), text.clone()];
        if self.command.is_empty() {
            self.compare.iter().map(by_shell).collect()
        } else {
            vec![self.command.clone()]
        }
    }
}
