// SPDX-License-Identifier: GPL-2.0
//! The log as a file, `vmx_caps/report` in debugfs.
//!
//! Every read of the file reads the CPUs again, so it also tells what a later
//! microcode update or a CPU that came online has changed.

use core::fmt;

use kernel::debugfs::{Dir, File};
use kernel::prelude::*;

use crate::report::Plain;

/// The directory and the file; dropping this removes both.
pub(crate) struct Tree {
    _report: Pin<KBox<File<()>>>,
    _dir: Dir,
}

impl Tree {
    /// Creates both. Like all of debugfs it is silent where that is off.
    pub(crate) fn new() -> Result<Self> {
        let dir = Dir::new(c"vmx_caps");
        let report = KBox::pin_init(
            dir.read_callback_file(c"report", (), &|(), f| show(f)),
            GFP_KERNEL,
        )?;
        Ok(Self {
            _report: report,
            _dir: dir,
        })
    }
}

fn show(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut log = Plain::new(f);
    crate::report_to(&mut log);
    log.result
}
