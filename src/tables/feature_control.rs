// SPDX-License-Identifier: GPL-2.0
//! IA32_FEATURE_CONTROL: whether firmware lets software enter VMX operation.
//!
//! SDM vol. 4, table 2-2; vol. 3, "Enabling and Entering VMX Operation". VMXON
//! raises #GP unless the MSR is locked and the bit for the mode (inside or
//! outside SMX) is 1. Linux locks an unlocked one at boot, with VMX outside
//! SMX on if it has KVM for Intel, so a lock need not be the firmware's.

use crate::msr::{Exists, Kind, Msr};

fields! {
    LOCK = 0, "Lock bit", "FEAT_CTL_LOCKED";
    VMX_INSIDE_SMX = 1, "Enable VMX inside SMX operation", "FEAT_CTL_VMX_ENABLED_INSIDE_SMX";
    VMX_OUTSIDE_SMX = 2, "Enable VMX outside SMX operation", "FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX";
    SENTER_LOCAL = 14:8, Hex, "SENTER local function enables";
    SENTER_GLOBAL = 15, "SENTER global enable";
    SGX_LAUNCH_CONTROL = 17, "SGX launch control enable", "FEAT_CTL_SGX_LC_ENABLED";
    SGX_GLOBAL = 18, "SGX global enable", "FEAT_CTL_SGX_ENABLED";
    LMCE = 20, "LMCE on", "FEAT_CTL_LMCE_ENABLED";
}

/// IA32_FEATURE_CONTROL.
pub const MSR: Msr = Msr {
    index: 0x3a,
    name: "IA32_FEATURE_CONTROL",
    title: "Feature control",
    sdm: "vol. 4, table 2-2",
    exists: Exists::VmxSmxOrSgx,
    kind: Kind::Fields { fields: FIELDS },
};
