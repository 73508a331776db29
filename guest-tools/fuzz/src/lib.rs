// SPDX-License-Identifier: GPL-2.0
//! Everything of the program that reads what others wrote, each as a function of bytes.
//!
//! Such a function panics if the program would, or if it shows something that it does not
//! read back as the same; an error is as good an answer as any other. `make fuzz` looks for
//! inputs with libFuzzer, and `cargo test` tries those of `corpus/` and some like them.

mod caps;
mod causes;
mod exits;
mod host;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::{memfd_create, MemfdFlags};
use vmxscope::error::Result;
use vmxscope::output::{Look, Output};

/// What is done with an input.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("capabilities", caps::capabilities),
    ("profiles", caps::profiles),
    ("complaints", caps::complaints),
    ("views", exits::views),
    ("recordings", exits::recordings),
    ("qmp", host::qmp),
    ("exit_stats_raw", host::exit_stats_raw),
    ("exit_stats_vcpus", host::exit_stats_vcpus),
    ("hist", causes::hist),
    ("causes", causes::causes),
    ("names", causes::names),
    ("words", caps::words),
];

/// What is printed, and whether all went well.
fn printed<T>(print: impl FnOnce(&mut Output<'_>) -> Result<T>) -> (String, Result<T>) {
    let mut text = Vec::new();
    let result = print(&mut Output::new(
        &mut text,
        Look {
            color: true,
            width: Some(80),
        },
    ));
    if let Err(error) = &result {
        // Its text and its status are what a user gets.
        let _ = (error.to_string(), error.status());
    }
    (String::from_utf8(text).expect("text is UTF-8"), result)
}

/// A file that lies in memory.
struct Input {
    /// Open as long as it is needed.
    _file: File,
    path: PathBuf,
}

impl Input {
    fn new(data: &[u8]) -> Self {
        let file = memfd_create("input", MemfdFlags::CLOEXEC).expect("memory");
        let mut file = File::from(file);
        file.write_all(data).expect("memory");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        Self { _file: file, path }
    }
}
