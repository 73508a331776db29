// SPDX-License-Identifier: GPL-2.0
//! What can go wrong, and the exit status of each.

use std::io;

use thiserror::Error;

/// Exit statuses, as `--help` lists them.
pub mod status {
    /// All went well.
    pub const OK: u8 = 0;
    /// A check failed, two things differ, or something needed is missing.
    pub const DIFFERS: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// There are no exit statistics to be read here.
    pub const NO_STATISTICS: u8 = 3;
    /// An input could not be understood.
    pub const INPUT: u8 = 4;
    /// The system refused something: a file, a CPU, a device.
    pub const SYSTEM: u8 = 5;
    /// The figures kept changing under the reader.
    pub const UNSTABLE: u8 = 6;
    /// `stat` or `record`: the command was found and could not be run.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// `stat` or `record`: the command was not found.
    pub const NOT_FOUND: u8 = 127;
}

/// Why the program ends early.
#[derive(Debug, Error)]
pub enum Error {
    /// The options contradict each other or name something unknown.
    #[error("{0}")]
    Usage(String),
    /// Nobody serves exit statistics; the text says who is there instead.
    #[error("{0}")]
    NoStatistics(String),
    /// An input that cannot be understood.
    #[error("{}{}: {problem}", name(file), place(*line))]
    Input {
        /// The file's name, `-` for standard input.
        file: String,
        /// Counted from 1; 0 where the input as a whole is meant.
        line: usize,
        /// What is wrong, with the value.
        problem: String,
    },
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// What was to be done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// No consistent set of figures could be had.
    #[error("{0}")]
    Unstable(String),
    /// A command could not be started.
    #[error("cannot run {name}: {source}")]
    Command {
        /// Its name.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("cannot write {to}: {source}")]
    Output {
        /// Its file, or what it is.
        to: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A signal ended it before there was anything to show.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
}

/// The usual result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error of what the system answered.
    pub fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Makes an error of a place in an input.
    pub fn input(file: &str, line: usize, problem: impl Into<String>) -> Self {
        Self::Input {
            file: file.into(),
            line,
            problem: problem.into(),
        }
    }

    /// The exit status. A reader that has seen enough is no error.
    pub fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => status::USAGE,
            Self::NoStatistics(_) => status::NO_STATISTICS,
            Self::Input { .. } => status::INPUT,
            Self::System { .. } => status::SYSTEM,
            Self::Unstable(_) => status::UNSTABLE,
            Self::Command { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                status::NOT_FOUND
            }
            Self::Command { .. } => status::NOT_EXECUTABLE,
            Self::Output { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => status::OK,
            Self::Output { .. } => status::SYSTEM,
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// Whether there is something to tell.
    pub fn is_silent(&self) -> bool {
        self.status() == status::OK
    }
}

fn name(file: &str) -> &str {
    match file {
        "-" => "standard input",
        _ => file,
    }
}

fn place(line: usize) -> String {
    match line {
        0 => String::new(),
        line => format!(":{line}"),
    }
}
