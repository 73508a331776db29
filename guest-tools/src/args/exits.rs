// SPDX-License-Identifier: GPL-2.0
//! `vmxscope exits`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::format::Form;
use crate::source::SourceArgs;
use crate::values::duration;
use crate::view::Sort;

/// The options.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  vmxscope exits                        the reasons that occurred, the dearest first
  vmxscope exits --sort count --top 5   the five most frequent
  vmxscope exits --reason hlt           one reason, with its histogram
  vmxscope exits --json > before.json   save them; --from before.json shows them again
  vmxscope exits --vm web1              on a host, as root: one of its VMs
  vmxscope exits --qmp /run/web1.qmp --per-vcpu
  vmxscope exits --baseline idle        is that normal for a guest that idles?
  vmxscope record -o mine.rec --duration 1m; vmxscope exits --baseline mine.rec
  vmxscope exits --host --ftrace --duration 10s

time, average, p50 and p99 are of the handling in the host. blocked is how long the guest then
slept, and userspace how long the VMM (such as QEMU) worked for it. p50 and p99 are the ends of
the histogram's buckets: that many percent of the exits took at most so long. normal is how many
times the baseline's figure this one is; an exclamation mark is a factor of 4 or more, either way.

With --host, where KVM has no exit statistics, ftrace counts the exits from now on until Ctrl-C, or
for the --duration. It tells how many exits each reason has, and no times.")]
pub struct ExitsArgs {
    /// Sort by this
    #[arg(long, value_name = "KEY", default_value = "time")]
    pub sort: Sort,
    /// Show no more than N reasons
    #[arg(short = 'n', long, value_name = "N")]
    pub top: Option<usize>,
    /// Show this reason only, with its histogram: a number, or a name such as hlt or EPT_VIOLATION
    #[arg(long, value_name = "NAME|N")]
    pub reason: Vec<String>,
    /// With --qmp: each vCPU by itself
    #[arg(long, requires = "qmp",
          conflicts_with_all = ["vcpu", "cpu", "layout", "vm", "host", "root"])]
    pub per_vcpu: bool,
    /// Show also what made the exits, if the host keeps that
    #[arg(long, conflicts_with_all = ["csv", "per_vcpu", "ftrace", "duration"])]
    pub causes: bool,
    /// Show also the reasons that did not occur
    #[arg(long)]
    pub all: bool,
    /// Mark what is far off a guest of this kind: idle, boot, disk, or a recording or saved view
    /// of your own
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["json", "csv", "prometheus"])]
    pub baseline: Option<PathBuf>,
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Show what `vmxscope exits --json` saved, instead; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Source",
          conflicts_with_all = ["cpu", "layout", "vm", "host", "qmp", "root", "vcpu", "per_vcpu"])]
    pub from: Option<PathBuf>,
    /// With --host: count by ftrace, also where KVM has exit statistics
    #[arg(long, help_heading = "Source", requires = "host")]
    pub ftrace: bool,
    /// By ftrace: end after so long, such as 10s, instead of by Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Source",
          requires = "host")]
    pub duration: Option<Duration>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
