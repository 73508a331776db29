// SPDX-License-Identifier: GPL-2.0
//! `vmxscope generate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The options.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// What to print
    pub what: Generated,
    /// Write into this folder, under the usual names
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

/// What can be generated of the command line's definition and of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// The man page; with --into, those of the subcommands as well
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// All VMX capability MSRs and their bits, as tables in Markdown
    Capabilities,
}
