// SPDX-License-Identifier: GPL-2.0
//! Files that people name, and standard input.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// What stands for standard input or output.
pub const DASH: &str = "-";

/// The text of a file, or of standard input for `-`.
pub fn read(file: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let result = if file == Path::new(DASH) {
        io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        fs::read(file).map(|read| bytes = read)
    };
    let name = file.display().to_string();
    result.map_err(|error| Error::input(&name, 0, format!("cannot read it: {error}")))?;
    // Logs have stray bytes in them.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
