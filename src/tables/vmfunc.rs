// SPDX-License-Identifier: GPL-2.0
//! VM-function controls, a 64-bit field.
//!
//! SDM vol. 3, App. A.11; VMCS field 0x2018. All 64 bits of the MSR say what
//! may be 1, from bit 0 on; Linux 7.3 takes it for two halves and so never
//! finds EPTP switching. SDM vol. 4 gives another rule for the existence of the
//! MSR (IA32_VMX_BASIC bit 55), by which it could be read and fault.

use super::{primary, secondary};
use crate::msr::{Exists, Kind, Msr};

controls! {
    64 bits;
    EPTP_SWITCHING = 0, "EPTP switching", "VMX_FEATURE_EPTP_SWITCHING";
}

/// IA32_VMX_VMFUNC.
pub const MSR: Msr = Msr {
    index: 0x491,
    name: "IA32_VMX_VMFUNC",
    title: "VM-function controls",
    sdm: "App. A.11",
    exists: Exists::VmxAnd(&[
        &[primary::PLAIN.may_set(primary::SECONDARY_CONTROLS)],
        &[secondary::MSR.may_set(secondary::ENABLE_VM_FUNCTIONS)],
    ]),
    kind: Kind::Allowed1 { controls: CONTROLS },
};
