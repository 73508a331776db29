// SPDX-License-Identifier: GPL-2.0
//! IA32_VMX_VMCS_ENUM: how far the numbering of VMCS fields goes.
//!
//! SDM vol. 3, App. A.9. The value is the index, bits 9:1 of an encoding, not
//! an encoding; all other bits are 0.

use crate::msr::{Exists, Kind, Msr};

fields! {
    HIGHEST_INDEX = 9:1, Hex, "Highest index of any VMCS field encoding";
}

/// IA32_VMX_VMCS_ENUM.
pub const MSR: Msr = Msr {
    index: 0x48a,
    name: "IA32_VMX_VMCS_ENUM",
    title: "VMCS enumeration",
    sdm: "App. A.9",
    exists: Exists::Vmx,
    kind: Kind::Fields { fields: FIELDS },
};
