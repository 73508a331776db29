// SPDX-License-Identifier: GPL-2.0
//! VM-entry controls.
//!
//! SDM vol. 3, App. A.5; VMCS field 0x4012.

use super::basic;
use crate::msr::{bits, Exists, Kind, Msr};

controls! {
    32 bits;
    LOAD_DEBUG = 2, "Load debug controls", "VM_ENTRY_LOAD_DEBUG_CONTROLS";
    IA32E_MODE_GUEST = 9, "IA-32e mode guest", "VM_ENTRY_IA32E_MODE";
    ENTRY_TO_SMM = 10, "Entry to SMM", "VM_ENTRY_SMM";
    DEACTIVATE_DUAL_MONITOR = 11, "Deactivate dual-monitor treatment", "VM_ENTRY_DEACT_DUAL_MONITOR";
    LOAD_PERF_GLOBAL = 13, "Load IA32_PERF_GLOBAL_CTRL", "VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL";
    LOAD_PAT = 14, "Load IA32_PAT", "VM_ENTRY_LOAD_IA32_PAT";
    LOAD_EFER = 15, "Load IA32_EFER", "VM_ENTRY_LOAD_IA32_EFER";
    LOAD_BNDCFGS = 16, "Load IA32_BNDCFGS", "VM_ENTRY_LOAD_BNDCFGS";
    CONCEAL_VMX_FROM_PT = 17, "Conceal VMX from PT", "VM_ENTRY_PT_CONCEAL_PIP";
    LOAD_RTIT = 18, "Load IA32_RTIT_CTL", "VM_ENTRY_LOAD_IA32_RTIT_CTL";
    LOAD_UINV = 19, "Load UINV";
    LOAD_CET = 20, "Load CET state", "VM_ENTRY_LOAD_CET_STATE";
    LOAD_LBR = 21, "Load guest IA32_LBR_CTL";
    LOAD_PKRS = 22, "Load PKRS";
    LOAD_FRED = 23, "Load FRED";
    LOAD_SPEC_CTRL = 24, "Load IA32_SPEC_CTRL";
    SEAM_TELEMETRY = 25, "Allow SEAM-guest telemetry";
}

/// The default1 class.
pub const DEFAULT1: u32 = bits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 12]) as u32;
const _: () = assert!(DEFAULT1 == 0x0000_11ff);

/// IA32_VMX_ENTRY_CTLS.
pub const PLAIN: Msr = form(0x484, "IA32_VMX_ENTRY_CTLS", Exists::Vmx);

/// IA32_VMX_TRUE_ENTRY_CTLS.
pub const TRUE: Msr = form(0x490, "IA32_VMX_TRUE_ENTRY_CTLS", basic::TRUE_EXISTS);

const fn form(index: u32, name: &'static str, exists: Exists) -> Msr {
    Msr {
        index,
        name,
        title: "VM-entry controls",
        sdm: "App. A.5",
        exists,
        kind: Kind::Allowed01 {
            controls: CONTROLS,
            default1: DEFAULT1,
        },
    }
}
