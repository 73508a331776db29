// SPDX-License-Identifier: GPL-2.0
//! The command line.

mod caps;
mod causes;
mod check;
mod diff;
mod exits;
mod exporter;
mod generate;
mod leaf;
mod record;
mod report;
mod stat;
mod values;
mod vms;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use exit_stats::abi::Layout;

pub use caps::{BareArgs, CapsArgs, CapsCommand, MachineArgs, WordsArgs};
pub use causes::{CausesArgs, Folded, GuestFiles};
pub use check::CheckArgs;
pub use diff::DiffArgs;
pub use exits::ExitsArgs;
pub use exporter::ExporterArgs;
pub use generate::{GenerateArgs, Generated};
pub use leaf::LeafArgs;
pub use record::RecordArgs;
pub use report::ReportArgs;
pub use stat::StatArgs;
use values::layout;
pub use values::{duration, number};
pub use vms::VmsArgs;
pub use watch::WatchArgs;

const EXIT_CODES: &str = "\
Exit status:
  0  all went well; a reader that closes the pipe early is no error
  1  a check failed, two things differ, or something needed is missing
  2  the command line is wrong
  3  there is nothing to be read here: no exit statistics, no VMX; the message says why
  4  an input could not be read, or not be understood
  5  the system refused something: a file, a CPU, a device
  6  the figures kept changing under the reader";

/// What a virtual machine costs, and what the CPU below can do for it
#[derive(Debug, Parser)]
#[command(name = "vmxscope", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Colours: auto (by terminal and NO_COLOR), always, or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        display_order = 990
    )]
    pub color: When,
}

impl Cli {
    /// Whether standard output belongs to a command that is run, so that this
    /// program's own output goes to standard error.
    pub fn prints_beside_a_command(&self) -> bool {
        match &self.command {
            Command::Stat(args) => args.interval.is_none(),
            Command::Causes(args) => !args.command.is_empty(),
            Command::Record(_) => true,
            _ => false,
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the VM exits of this guest, or of a VM of this host, by reason, with what they cost
    Exits(ExitsArgs),
    /// Show what made the exits of this host's VMs, and what to do about it
    Causes(CausesArgs),
    /// List the VMs of this host
    Vms(VmsArgs),
    /// Run a command and show which exits it cost
    Stat(StatArgs),
    /// Watch the exits live
    Watch(WatchArgs),
    /// Record the exits over time, while a command runs or until interrupted
    Record(RecordArgs),
    /// Make an HTML page of recordings
    Report(ReportArgs),
    /// Compare two recordings, or two saved views, in the terminal
    Diff(DiffArgs),
    /// Serve the exits to Prometheus, by a file or by HTTP
    Exporter(ExporterArgs),
    /// Show what this CPU, or that of a log, can do for virtual machines
    Caps(CapsArgs),
    /// Print the registers of a CPUID leaf, as the cpuid program does
    Leaf(LeafArgs),
    /// Test that the host serves the leaves by their rules
    Check(CheckArgs),
    /// Print the man pages, or a shell's completions
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// The form of the output; a table without one.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Form")]
pub struct Form {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with a header line
    #[arg(long)]
    pub csv: bool,
    /// Print Prometheus' text format
    #[arg(long)]
    pub prometheus: bool,
}

/// The form of what is no metric.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Form")]
pub struct TableForm {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with a header line
    #[arg(long)]
    pub csv: bool,
}

/// Where figures come from: this guest, unless a VM is named.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// Read on this CPU (default: the lowest that may be used)
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Read a host that has no discovery leaf by this layout of the course
    #[arg(long, value_name = "NAME", value_parser = layout)]
    pub layout: Option<Layout>,
    /// On a host: this VM, by the process or the name that `vmxscope vms` shows
    #[arg(short = 'p', long, value_name = "PID|NAME", conflicts_with_all = ["cpu", "layout"])]
    pub vm: Option<String>,
    /// On a host: all VMs together, with those that ended
    #[arg(long, conflicts_with_all = ["cpu", "layout", "vm"])]
    pub host: bool,
    /// On a host: the VM of this QEMU, by the socket of its -qmp unix:SOCKET,server=on,wait=off;
    /// counts and cycles of all its vCPUs
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["cpu", "layout", "vm", "host"])]
    pub qmp: Option<PathBuf>,
    /// Of that VM this vCPU only
    #[arg(long, value_name = "N", requires = "qmp",
          conflicts_with_all = ["cpu", "layout", "vm", "host", "root"])]
    pub vcpu: Option<u32>,
    /// The host's /sys and /proc are below this folder, as in a container
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cpu", "layout", "qmp"])]
    pub root: Option<PathBuf>,
}

/// By what a table is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Handling time, the dearest reason first
    #[default]
    Time,
    /// Exits, the most frequent reason first
    Count,
    /// The SDM's number
    Number,
}
