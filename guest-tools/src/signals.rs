// SPDX-License-Identifier: GPL-2.0
//! Signals that end the program at its next turn.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// All by which somebody asks a program to end.
pub const TO_END: [c_int; 3] = [SIGINT, SIGTERM, SIGHUP];

/// How often signals are looked at while nothing else happens.
pub const TICK: Duration = Duration::from_millis(100);

/// The signal that came last, or 0.
pub type Signal = Arc<AtomicUsize>;

/// From now on these signals only set the flag.
///
/// # Errors
///
/// The system's, if a handler cannot be set.
pub fn flag(signals: &[c_int]) -> Result<Signal> {
    let flag = Signal::default();
    for &signal in signals {
        signal_hook::flag::register_usize(signal, Arc::clone(&flag), signal as usize)
            .map_err(|error| Error::system("cannot set up signals", error))?;
    }
    Ok(flag)
}

/// Whether one of them came.
pub fn came(flag: &Signal) -> bool {
    which(flag).is_some()
}

/// Which of them came.
pub fn which(flag: &Signal) -> Option<c_int> {
    match flag.load(Ordering::Relaxed) {
        0 => None,
        signal => c_int::try_from(signal).ok(),
    }
}
