// SPDX-License-Identifier: GPL-2.0
//! The IA32_VMX_* capability MSRs.
#![no_std]
