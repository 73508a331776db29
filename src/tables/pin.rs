// SPDX-License-Identifier: GPL-2.0
//! Pin-based VM-execution controls: asynchronous events.
//!
//! SDM vol. 3, App. A.3.1; VMCS field 0x4000.

use super::basic;
use crate::msr::{bits, Exists, Kind, Msr};

controls! {
    32 bits;
    EXTERNAL_INTERRUPT_EXITING = 0, "External-interrupt exiting", "VMX_FEATURE_INTR_EXITING";
    NMI_EXITING = 3, "NMI exiting", "VMX_FEATURE_NMI_EXITING";
    VIRTUAL_NMIS = 5, "Virtual NMIs", "VMX_FEATURE_VIRTUAL_NMIS";
    PREEMPTION_TIMER = 6, "Activate VMX-preemption timer", "VMX_FEATURE_PREEMPTION_TIMER";
    POSTED_INTERRUPTS = 7, "Process posted interrupts", "VMX_FEATURE_POSTED_INTR";
}

/// The default1 class.
pub const DEFAULT1: u32 = bits(&[1, 2, 4]) as u32;
const _: () = assert!(DEFAULT1 == 0x0000_0016);

/// IA32_VMX_PINBASED_CTLS.
pub const PLAIN: Msr = form(0x481, "IA32_VMX_PINBASED_CTLS", Exists::Vmx);

/// IA32_VMX_TRUE_PINBASED_CTLS.
pub const TRUE: Msr = form(0x48d, "IA32_VMX_TRUE_PINBASED_CTLS", basic::TRUE_EXISTS);

const fn form(index: u32, name: &'static str, exists: Exists) -> Msr {
    Msr {
        index,
        name,
        title: "Pin-based VM-execution controls",
        sdm: "App. A.3.1",
        exists,
        kind: Kind::Allowed01 {
            controls: CONTROLS,
            default1: DEFAULT1,
        },
    }
}
