// SPDX-License-Identifier: GPL-2.0
//! `vmxscope watch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::source::SourceArgs;
use crate::values::interval;

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope watch                       this guest, once a second
  vmxscope watch --interval 100ms
  vmxscope watch --vms                 all VMs of this host by rate; Enter shows one
  vmxscope watch --vm web1             a VM of this host
  vmxscope watch --baseline idle       what is more or less than normal

The figures count from the start, or from the last reset (r); ? shows the keys. Histograms are
read every tenth time, for they take most of the exits that this program causes. q ends it with
status 0, as do Ctrl-C, SIGINT, SIGTERM, SIGHUP and the loss of its terminal.")]
pub struct WatchArgs {
    /// Read so often
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Begin with what made the exits, if the host keeps that; c shows the reasons again
    #[arg(long, conflicts_with = "vms")]
    pub causes: bool,
    /// On a host: all its VMs, the one with the most exits a second first
    #[arg(long, conflicts_with_all = ["cpu", "layout", "vm", "host", "qmp", "vcpu"])]
    pub vms: bool,
    /// Mark what is far off a guest of this kind: idle, disk, or a recording of your own
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "vms")]
    pub baseline: Option<PathBuf>,
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
}
