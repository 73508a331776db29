// SPDX-License-Identifier: GPL-2.0
//! `vmxscope causes`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use crate::format::Form;
use crate::source::SourceArgs;
use crate::values::duration;

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope causes                          in a guest: since its VM began
  vmxscope causes make test                in a guest: of a command
  vmxscope causes --vm web1                on a host: of one of its VMs since it began
  vmxscope causes --vm web1 --duration 10s --symbols System.map
  vmxscope causes --host                   as root: count until Ctrl-C
  vmxscope causes --host --duration 10s --symbols System.map
  vmxscope causes --host sh -c 'ssh guest make test'
  vmxscope causes --host --duration 10s --json > causes.json
  vmxscope causes --from causes.json --folded=places | flamegraph.pl > places.svg

In a guest, and of one VM of a host, they are those that the host keeps, with times: if kvm was loaded
with exit_stats_causes=1, or vmx_exits with causes=1, before the VM began. Functions of the guest's
kernel have names for root, by /proc/kallsyms, and those of the command by the files that it has
mapped: it is looked at while it runs, after a millisecond and then up to once a second.

With --host, ftrace counts the exits of all VMs by the trace events of any KVM, Intel's or AMD's, in a
tracing instance that is removed at the end. ftrace tells no times: neither those of handling nor
those of userspace. It tells what exits were about and where the guest's code was, but not both of
one exit, and it counts all VMs together.

The guest's own files give better names: copy its /proc/kallsyms, /proc/ioports and /proc/iomem, as
root there. A System.map fits a guest that was booted with nokaslr.

The command's exit status is passed on, and the result goes to standard error then.")]
pub struct CausesArgs {
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Show what `vmxscope causes --json` saved, instead; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Source",
          conflicts_with_all = ["cpu", "layout", "vm", "host", "qmp", "root", "vcpu", "duration",
                                "command"])]
    pub from: Option<PathBuf>,
    /// Without a command: end after so long, such as 500ms or 10s, instead of by Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "command")]
    pub duration: Option<Duration>,
    /// Show no more than N causes, and N places
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// The command, and its arguments
    #[arg(trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// The guest's own files.
    #[command(flatten)]
    pub files: GuestFiles,
    /// Print folded stacks, as flame graph tools take them: causes, or places in the guest's code
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true,
          default_missing_value = "causes", hide_possible_values = true, help_heading = "Form",
          conflicts_with_all = ["json", "csv", "prometheus"])]
    pub folded: Option<Folded>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}

/// What folded stacks are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Folded {
    /// What exits were about
    Causes,
    /// Where the guest's code was
    Places,
}

/// Files of the guest, copied to where this program runs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Names")]
pub struct GuestFiles {
    /// The guest's System.map, or its /proc/kallsyms
    #[arg(long, value_name = "FILE")]
    pub symbols: Option<PathBuf>,
    /// The guest's /proc/ioports
    #[arg(long, value_name = "FILE")]
    pub ioports: Option<PathBuf>,
    /// The guest's /proc/iomem
    #[arg(long, value_name = "FILE")]
    pub iomem: Option<PathBuf>,
}
