// SPDX-License-Identifier: GPL-2.0
//! What C calls, and where the lines go.

use core::ffi::c_void;
use core::fmt::{self, Write};

use crate::cpuid::Identity;
use crate::cpus::Cpus;
use crate::machine::{self, OnlineCpus};
use crate::report::{report, Level, Log};
use crate::verdict::Verdict;

extern "C" {
    // src/shim.h
    fn vmx_caps_line(file: *mut c_void, warning: bool, text: *const u8, len: usize);
}

/// Where the lines go: a file of debugfs that is being read, C's
/// `struct seq_file`, or the kernel log if the pointer is null.
struct Output(*mut c_void);

impl Log for Output {
    fn line(&mut self, level: Level, text: fmt::Arguments<'_>) {
        let mut line = Line::EMPTY;
        // It fails only where the line is full.
        let _ = line.write_fmt(text);
        let warning = level == Level::Warning;
        // SAFETY: The pointer is that of vmx_caps_report, and the first `len`
        // bytes of `text` are initialized.
        unsafe { vmx_caps_line(self.0, warning, line.text.as_ptr(), line.len) };
    }
}

/// One line, without a line feed.
struct Line {
    text: [u8; Line::MAX],
    len: usize,
}

impl Line {
    /// Bytes; a record of the kernel log holds hardly more.
    const MAX: usize = 960;

    const EMPTY: Self = Self {
        text: [0; Self::MAX],
        len: 0,
    };
}

impl fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len.saturating_add(s.len());
        let place = self.text.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Reads all online CPUs and writes everything about them. False if they have
/// no VMX.
///
/// # Safety
///
/// `file` is null or a `struct seq_file` that is being shown. The caller may
/// sleep, and holds no lock that is taken in CPU hotplug.
#[no_mangle]
pub(crate) unsafe extern "C" fn vmx_caps_report(file: *mut c_void) -> bool {
    let identity = Identity::read(&machine::cpuid);
    let online = OnlineCpus::lock();
    let cpus = Cpus {
        machine: &online,
        identity: &identity,
        probe: machine::probe(),
    };
    let verdict = report(&cpus, &mut Output(file));
    !matches!(verdict, Verdict::OtherVendor(_) | Verdict::NoVmx(_))
}
