// SPDX-License-Identifier: GPL-2.0
//! IA32_VMX_BASIC: the VMCS, and which of the other MSRs exist.
//!
//! SDM vol. 3, App. A.1.

use crate::msr::{Exists, Kind, Msr};

fields! {
    REVISION = 30:0, Hex, "VMCS revision identifier";
    REGION_SIZE = 44:32, Bytes, "VMXON and VMCS region size";
    ADDRESSES_32BIT = 48, "Physical addresses limited to 32 bits", "VMX_BASIC_32BIT_PHYS_ADDR_ONLY";
    DUAL_MONITOR = 49, "Dual-monitor treatment of SMIs and SMM", "VMX_BASIC_DUAL_MONITOR_TREATMENT";
    MEMORY_TYPE = 53:50, MemoryType, "VMCS memory type";
    INS_OUTS = 54, "VM-exit instruction information for INS and OUTS", "VMX_BASIC_INOUT";
    TRUE_CONTROLS = 55, "Default1 controls may be 0 (TRUE MSRs exist)", "VMX_BASIC_TRUE_CTLS";
    ERROR_CODE = 56, "Hardware exceptions may be injected with or without an error code", "VMX_BASIC_NO_HW_ERROR_CODE_CC";
    NESTED_EXCEPTION = 58, "Nested-exception support (FRED)";
    SEAMRET = 60, "SEAMRET does not invalidate the current VMCS", "VMX_BASIC_NO_SEAMRET_INVD_VMCS";
}

/// Bit 31, which the SDM defines to be 0: a VMCS with that bit set in its
/// revision identifier is a shadow VMCS.
pub const ALWAYS_ZERO: u64 = 1 << 31;

/// IA32_VMX_BASIC.
pub const MSR: Msr = Msr {
    index: 0x480,
    name: "IA32_VMX_BASIC",
    title: "Basic VMX information",
    sdm: "App. A.1",
    exists: Exists::Vmx,
    kind: Kind::Fields { fields: FIELDS },
};

/// The rule of the TRUE MSRs.
pub const TRUE_EXISTS: Exists = Exists::VmxAnd(&[&[MSR.flag(TRUE_CONTROLS)]]);
