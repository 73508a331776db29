// SPDX-License-Identifier: GPL-2.0

//! Counts and times of VM exits, and the CPUID leaves by which a guest reads them.
//!
//! This is the cargo library: the pure part of what is linked into KVM, for tests
//! and for the guest's tools. The kernel's root is `exit_stats.rs`.
#![cfg_attr(not(loom), no_std)]

pub mod abi;
pub mod answer;
#[cfg(not(loom))]
pub mod boundary;
#[cfg(not(loom))]
mod c;
pub mod causes;
pub mod clock;
pub mod counters;
pub mod hist;
pub mod outside;
pub mod reader;
pub mod reason;
mod svm;
mod sync;
pub mod vendor;
mod vmx;
