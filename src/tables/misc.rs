// SPDX-License-Identifier: GPL-2.0
//! IA32_VMX_MISC.
//!
//! SDM vol. 3, App. A.6.

use crate::msr::{bits, Exists, Kind, Msr};

fields! {
    TIMER_RATE = 4:0, TimerRate, "VMX-preemption timer rate";
    STORE_LMA = 5, "VM exits store IA32_EFER.LMA into \"IA-32e mode guest\"", "VMX_MISC_SAVE_EFER_LMA";
    HLT = 6, "Activity state HLT", "VMX_MISC_ACTIVITY_HLT";
    SHUTDOWN = 7, "Activity state shutdown", "VMX_MISC_ACTIVITY_SHUTDOWN";
    WAIT_FOR_SIPI = 8, "Activity state wait-for-SIPI", "VMX_MISC_ACTIVITY_WAIT_SIPI";
    INTEL_PT = 14, "Intel PT can be used in VMX operation", "VMX_MISC_INTEL_PT";
    SMBASE = 15, "RDMSR can read IA32_SMBASE in SMM", "VMX_MISC_RDMSR_IN_SMM";
    CR3_TARGETS = 24:16, Number, "Number of CR3-target values";
    MSR_LIST_LIMIT = 27:25, MsrListLimit, "Recommended maximum of MSRs in a load or store list";
    SMM_MONITOR_CTL2 = 28, "IA32_SMM_MONITOR_CTL[2] can be set to 1", "VMX_MISC_VMXOFF_BLOCK_SMI";
    VMWRITE_ANY = 29, "VMWRITE can write VM-exit information fields", "VMX_MISC_VMWRITE_SHADOW_RO_FIELDS";
    ZERO_LENGTH_INJECTION = 30, "Injection with instruction length 0", "VMX_MISC_ZERO_LEN_INS";
    MSEG_REVISION = 63:32, Hex, "MSEG revision identifier";
}

/// The bits that the SDM reserves.
pub const RESERVED: u64 = bits(&[9, 10, 11, 12, 13, 31]);
const _: () = assert!(RESERVED == 0x8000_3e00);
const _: () = assert!(RESERVED == !MSR.named());

/// Of these the bits that are 0 in every CPU: 45-nm and 65-nm Core 2 CPUs, and the first
/// Atoms, have bit 9.
pub const ALWAYS_ZERO: u64 = RESERVED & !bits(&[9]);

/// The largest number of CR3-target values that the SDM allows.
pub const CR3_TARGETS_MAX: u64 = 256;

/// IA32_VMX_MISC.
pub const MSR: Msr = Msr {
    index: 0x485,
    name: "IA32_VMX_MISC",
    title: "Miscellaneous data",
    sdm: "App. A.6",
    exists: Exists::Vmx,
    kind: Kind::Fields { fields: FIELDS },
};
