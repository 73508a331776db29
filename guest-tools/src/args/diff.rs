// SPDX-License-Identifier: GPL-2.0
//! `vmxscope diff`.

use std::path::PathBuf;

use clap::Args;

use crate::format::TableForm;
use crate::view::Sort;

/// The options.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope diff before.rec after.rec    two recordings, by exits a second
  vmxscope exits --json > before.json; ...; vmxscope exits --json > after.json
  vmxscope diff before.json after.json  two saved views, by all their exits

Two recordings are compared by their rates, so they need not be equally long. A saved view has no
length: where one of the two is one, all exits are compared. `vmxscope report` draws the same.")]
pub struct DiffArgs {
    /// A recording, or a saved view; - is standard input
    pub a: PathBuf,
    /// Another
    pub b: PathBuf,
    /// Sort by this of the two, the larger one first
    #[arg(long, value_name = "KEY", default_value = "count")]
    pub sort: Sort,
    /// Show no more than N reasons
    #[arg(short = 'n', long, value_name = "N")]
    pub top: Option<usize>,
    /// The form of the output.
    #[command(flatten)]
    pub form: TableForm,
}
