// SPDX-License-Identifier: GPL-2.0
//! Logs what this machine's CPUs can do for virtual machines.
//!
//! Everything but what touches the machine and C is the library of `lib.rs`,
//! which cargo tests. This is the root of the same modules in the kernel, with
//! the kernel crate or without it; Kbuild says when.

#[forbid(unsafe_code)]
pub mod audit;
#[forbid(unsafe_code)]
pub mod capabilities;
#[forbid(unsafe_code)]
pub mod cpuid;
#[forbid(unsafe_code)]
pub mod cpus;
#[forbid(unsafe_code)]
pub mod decode;
#[forbid(unsafe_code)]
pub mod dependencies;
mod entry;
mod machine;
#[cfg(kernel_crate)]
mod module;
#[forbid(unsafe_code)]
pub mod msr;
#[cfg(not(kernel_crate))]
mod panic;
#[forbid(unsafe_code)]
pub mod report;
#[forbid(unsafe_code)]
pub mod tables;
#[forbid(unsafe_code)]
pub mod verdict;
