// SPDX-License-Identifier: GPL-2.0
//! Which control needs which other: VM entry fails if the one is 1 and the
//! other is 0.
//!
//! SDM vol. 3, "Checks on VMX Controls". Control fields are named by their
//! plain MSR; what may be 1 is the same in the TRUE one.

use crate::msr::{Control, Msr};
use crate::tables::{entry, exit, pin, primary, secondary, vmfunc};

/// A control of one control field.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The MSR that says what may be 1.
    pub msr: &'static Msr,
    /// The control.
    pub control: Control,
}

/// One VM-entry check.
#[derive(Debug)]
pub struct Dependency {
    /// If this control is 1,
    pub control: Place,
    /// then this one must be 1.
    pub needs: Place,
}

macro_rules! dependencies {
    ($($from:ident::$form:ident $control:ident => $($to:ident::$to_form:ident $needed:ident),+;)*) => {
        &[$($(
            Dependency {
                control: Place { msr: &$from::$form, control: $from::$control },
                needs: Place { msr: &$to::$to_form, control: $to::$needed },
            },
        )+)*]
    };
}

/// All checks that the audit makes use of.
pub const DEPENDENCIES: &[Dependency] = dependencies! {
    pin::PLAIN VIRTUAL_NMIS => pin::PLAIN NMI_EXITING;
    primary::PLAIN NMI_WINDOW_EXITING => pin::PLAIN VIRTUAL_NMIS;
    secondary::MSR VIRTUALIZE_X2APIC => primary::PLAIN TPR_SHADOW;
    secondary::MSR APIC_REGISTER_VIRTUALIZATION => primary::PLAIN TPR_SHADOW;
    secondary::MSR VIRTUAL_INTERRUPT_DELIVERY
        => primary::PLAIN TPR_SHADOW, pin::PLAIN EXTERNAL_INTERRUPT_EXITING;
    pin::PLAIN POSTED_INTERRUPTS
        => secondary::MSR VIRTUAL_INTERRUPT_DELIVERY, exit::PLAIN ACKNOWLEDGE_INTERRUPT;
    secondary::MSR UNRESTRICTED_GUEST => secondary::MSR ENABLE_EPT;
    secondary::MSR MODE_BASED_EXECUTE => secondary::MSR ENABLE_EPT;
    secondary::MSR SUB_PAGE_WRITE => secondary::MSR ENABLE_EPT;
    secondary::MSR ENABLE_PML => secondary::MSR ENABLE_EPT;
    secondary::MSR PT_GUEST_PHYSICAL
        => secondary::MSR ENABLE_EPT, entry::PLAIN LOAD_RTIT, exit::PLAIN CLEAR_RTIT;
    vmfunc::MSR EPTP_SWITCHING => secondary::MSR ENABLE_EPT;
    exit::PLAIN SAVE_PREEMPTION_TIMER => pin::PLAIN PREEMPTION_TIMER;
};
