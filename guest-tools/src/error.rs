// SPDX-License-Identifier: GPL-2.0
//! What can go wrong, and the exit status of each.

use std::fmt;
use std::io;

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
#[derive(Debug)]
pub enum Error {
    /// The options contradict each other or name something unknown.
    Usage(String),
    /// Nobody serves exit statistics; the text says who is there instead.
    NoStatistics(String),
    /// An input that cannot be understood: where, and what is wrong with it.
    Input {
        /// The file's name, `-` for standard input.
        file: String,
        /// Counted from 1; 0 where the input as a whole is meant.
        line: usize,
        /// What is wrong, with the value.
        problem: String,
    },
    /// The system refused.
    System {
        /// What was to be done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// No consistent set of figures could be had.
    Unstable(String),
    /// A command could not be started.
    Command {
        /// Its name.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The output could not be written.
    Output(io::Error),
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
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => status::OK,
            Self::Output(_) => status::SYSTEM,
        }
    }

    /// Whether there is something to tell.
    pub fn is_silent(&self) -> bool {
        self.status() == status::OK
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::NoStatistics(text) | Self::Unstable(text) => {
                f.write_str(text)
            }
            Self::Input {
                file,
                line: 0,
                problem,
            } => write!(f, "{}: {problem}", name(file)),
            Self::Input {
                file,
                line,
                problem,
            } => write!(f, "{}:{line}: {problem}", name(file)),
            Self::System { what, source } => write!(f, "{what}: {source}"),
            Self::Command { name, source } => write!(f, "cannot run {name}: {source}"),
            Self::Output(source) => write!(f, "cannot write the output: {source}"),
        }
    }
}

fn name(file: &str) -> &str {
    match file {
        "-" => "standard input",
        _ => file,
    }
}
