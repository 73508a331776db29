// SPDX-License-Identifier: GPL-2.0
//! Logs what this machine's CPUs can do for virtual machines.
//!
//! Everything but the entry points, the machine and debugfs is the library of
//! `lib.rs`, which cargo tests.

#[forbid(unsafe_code)]
pub mod audit;
#[forbid(unsafe_code)]
pub mod capabilities;
#[forbid(unsafe_code)]
pub mod cpuid;
#[forbid(unsafe_code)]
pub mod cpus;
#[cfg(has_rust_debugfs)]
#[forbid(unsafe_code)]
mod debugfs;
#[forbid(unsafe_code)]
pub mod decode;
#[forbid(unsafe_code)]
pub mod dependencies;
mod machine;
#[forbid(unsafe_code)]
pub mod msr;
#[forbid(unsafe_code)]
pub mod report;
#[forbid(unsafe_code)]
pub mod tables;
#[forbid(unsafe_code)]
pub mod verdict;

use core::fmt;

use kernel::prelude::*;

use crate::cpuid::Identity;
use crate::cpus::Cpus;
use crate::machine::OnlineCpus;
use crate::report::{Level, Log};
use crate::verdict::Verdict;

module! {
    type: VmxCaps,
    name: "vmx_caps",
    description: "Logs the VMX capabilities of all CPUs",
    license: "GPL",
}

/// The loaded module.
struct VmxCaps {
    #[cfg(has_rust_debugfs)]
    _debugfs: debugfs::Tree,
}

/// Each line is a record of the kernel log.
struct KernelLog;

impl Log for KernelLog {
    fn line(&mut self, level: Level, text: fmt::Arguments<'_>) {
        match level {
            Level::Info => pr_info!("{}\n", text),
            Level::Warning => pr_warn!("{}\n", text),
        }
    }
}

/// Reads all online CPUs and logs everything about them.
fn report_to(log: &mut impl Log) -> Verdict {
    let identity = Identity::read(&machine::cpuid);
    let online = OnlineCpus::lock();
    let cpus = Cpus {
        machine: &online,
        identity: &identity,
        probe: machine::probe(),
    };
    report::report(&cpus, log)
}

impl kernel::Module for VmxCaps {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        match report_to(&mut KernelLog) {
            Verdict::OtherVendor(_) | Verdict::NoVmx(_) => Err(ENODEV),
            _ => Ok(Self {
                #[cfg(has_rust_debugfs)]
                _debugfs: debugfs::Tree::new()?,
            }),
        }
    }
}
