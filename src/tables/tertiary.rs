// SPDX-License-Identifier: GPL-2.0
//! Tertiary processor-based VM-execution controls, a 64-bit field.
//!
//! SDM vol. 3, App. A.3.4; VMCS field 0x2034. The MSR has no must-be-1 half:
//! all of its 64 bits say what may be 1.

use super::primary;
use crate::msr::{Exists, Kind, Msr};

// Bit 13 ("emulate AVX10.VL256 mode") stands in a comment of Bochs only, so it
// is left out and would be logged as unknown.
controls! {
    64 bits;
    LOADIWKEY_EXITING = 0, "LOADIWKEY exiting";
    ENABLE_HLAT = 1, "Enable HLAT";
    EPT_PAGING_WRITE = 2, "EPT paging-write control";
    GUEST_PAGING_VERIFICATION = 3, "Guest-paging verification";
    IPI_VIRTUALIZATION = 4, "IPI virtualization", "VMX_FEATURE_IPI_VIRT";
    SEAM_ADDRESS_WIDTH = 5, "SEAM guest-physical address width";
    ENABLE_MSR_LIST = 6, "Enable MSR-list instructions";
    VIRTUALIZE_SPEC_CTRL = 7, "Virtualize IA32_SPEC_CTRL";
    APIC_TIMER_VIRTUALIZATION = 8, "APIC-timer virtualization";
    ENABLE_PBNDKB = 9, "Enable PBNDKB";
    PEBS_GUEST_PHYSICAL = 12, "PEBS uses guest physical addresses";
}

/// IA32_VMX_PROCBASED_CTLS3.
pub const MSR: Msr = Msr {
    index: 0x492,
    name: "IA32_VMX_PROCBASED_CTLS3",
    title: "Tertiary processor-based VM-execution controls",
    sdm: "App. A.3.4",
    exists: Exists::VmxAnd(&[&[primary::PLAIN.may_set(primary::TERTIARY_CONTROLS)]]),
    kind: Kind::Allowed1 { controls: CONTROLS },
};
