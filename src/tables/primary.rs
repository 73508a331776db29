// SPDX-License-Identifier: GPL-2.0
//! Primary processor-based VM-execution controls: what instructions do.
//!
//! SDM vol. 3, App. A.3.2; VMCS field 0x4002.

use super::basic;
use crate::msr::{bits, Exists, Kind, Msr};

controls! {
    32 bits;
    INTERRUPT_WINDOW_EXITING = 2, "Interrupt-window exiting", "VMX_FEATURE_INTR_WINDOW_EXITING";
    TSC_OFFSETTING = 3, "Use TSC offsetting", "VMX_FEATURE_USE_TSC_OFFSETTING";
    HLT_EXITING = 7, "HLT exiting", "VMX_FEATURE_HLT_EXITING";
    INVLPG_EXITING = 9, "INVLPG exiting", "VMX_FEATURE_INVLPG_EXITING";
    MWAIT_EXITING = 10, "MWAIT exiting", "VMX_FEATURE_MWAIT_EXITING";
    RDPMC_EXITING = 11, "RDPMC exiting", "VMX_FEATURE_RDPMC_EXITING";
    RDTSC_EXITING = 12, "RDTSC exiting", "VMX_FEATURE_RDTSC_EXITING";
    CR3_LOAD_EXITING = 15, "CR3-load exiting", "VMX_FEATURE_CR3_LOAD_EXITING";
    CR3_STORE_EXITING = 16, "CR3-store exiting", "VMX_FEATURE_CR3_STORE_EXITING";
    TERTIARY_CONTROLS = 17, "Activate tertiary controls", "VMX_FEATURE_TERTIARY_CONTROLS";
    CR8_LOAD_EXITING = 19, "CR8-load exiting", "VMX_FEATURE_CR8_LOAD_EXITING";
    CR8_STORE_EXITING = 20, "CR8-store exiting", "VMX_FEATURE_CR8_STORE_EXITING";
    TPR_SHADOW = 21, "Use TPR shadow", "VMX_FEATURE_VIRTUAL_TPR";
    NMI_WINDOW_EXITING = 22, "NMI-window exiting", "VMX_FEATURE_NMI_WINDOW_EXITING";
    MOV_DR_EXITING = 23, "MOV-DR exiting", "VMX_FEATURE_MOV_DR_EXITING";
    UNCONDITIONAL_IO_EXITING = 24, "Unconditional I/O exiting", "VMX_FEATURE_UNCOND_IO_EXITING";
    IO_BITMAPS = 25, "Use I/O bitmaps", "VMX_FEATURE_USE_IO_BITMAPS";
    MONITOR_TRAP_FLAG = 27, "Monitor trap flag", "VMX_FEATURE_MONITOR_TRAP_FLAG";
    MSR_BITMAPS = 28, "Use MSR bitmaps", "VMX_FEATURE_USE_MSR_BITMAPS";
    MONITOR_EXITING = 29, "MONITOR exiting", "VMX_FEATURE_MONITOR_EXITING";
    PAUSE_EXITING = 30, "PAUSE exiting", "VMX_FEATURE_PAUSE_EXITING";
    SECONDARY_CONTROLS = 31, "Activate secondary controls", "VMX_FEATURE_SEC_CONTROLS";
}

/// The default1 class.
pub const DEFAULT1: u32 = bits(&[1, 4, 5, 6, 8, 13, 14, 15, 16, 26]) as u32;
const _: () = assert!(DEFAULT1 == 0x0401_e172);

/// IA32_VMX_PROCBASED_CTLS.
pub const PLAIN: Msr = form(0x482, "IA32_VMX_PROCBASED_CTLS", Exists::Vmx);

/// IA32_VMX_TRUE_PROCBASED_CTLS.
pub const TRUE: Msr = form(0x48e, "IA32_VMX_TRUE_PROCBASED_CTLS", basic::TRUE_EXISTS);

const fn form(index: u32, name: &'static str, exists: Exists) -> Msr {
    Msr {
        index,
        name,
        title: "Primary processor-based VM-execution controls",
        sdm: "App. A.3.2",
        exists,
        kind: Kind::Allowed01 {
            controls: CONTROLS,
            default1: DEFAULT1,
        },
    }
}
