// SPDX-License-Identifier: GPL-2.0
//! Secondary processor-based VM-execution controls.
//!
//! SDM vol. 3, App. A.3.3; VMCS field 0x401E. Bits 31:0 of the MSR are always
//! 0: every secondary control may be 0.

use super::primary;
use crate::msr::{Exists, Kind, Msr};

controls! {
    32 bits;
    VIRTUALIZE_APIC_ACCESSES = 0, "Virtualize APIC accesses", "VMX_FEATURE_VIRT_APIC_ACCESSES";
    ENABLE_EPT = 1, "Enable EPT", "VMX_FEATURE_EPT";
    DESCRIPTOR_TABLE_EXITING = 2, "Descriptor-table exiting", "VMX_FEATURE_DESC_EXITING";
    ENABLE_RDTSCP = 3, "Enable RDTSCP", "VMX_FEATURE_RDTSCP";
    VIRTUALIZE_X2APIC = 4, "Virtualize x2APIC mode", "VMX_FEATURE_VIRTUAL_X2APIC";
    ENABLE_VPID = 5, "Enable VPID", "VMX_FEATURE_VPID";
    WBINVD_EXITING = 6, "WBINVD exiting", "VMX_FEATURE_WBINVD_EXITING";
    UNRESTRICTED_GUEST = 7, "Unrestricted guest", "VMX_FEATURE_UNRESTRICTED_GUEST";
    APIC_REGISTER_VIRTUALIZATION = 8, "APIC-register virtualization", "VMX_FEATURE_APIC_REGISTER_VIRT";
    VIRTUAL_INTERRUPT_DELIVERY = 9, "Virtual-interrupt delivery", "VMX_FEATURE_VIRT_INTR_DELIVERY";
    PAUSE_LOOP_EXITING = 10, "PAUSE-loop exiting", "VMX_FEATURE_PAUSE_LOOP_EXITING";
    RDRAND_EXITING = 11, "RDRAND exiting", "VMX_FEATURE_RDRAND_EXITING";
    ENABLE_INVPCID = 12, "Enable INVPCID", "VMX_FEATURE_INVPCID";
    ENABLE_VM_FUNCTIONS = 13, "Enable VM functions", "VMX_FEATURE_VMFUNC";
    VMCS_SHADOWING = 14, "VMCS shadowing", "VMX_FEATURE_SHADOW_VMCS";
    ENCLS_EXITING = 15, "Enable ENCLS exiting", "VMX_FEATURE_ENCLS_EXITING";
    RDSEED_EXITING = 16, "RDSEED exiting", "VMX_FEATURE_RDSEED_EXITING";
    ENABLE_PML = 17, "Enable PML", "VMX_FEATURE_PAGE_MOD_LOGGING";
    EPT_VIOLATION_VE = 18, "EPT-violation #VE", "VMX_FEATURE_EPT_VIOLATION_VE";
    CONCEAL_VMX_FROM_PT = 19, "Conceal VMX from PT", "VMX_FEATURE_PT_CONCEAL_VMX";
    ENABLE_XSAVES = 20, "Enable XSAVES/XRSTORS", "VMX_FEATURE_XSAVES";
    PASID_TRANSLATION = 21, "PASID translation";
    MODE_BASED_EXECUTE = 22, "Mode-based execute control for EPT", "VMX_FEATURE_MODE_BASED_EPT_EXEC";
    SUB_PAGE_WRITE = 23, "Sub-page write permissions for EPT";
    PT_GUEST_PHYSICAL = 24, "Intel PT uses guest physical addresses", "VMX_FEATURE_PT_USE_GPA";
    TSC_SCALING = 25, "Use TSC scaling", "VMX_FEATURE_TSC_SCALING";
    USER_WAIT_AND_PAUSE = 26, "Enable user wait and pause", "VMX_FEATURE_USR_WAIT_PAUSE";
    ENABLE_PCONFIG = 27, "Enable PCONFIG";
    // Defined until about 2024; reserved in SDM tables of 2025 and 2026.
    ENCLV_EXITING = 28, "Enable ENCLV exiting", "VMX_FEATURE_ENCLV_EXITING";
    // Ice Lake's client CPUs and Rocket Lake have it. The SDM reserves it.
    EPC_VIRTUALIZATION = 29, "EPC virtualization extensions";
    BUS_LOCK_DETECTION = 30, "VMM bus-lock detection", "VMX_FEATURE_BUS_LOCK_DETECTION";
    INSTRUCTION_TIMEOUT = 31, "Instruction timeout", "VMX_FEATURE_NOTIFY_VM_EXITING";
}

/// IA32_VMX_PROCBASED_CTLS2.
pub const MSR: Msr = Msr {
    index: 0x48b,
    name: "IA32_VMX_PROCBASED_CTLS2",
    title: "Secondary processor-based VM-execution controls",
    sdm: "App. A.3.3",
    exists: Exists::VmxAnd(&[&[primary::PLAIN.may_set(primary::SECONDARY_CONTROLS)]]),
    kind: Kind::Allowed01 {
        controls: CONTROLS,
        default1: 0,
    },
};
