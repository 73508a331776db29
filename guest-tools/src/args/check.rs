// SPDX-License-Identifier: GPL-2.0
//! `vmxscope check`.

use clap::Args;

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each line is a rule of the interface, and whether this host keeps it. The exit status is 1 if it
breaks one. With --random it also asks that many random leaves and selectors, as a guest may:
whatever the host answers, it must survive them.")]
pub struct CheckArgs {
    /// Ask on this CPU (default: the lowest that may be used)
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Also ask N random selectors
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub random: u64,
    /// Begin the random numbers with this one, to repeat a run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
