// SPDX-License-Identifier: GPL-2.0

//! Counts and times of VM exits, for KVM on x86.
//!
//! C calls it through `exit_stats.h`; see there for when, and
//! Documentation/virt/kvm/x86/exit-stats.rst for what a guest reads. It is linked into
//! kvm.ko. Nothing in it allocates, locks, sleeps, logs or can panic; all
//! `unsafe` is in `boundary.rs`.
#![no_std]

pub mod abi;
pub mod answer;
pub mod boundary;
mod c;
pub mod causes;
pub mod clock;
pub mod counters;
pub mod hist;
mod sync;
pub mod vendor;
