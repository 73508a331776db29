// SPDX-License-Identifier: GPL-2.0

//! Counts and times of VM exits, and the CPUID leaves by which a guest reads them.
//!
//! This is the cargo library: the pure part of what is linked into KVM, for tests
//! and for the guest's tools. The kernel's root is `exit_stats.rs`.
#![no_std]

pub mod abi;
pub mod answer;
pub mod boundary;
pub mod clock;
pub mod counters;
pub mod hist;
pub mod reader;
pub mod reason;

/// The header's types, which in the kernel come from bindgen.
mod c {
    pub(crate) use core::ffi::c_char;

    pub(crate) use crate::abi::Regs as exit_stats_regs;
    pub(crate) use crate::answer::{Config as exit_stats_config, Query as exit_stats_query};
    pub(crate) use crate::clock::Vcpu as exit_stats_vcpu;
    pub(crate) use crate::counters::Counters as exit_stats_counters;
    pub(crate) use crate::hist::Hist as exit_stats_hist;
}
