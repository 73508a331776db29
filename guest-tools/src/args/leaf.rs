// SPDX-License-Identifier: GPL-2.0
//! `vmxscope leaf`.

use clap::Args;

use crate::format::TableForm;
use crate::values::{number, range};

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope leaf 0x4ffffffd -s 10          exits by CPUID, in the default layout
  vmxscope leaf 0x4ffffffd -s 0-69        all the reasons of the course, by one program
  vmxscope leaf 0x4ffffffd -s 12 --all-cpus

The output is that of `cpuid -r -l LEAF -s SUBLEAF`, with -1 unless a CPU is named.")]
pub struct LeafArgs {
    /// The leaf, EAX: decimal, or hexadecimal with 0x
    #[arg(value_parser = number)]
    pub leaf: u32,
    /// The subleaf, ECX: a number, or a range such as 0-69
    #[arg(short, long, value_name = "N|N-M", default_value = "0", value_parser = range)]
    pub subleaf: (u32, u32),
    /// Ask this CPU
    #[arg(long, value_name = "N", conflicts_with = "all_cpus")]
    pub cpu: Option<usize>,
    /// Ask each CPU in turn
    #[arg(long)]
    pub all_cpus: bool,
    /// The form of the output.
    #[command(flatten)]
    pub form: TableForm,
}
