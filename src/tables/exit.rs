// SPDX-License-Identifier: GPL-2.0
//! Primary VM-exit controls.
//!
//! SDM vol. 3, App. A.4.1; VMCS field 0x400C.

use super::basic;
use crate::msr::{bits, Exists, Kind, Msr};

controls! {
    32 bits;
    SAVE_DEBUG = 2, "Save debug controls", "VM_EXIT_SAVE_DEBUG_CONTROLS";
    HOST_ADDRESS_SPACE_SIZE = 9, "Host address-space size", "VM_EXIT_HOST_ADDR_SPACE_SIZE";
    LOAD_PERF_GLOBAL = 12, "Load IA32_PERF_GLOBAL_CTRL", "VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL";
    ACKNOWLEDGE_INTERRUPT = 15, "Acknowledge interrupt on exit", "VM_EXIT_ACK_INTR_ON_EXIT";
    SAVE_PAT = 18, "Save IA32_PAT", "VM_EXIT_SAVE_IA32_PAT";
    LOAD_PAT = 19, "Load IA32_PAT", "VM_EXIT_LOAD_IA32_PAT";
    SAVE_EFER = 20, "Save IA32_EFER", "VM_EXIT_SAVE_IA32_EFER";
    LOAD_EFER = 21, "Load IA32_EFER", "VM_EXIT_LOAD_IA32_EFER";
    SAVE_PREEMPTION_TIMER = 22, "Save VMX-preemption timer value", "VM_EXIT_SAVE_VMX_PREEMPTION_TIMER";
    CLEAR_BNDCFGS = 23, "Clear IA32_BNDCFGS", "VM_EXIT_CLEAR_BNDCFGS";
    CONCEAL_VMX_FROM_PT = 24, "Conceal VMX from PT", "VM_EXIT_PT_CONCEAL_PIP";
    CLEAR_RTIT = 25, "Clear IA32_RTIT_CTL", "VM_EXIT_CLEAR_IA32_RTIT_CTL";
    CLEAR_LBR = 26, "Clear IA32_LBR_CTL";
    CLEAR_UINV = 27, "Clear UINV";
    LOAD_CET = 28, "Load CET state", "VM_EXIT_LOAD_CET_STATE";
    LOAD_PKRS = 29, "Load PKRS";
    // The SDM writes CTL here, though the MSR is IA32_PERF_GLOBAL_CTRL.
    SAVE_PERF_GLOBAL = 30, "Save IA32_PERF_GLOBAL_CTL", "VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL";
    SECONDARY_CONTROLS = 31, "Activate secondary controls";
}

/// The default1 class.
pub const DEFAULT1: u32 = bits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 16, 17]) as u32;
const _: () = assert!(DEFAULT1 == 0x0003_6dff);

/// IA32_VMX_EXIT_CTLS.
pub const PLAIN: Msr = form(0x483, "IA32_VMX_EXIT_CTLS", Exists::Vmx);

/// IA32_VMX_TRUE_EXIT_CTLS.
pub const TRUE: Msr = form(0x48f, "IA32_VMX_TRUE_EXIT_CTLS", basic::TRUE_EXISTS);

const fn form(index: u32, name: &'static str, exists: Exists) -> Msr {
    Msr {
        index,
        name,
        title: "Primary VM-exit controls",
        sdm: "App. A.4.1",
        exists,
        kind: Kind::Allowed01 {
            controls: CONTROLS,
            default1: DEFAULT1,
        },
    }
}
