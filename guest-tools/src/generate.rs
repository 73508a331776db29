// SPDX-License-Identifier: GPL-2.0
//! `vmxscope generate`: what packages install beside the program.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Cli, GenerateArgs, Generated};
use crate::error::{Error, Result};
use crate::output::Output;

/// Runs the command.
pub fn run(args: &GenerateArgs, out: &mut Output<'_>) -> Result<()> {
    let shell = match args.what {
        Generated::Man => return man(args.into.as_deref(), out),
        Generated::Bash => Shell::Bash,
        Generated::Zsh => Shell::Zsh,
        Generated::Fish => Shell::Fish,
    };
    let mut command = Cli::command();
    let name = command.get_name().to_string();
    match &args.into {
        // The folder is the caller's: only what is in it is ours.
        Some(folder) => clap_complete::generate_to(shell, &mut command, name, folder)
            .map(drop)
            .map_err(|error| cannot_write(folder, error)),
        None => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut text);
            out.bytes(&text)
        }
    }
}

fn man(folder: Option<&Path>, out: &mut Output<'_>) -> Result<()> {
    let command = Cli::command().disable_help_subcommand(true);
    let Some(folder) = folder else {
        let result = clap_mangen::Man::new(command).render(out.to);
        return out.told(result);
    };
    fs::metadata(folder)
        .and_then(|_| clap_mangen::generate_to(command, folder))
        .map_err(|error| cannot_write(folder, error))
}

fn cannot_write(folder: &Path, error: std::io::Error) -> Error {
    Error::system(format!("cannot write into {}", folder.display()), error)
}
