// SPDX-License-Identifier: GPL-2.0
//! `vmxscope caps` and its subcommands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::format::{Form, TableForm};
use crate::values::{mask, number};

/// `vmxscope caps`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  vmxscope caps                            this machine, as root
  dmesg | vmxscope caps --from -           what the module vmx_caps logged
  vmxscope caps --msr 0x482=0xfff9fffe0401e172
  vmxscope caps diff host-a.json live      in what they differ; status 1 if they do
  vmxscope caps diff live nested           what KVM keeps from nested hypervisors
  vmxscope caps common *.json              what a migration pool has in common
  vmxscope caps need kvm-7.3               what KVM would miss; also kvm-6.12, xen, jailhouse
  vmxscope caps explain --have 0xb5b9fffe --need 0x2299968c --msr 0x482

FILE is what this prints with --json, the log of vmx_caps, lines such as \"0x481 0x7f00000016\" or
\"IA32_VMX_BASIC = 0x...\", a shell session with rdmsr, the output of QEMU's vmxcap, a VirtualBox
log, one of AIDA64's dumps of real CPUs (\"MSR 00000480: 00DA-0400-0000-0004\"), or a log of one
of the course's modules. - is standard input, live is this machine, and nested what its KVM offers to hypervisors in guests, by /dev/kvm."
)]
pub struct CapsArgs {
    /// Which machine.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Print in the words of the kernel module's log
    #[arg(long, conflicts_with_all = ["json", "csv", "prometheus"])]
    pub log: bool,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// Something else than to show them.
    #[command(subcommand)]
    pub command: Option<CapsCommand>,
}

/// The machine whose capabilities are meant: this one, unless another is named.
#[derive(Debug, Clone, Default, Args)]
pub struct MachineArgs {
    /// Read this file instead of this machine
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Decode this value of an MSR instead; may be given several times
    #[arg(long, value_name = "MSR=VALUE", value_parser = crate::caps::parse::assignment, conflicts_with = "from")]
    pub msr: Vec<(u32, u64)>,
    /// How bare values are meant.
    #[command(flatten)]
    pub bare: BareArgs,
}

/// How lines of bare values are meant.
#[derive(Debug, Clone, Default, Args)]
pub struct BareArgs {
    /// The first of the lines of bare values, as rdmsr prints them, is of this MSR
    #[arg(long, value_name = "MSR", value_parser = number)]
    pub first: Option<u32>,
}

/// In whose words a pool's capabilities are printed.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Form")]
pub struct WordsArgs {
    /// Print QEMU's option -cpu for a guest with these
    #[arg(long, conflicts_with_all = ["json", "csv", "prometheus"])]
    pub qemu: bool,
    /// Print libvirt's element cpu for a guest with these
    #[arg(long, conflicts_with_all = ["json", "csv", "prometheus"])]
    pub libvirt: bool,
}

/// What else can be done with capabilities.
#[derive(Debug, Clone, Subcommand)]
pub enum CapsCommand {
    /// Show in what two machines differ
    #[command(after_help = "\
Examples:
  vmxscope caps diff host-a.log host-b.log
  vmxscope caps diff live nested           what KVM keeps from nested hypervisors

The exit status is 1 if they differ. What a file can be: vmxscope caps --help")]
    Diff {
        /// A file, -, live or nested
        a: PathBuf,
        /// Another
        b: PathBuf,
        /// How bare values are meant.
        #[command(flatten)]
        bare: BareArgs,
        /// The form of the output.
        #[command(flatten)]
        form: TableForm,
    },
    /// Show what all of some machines have in common
    #[command(after_help = "\
Examples:
  vmxscope caps common host-*.log          what a guest may need that is to migrate
  vmxscope caps common --json host-*.log > pool.json

  vmxscope caps common --qemu host-*.log   the option of QEMU for such a guest

The JSON is as of one machine: `caps need` and `caps diff` take it.
What a file can be: vmxscope caps --help")]
    Common {
        /// Files, -, live or nested
        #[arg(required = true, num_args = 1..)]
        files: Vec<PathBuf>,
        /// For whom.
        #[command(flatten)]
        words: WordsArgs,
        /// How bare values are meant.
        #[command(flatten)]
        bare: BareArgs,
        /// The form of the output.
        #[command(flatten)]
        form: Form,
    },
    /// Show what a hypervisor would miss
    #[command(after_help = "\
Examples:
  vmxscope caps need kvm-7.3               on this machine, as root
  vmxscope caps need jailhouse --from host.log
  vmxscope caps need Haswell-v2 --from nested   can a guest be given that CPU model here?

A CPU model of QEMU's is meant with vmx=on, as in -cpu Haswell-v2,vmx=on. The exit status is 1 if
something is missing that is required, and 3 if that is not told.")]
    Need {
        /// kvm-6.12, kvm-7.3, xen, jailhouse, a CPU model of QEMU's, or a TOML file of your own
        profile: PathBuf,
        /// Which machine.
        #[command(flatten)]
        machine: MachineArgs,
        /// The form of the output.
        #[command(flatten)]
        form: TableForm,
    },
    /// Name the bits of a hypervisor's complaint
    #[command(after_help = "\
Examples:
  vmxscope caps explain --have 0xb5b9fffe --need 0x2299968c --msr 0x482
  vmxscope caps explain /var/log/libvirt/qemu/web1.log

A log of QEMU's has lines such as \"host doesn't support requested feature:
MSR(48DH).vmx-posted-intr [bit 7]\". The exit status is 1 if something is missing.")]
    Explain {
        /// A log of QEMU's, or - for standard input
        file: Option<PathBuf>,
        /// The MSR
        #[arg(long = "msr", value_name = "MSR", value_parser = number,
              required_unless_present = "file", conflicts_with = "file")]
        msr: Option<u32>,
        /// The controls that can be set, as the complaint has them
        #[arg(long, value_name = "MASK", value_parser = mask,
              required_unless_present = "file", conflicts_with = "file")]
        have: Option<u64>,
        /// The controls that are needed
        #[arg(long, value_name = "MASK", value_parser = mask,
              required_unless_present = "file", conflicts_with = "file")]
        need: Option<u64>,
        /// The form of the output.
        #[command(flatten)]
        form: TableForm,
    },
}
