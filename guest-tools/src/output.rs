// SPDX-License-Identifier: GPL-2.0
//! Where output goes, how wide that is, and whether in colours.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::text::harmless_lines;

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

/// How output is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// With colours.
    pub color: bool,
    /// Columns of the terminal; `None` where lines may be as long as they like.
    pub width: Option<usize>,
}

impl Look {
    /// Plain text of any width.
    pub const PLAIN: Self = Self {
        color: false,
        width: None,
    };

    /// The look for standard output or standard error.
    pub fn of(to: &(impl RawStream + IsTerminal + AsFd), when: When) -> Self {
        Self {
            color: match when {
                When::Always => true,
                When::Never => false,
                // By NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM and whether it is a terminal.
                When::Auto => AutoStream::choice(to) != ColorChoice::Never,
            },
            width: IsTerminal::is_terminal(to).then(|| width_of(to)).flatten(),
        }
    }

    /// Bold text.
    pub fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Text that matters less.
    pub fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Text that something is right.
    pub fn good(&self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Text that something is wrong.
    pub fn bad(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.into()
        }
    }
}

fn width_of(terminal: &impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col != 0).then_some(size.ws_col.into())
}

/// A place for text, and its look.
pub struct Output<'a> {
    /// The place.
    pub to: &'a mut dyn Write,
    /// The look.
    pub look: Look,
    /// What the place is, for messages: a file's name, or "the output".
    pub name: String,
}

impl<'a> Output<'a> {
    /// Standard output, or whatever stands for it.
    pub fn new(to: &'a mut dyn Write, look: Look) -> Self {
        Self {
            to,
            look,
            name: "the output".into(),
        }
    }

    /// A file, by its name.
    pub fn file(to: &'a mut dyn Write, path: &Path) -> Self {
        Self {
            to,
            look: Look::PLAIN,
            name: path.display().to_string(),
        }
    }

    /// What `write!` and `writeln!` call: an error names the place.
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Result<()> {
        let result = self.to.write_fmt(text);
        self.told(result)
    }

    /// Writes what has no form of its own.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let result = self.to.write_all(bytes);
        self.told(result)
    }

    /// Lets everything reach its place.
    pub fn flush(&mut self) -> Result<()> {
        let result = self.to.flush();
        self.told(result)
    }

    /// Makes an error of what the system said of this place.
    pub fn told<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Output {
            to: self.name.clone(),
            source,
        })
    }

    /// Prints a value as JSON, for people to read too.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let result = serde_json::to_writer_pretty(&mut *self.to, value);
        self.told(result.map_err(io::Error::from))?;
        writeln!(self)
    }

    /// Prints comma-separated values: a line for each, after a line of headings.
    pub fn csv<T: Serialize>(&mut self, lines: impl IntoIterator<Item = T>) -> Result<()> {
        self.csv_part(lines, true)
    }

    /// The same, with or without the line of headings.
    pub fn csv_part<T: Serialize>(
        &mut self,
        lines: impl IntoIterator<Item = T>,
        headings: bool,
    ) -> Result<()> {
        let mut csv = csv::WriterBuilder::new()
            .has_headers(headings)
            .from_writer(&mut *self.to);
        let result = lines
            .into_iter()
            .try_for_each(|line| csv.serialize(line))
            .map_err(|error| match error.into_kind() {
                csv::ErrorKind::Io(error) => error,
                other => io::Error::other(format!("{other:?}")),
            })
            .and_then(|()| csv.flush());
        drop(csv);
        self.told(result)
    }
}

/// Says what failed, where a service's log gets it.
pub fn complain(error: &Error) {
    let text = harmless_lines(&error.to_string());
    let _ = writeln!(io::stderr(), "vmxscope: {text}");
}
