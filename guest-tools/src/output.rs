// SPDX-License-Identifier: GPL-2.0
//! Where output goes, how wide that is, and whether in colours.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::args::When;

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
    pub fn of(to: &(impl IsTerminal + AsFd), when: When) -> Self {
        let terminal = to.is_terminal();
        Self {
            color: match when {
                When::Always => true,
                When::Never => false,
                When::Auto => terminal && colors_are_welcome(),
            },
            width: terminal.then(|| width_of(to)).flatten(),
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

fn colors_are_welcome() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && env::var_os("TERM").is_none_or(|term| term != "dumb")
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
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
