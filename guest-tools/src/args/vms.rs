// SPDX-License-Identifier: GPL-2.0
//! `vmxscope vms`.

use std::path::PathBuf;

use clap::Args;

use crate::format::Form;

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope vms                         as root, on a host whose KVM has exit statistics
  vmxscope exits --vm web1             one of them
  vmxscope exits --host                all of them, with those that ended")]
pub struct VmsArgs {
    /// The host's /sys and /proc are below this folder, as in a container
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
