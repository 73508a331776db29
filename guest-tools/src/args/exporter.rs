// SPDX-License-Identifier: GPL-2.0
//! `vmxscope exporter`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

use crate::source::SourceArgs;
use crate::values::{address, interval};

/// The options.
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
