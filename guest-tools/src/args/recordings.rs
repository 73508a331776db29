// SPDX-License-Identifier: GPL-2.0
//! The commands that keep figures over time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::values::{address, duration, interval};
use super::SourceArgs;

/// `vmxscope record`.
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
    /// The command, and its arguments
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<OsString>,
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// `vmxscope report`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope report boot.rec -o report.html
  vmxscope report ept.rec shadow.rec -o compared.html
  vmxscope exits --json | vmxscope report - > now.html

The page needs nothing but itself: no script, no other file. With two or more recordings it shows
them side by side. What `vmxscope exits --json` saved is a recording of one view.")]
pub struct ReportArgs {
    /// Recordings, or saved views; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the page into this file instead of standard output, which - is too
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `vmxscope exporter`.
#[derive(Debug, Clone, Args)]
#[command(
    group = ArgGroup::new("way").required(true),
    after_help = "\
Examples:
  vmxscope exporter --textfile /var/lib/node_exporter/vmxscope.prom
  vmxscope exporter --textfile /var/lib/node_exporter/vmxscope.prom --interval 15s
  vmxscope exporter --listen                      http://127.0.0.1:19469/metrics, this guest
  vmxscope exporter --listen 127.0.0.1:9000 --vms on a host, as root: each of its VMs

The file is replaced at once, never seen half written. With --interval and with --listen the
program goes on until SIGTERM or SIGINT; a reading that fails is said, and tried again the next
time. Each reading in a guest costs exits: vmxscope_own_exits_total counts them."
)]
pub struct ExporterArgs {
    /// On a host: each of its VMs
    #[arg(long, conflicts_with_all = ["cpu", "layout", "vm", "host", "qmp"])]
    pub vms: bool,
    /// Write this file, for node_exporter's textfile collector: once, or with --interval
    #[arg(long, value_name = "PATH", group = "way")]
    pub textfile: Option<PathBuf>,
    /// Write the file so often
    #[arg(short, long, value_name = "TIME", value_parser = interval, conflicts_with = "listen")]
    pub interval: Option<Duration>,
    /// Answer scrapes at this address, such as :9000 for all of this machine's, or localhost:9000
    #[arg(long, value_name = "[HOST]:PORT", group = "way", num_args = 0..=1,
          default_missing_value = "127.0.0.1:19469", value_parser = address)]
    pub listen: Option<String>,
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// `vmxscope generate`.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// What to print
    pub what: Kind,
    /// Write into this folder, under the usual names
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

/// What can be generated of the command line's definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The man page; with --into, those of the subcommands as well
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}
