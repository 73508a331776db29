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
mod vms;
mod watch;

use clap::{Parser, Subcommand};

use crate::output::When;

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
