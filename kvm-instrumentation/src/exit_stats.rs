// SPDX-License-Identifier: GPL-2.0

//! Counts and times of VM exits, for KVM on Intel.
//!
//! C calls it through `exit_stats.h`; see there for when, and
//! Documentation/virt/kvm/x86/exit-stats.rst for what a guest reads. It is linked into
//! kvm.ko. Nothing in it allocates, locks, sleeps, logs or can panic; all
//! `unsafe` is in `boundary.rs`.

pub mod abi;
pub mod answer;
pub mod boundary;
pub mod clock;
pub mod counters;
mod drift;
pub mod hist;
pub mod reason;

/// The header, as bindgen reads it.
mod c {
    pub(crate) use kernel::bindings::*;
    pub(crate) use kernel::ffi::c_char;
}
