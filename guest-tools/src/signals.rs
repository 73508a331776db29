// SPDX-License-Identifier: GPL-2.0
//! Signals that end the program at its next turn.

use std::ffi::c_int;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// All by which somebody asks a program to end.
pub const TO_END: [c_int; 3] = [SIGINT, SIGTERM, SIGHUP];

/// From now on these signals only set the flag.
///
/// # Errors
///
/// The system's, if a handler cannot be set.
pub fn flag(signals: &[c_int]) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for &signal in signals {
        signal_hook::flag::register(signal, Arc::clone(&flag))
            .map_err(|error| Error::system("cannot set up signals", error))?;
    }
    Ok(flag)
}
