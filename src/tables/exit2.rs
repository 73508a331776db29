// SPDX-License-Identifier: GPL-2.0
//! Secondary VM-exit controls, a 64-bit field.
//!
//! SDM vol. 3, App. A.4.2; VMCS field 0x2044. All 64 bits of the MSR say what
//! may be 1.

use super::exit;
use crate::msr::{Exists, Kind, Msr};

controls! {
    64 bits;
    SAVE_FRED = 0, "Save FRED";
    LOAD_FRED = 1, "Load FRED";
    LOAD_SPEC_CTRL = 2, "Load IA32_SPEC_CTRL";
    BUSY_SHADOW_STACK = 3, "Prematurely busy shadow stack";
}

/// IA32_VMX_EXIT_CTLS2.
pub const MSR: Msr = Msr {
    index: 0x493,
    name: "IA32_VMX_EXIT_CTLS2",
    title: "Secondary VM-exit controls",
    sdm: "App. A.4.2",
    exists: Exists::VmxAnd(&[&[exit::PLAIN.may_set(exit::SECONDARY_CONTROLS)]]),
    kind: Kind::Allowed1 { controls: CONTROLS },
};
