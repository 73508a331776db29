// SPDX-License-Identifier: GPL-2.0
//! `vmxscope report`.

use std::path::PathBuf;

use clap::Args;

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope report boot.rec -o report.html
  vmxscope report ept.rec shadow.rec -o compared.html
  vmxscope exits --json | vmxscope report - > now.html

The page needs nothing but itself: no script, no other file. With two or more recordings it shows
them side by side. What `vmxscope exits --json` saved is a recording of one view.")]
pub struct ReportArgs {
    /// Recordings, or saved views; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the page into this file instead of standard output, which - is too
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
