// SPDX-License-Identifier: GPL-2.0
//! IA32_VMX_EPT_VPID_CAP: extended page tables and virtual processor IDs.
//!
//! SDM vol. 3, App. A.10.

use super::{primary, secondary};
use crate::msr::{Exists, Kind, Msr};

fields! {
    EXECUTE_ONLY = 0, "Execute-only translations", "VMX_EPT_EXECUTE_ONLY_BIT";
    PAGE_WALK_4 = 6, "Page-walk length of 4", "VMX_EPT_PAGE_WALK_4_BIT";
    PAGE_WALK_5 = 7, "Page-walk length of 5", "VMX_EPT_PAGE_WALK_5_BIT";
    UNCACHEABLE = 8, "EPT paging-structure memory type uncacheable (UC)", "VMX_EPTP_UC_BIT";
    WRITE_BACK = 14, "EPT paging-structure memory type write-back (WB)", "VMX_EPTP_WB_BIT";
    PAGES_2M = 16, "2-MByte pages", "VMX_EPT_2MB_PAGE_BIT";
    PAGES_1G = 17, "1-GByte pages", "VMX_EPT_1GB_PAGE_BIT";
    INVEPT = 20, "INVEPT instruction", "VMX_EPT_INVEPT_BIT";
    ACCESSED_DIRTY = 21, "Accessed and dirty flags for EPT", "VMX_EPT_AD_BIT";
    ADVANCED_EXIT_INFORMATION = 22, "Advanced VM-exit information for EPT violations", "VMX_EPT_ADVANCED_VMEXIT_INFO_BIT";
    SUPERVISOR_SHADOW_STACK = 23, "Supervisor shadow-stack control";
    INVEPT_SINGLE = 25, "INVEPT single-context type", "VMX_EPT_EXTENT_CONTEXT_BIT";
    INVEPT_ALL = 26, "INVEPT all-context type", "VMX_EPT_EXTENT_GLOBAL_BIT";
    INVVPID = 32, "INVVPID instruction", "VMX_VPID_INVVPID_BIT";
    INVVPID_ADDRESS = 40, "INVVPID individual-address type", "VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT";
    INVVPID_SINGLE = 41, "INVVPID single-context type", "VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT";
    INVVPID_ALL = 42, "INVVPID all-context type", "VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT";
    INVVPID_KEEP_GLOBALS = 43, "INVVPID single-context-retaining-globals type", "VMX_VPID_EXTENT_SINGLE_NON_GLOBAL_BIT";
    HLAT_PREFIX = 53:48, Number, "Maximum HLAT prefix size";
}

/// IA32_VMX_EPT_VPID_CAP.
pub const MSR: Msr = Msr {
    index: 0x48c,
    name: "IA32_VMX_EPT_VPID_CAP",
    title: "EPT and VPID capabilities",
    sdm: "App. A.10",
    exists: Exists::VmxAnd(&[
        &[primary::PLAIN.may_set(primary::SECONDARY_CONTROLS)],
        &[
            secondary::MSR.may_set(secondary::ENABLE_EPT),
            secondary::MSR.may_set(secondary::ENABLE_VPID),
        ],
    ]),
    kind: Kind::Fields { fields: FIELDS },
};
