// SPDX-License-Identifier: GPL-2.0
//! `vmxscope generate`: what packages install beside the program, and its tables.

mod capabilities;

use std::fs;
use std::io::{self, Write};
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
        Generated::Capabilities => return tables(args.into.as_deref(), out),
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

/// Prints the tables of the capabilities, or writes them into a folder.
fn tables(folder: Option<&Path>, out: &mut Output<'_>) -> Result<()> {
    let mut text = String::new();
    capabilities::write(&mut text).expect("a String takes everything");
    match folder {
        Some(folder) => fs::write(folder.join("vmx-capabilities.md"), text)
            .map_err(|error| cannot_write(folder, error)),
        None => out.bytes(text.as_bytes()),
    }
}

/// Prints the page of the program, or writes those of all commands into a folder.
fn man(folder: Option<&Path>, out: &mut Output<'_>) -> Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = folder else {
        let text = page(command);
        return out.bytes(&out.told(text)?);
    };
    write_pages(command, folder).map_err(|error| cannot_write(folder, error))
}

fn write_pages(command: clap::Command, folder: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        write_pages(subcommand.clone(), folder)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    let file = folder.join(format!("{name}.1"));
    fs::write(file, page(command)?)
}

/// A page. What the help says behind the options would be reflowed into one paragraph, so
/// it has sections of its own, line by line.
fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let behind = command.get_after_help().map(|text| text.to_string());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.after_help(None)).render(&mut text)?;
    for part in behind.unwrap_or_default().split("\n\n") {
        let (heading, body) = match part.split_once(":\n") {
            Some((heading, body)) if body.starts_with("  ") => (heading.to_uppercase(), body),
            _ => ("NOTES".into(), part),
        };
        if body.is_empty() {
            continue;
        }
        writeln!(text, ".SH \"{heading}\"\n.nf")?;
        for line in body.lines() {
            let line = line.replace('\\', "\\e").replace('-', "\\-");
            writeln!(text, "\\&{line}")?;
        }
        writeln!(text, ".fi")?;
    }
    Ok(text)
}

fn cannot_write(folder: &Path, error: std::io::Error) -> Error {
    Error::system(format!("cannot write into {}", folder.display()), error)
}
