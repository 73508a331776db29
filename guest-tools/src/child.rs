// SPDX-License-Identifier: GPL-2.0
//! A command that is run, and its end.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGQUIT};

use crate::error::{Error, Result};
use crate::signals;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; 128 + N if signal N ended it.
    pub status: u8,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// From start to end.
    pub elapsed: Duration,
}

/// From now on an interrupt from the keyboard ends the command only, so that what
/// it cost can still be told.
pub fn leave_interrupts_to_the_command() -> Result<()> {
    signals::flag(&[SIGINT, SIGQUIT]).map(drop)
}

/// A command and its arguments, not yet run.
pub fn command(words: &[OsString]) -> Result<Command> {
    let (name, arguments) = words
        .split_first()
        .ok_or_else(|| Error::Usage("there is no command to run".into()))?;
    let mut command = Command::new(name);
    command.args(arguments);
    Ok(command)
}

/// The error of a command that did not start.
pub fn not_started(words: &[OsString], source: std::io::Error) -> Error {
    let name = words
        .first()
        .map_or_else(String::new, |name| name.to_string_lossy().into());
    Error::Command { name, source }
}

/// Runs a command to its end.
pub fn run(words: &[OsString]) -> Result<Ended> {
    let start = Instant::now();
    let status = command(words)?.status();
    let elapsed = start.elapsed();
    let status = status.map_err(|source| not_started(words, source))?;
    Ok(ended(status, elapsed))
}

/// What the system says of the end.
pub fn ended(status: ExitStatus, elapsed: Duration) -> Ended {
    let signal = status.signal();
    let code = status.code().or(signal.map(|signal| 128 + signal));
    Ended {
        status: code
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(u8::MAX),
        signal,
        elapsed,
    }
}
