// SPDX-License-Identifier: GPL-2.0
//! Counting by ftrace, which any kernel can do: nothing has to be built into KVM.

pub mod hist;
pub mod instance;
pub mod kvm;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::causes::model::Causes;
use crate::child::{Events, Running};
use crate::error::{status, Result};
use instance::Instance;

pub use instance::is_there;
pub use kvm::What;

/// For how long is counted.
#[derive(Debug, Clone, Copy)]
pub enum Until<'a> {
    /// For this time, or until a signal.
    Time(Option<Duration>),
    /// While this command runs.
    Command(&'a [OsString]),
}

/// Counts the exits of all VMs; the status is the command's.
///
/// # Errors
///
/// What this host lacks, or what it refuses. Nothing is left on it in any case.
pub fn count(root: &Path, what: What, until: Until<'_>) -> Result<(Causes, u8)> {
    // From here on signals are events, so that none of them leaves the instance behind.
    let events = Events::new()?;
    let instance = Instance::new(root)?;
    kvm::begin(&instance, what)?;
    let start = Instant::now();
    let status = wait(&events, until, None)?;
    let seconds = start.elapsed().as_secs_f64();
    kvm::end(&instance, what)?;
    let causes = kvm::read(&instance, seconds, root)?;
    instance.remove()?;
    Ok((causes, status))
}

/// Waits until then, and looks at the command meanwhile if that is wanted; the status is
/// the command's.
///
/// # Errors
///
/// A command that does not start.
pub fn wait(
    events: &Events,
    until: Until<'_>,
    look: Option<&mut dyn FnMut(Running)>,
) -> Result<u8> {
    match until {
        Until::Time(time) => {
            if time.is_none() {
                // Standard error may be gone: no reason to stop.
                let _ = writeln!(io::stderr(), "vmxscope: ftrace counts until Ctrl-C");
            }
            events.wait(time);
            Ok(status::OK)
        }
        Until::Command(words) => {
            let (ended, _) = events.end_of(events.start(words)?, look)?;
            Ok(ended.status)
        }
    }
}
