// SPDX-License-Identifier: GPL-2.0
//! The IA32_VMX_* capability MSRs: every control and field, decoded and audited.
//!
//! The same modules are built twice: as this library, and by Kbuild under
//! `vmx_caps.rs` into the kernel module. They allocate nothing, do nothing
//! unsafe and cannot panic.
#![no_std]
#![forbid(unsafe_code)]

pub mod audit;
pub mod capabilities;
pub mod cpuid;
pub mod cpus;
pub mod decode;
pub mod dependencies;
pub mod msr;
pub mod parse;
pub mod report;
pub mod tables;
pub mod verdict;
