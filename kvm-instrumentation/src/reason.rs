// SPDX-License-Identifier: GPL-2.0

//! Why a guest exits: the names of the numbers that the processor's vendor defines.
//!
//! Not part of the kernel's object, which needs no names: the kernel has its own.

#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::vendor::{slot, SLOTS};
use crate::{abi, svm, vmx};

pub use crate::vendor::Vendor;

/// Numbers that the SDM's table covers: 0 to the newest that it defines, 85.
pub const COUNT: usize = 86;

/// What the vendor's manual defines under one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// See [`crate::vendor`].
    pub number: u16,
    /// Linux's name, without `EXIT_REASON_` or `SVM_EXIT_`.
    pub symbol: &'static CStr,
    /// The manual's name.
    pub name: &'static CStr,
}

impl Vendor {
    /// Returns all reasons that the vendor defines, by number.
    pub fn reasons(self) -> &'static [Reason] {
        match self {
            Self::Vmx => &vmx::REASONS,
            Self::Svm => &svm::REASONS,
        }
    }

    /// Returns what the vendor defines under `number`.
    pub fn get(self, number: u32) -> Option<&'static Reason> {
        let place = PLACES.get(self as usize)?.get(slot(number))?;
        self.reasons().get(usize::from(place.checked_sub(1)?))
    }

    /// Returns the manual's name of a reason, or ours of a pseudo reason.
    pub fn name(self, number: u32) -> Option<&'static CStr> {
        Some(match number {
            abi::BEYOND if self == Self::Svm => c"Exit code that the APM does not define",
            abi::BEYOND => c"Reason that the SDM does not define",
            abi::EMULATED => c"Entry that KVM had to emulate",
            abi::FAILED => c"Entry that failed before the guest ran",
            abi::TOTAL => c"All exits",
            _ => self.get(number)?.name,
        })
    }

    /// Returns the name of a reason or pseudo reason as an identifier.
    pub fn symbol(self, number: u32) -> Option<&'static CStr> {
        Some(match number {
            abi::BEYOND => c"BEYOND",
            abi::EMULATED => c"ENTRY_EMULATED",
            abi::FAILED => c"ENTRY_FAILED",
            abi::TOTAL => c"TOTAL",
            _ => self.get(number)?.symbol,
        })
    }
}

/// Returns what the SDM defines under `number`, which is the basic reason only.
pub fn get(number: u32) -> Option<&'static Reason> {
    Vendor::Vmx.get(number)
}

/// Returns whether the SDM defines `number`.
pub fn is_defined(number: u32) -> bool {
    get(number).is_some()
}

/// Returns all reasons that the SDM defines, by number.
pub fn all() -> impl Iterator<Item = &'static Reason> {
    Vendor::Vmx.reasons().iter()
}

/// Returns the SDM's name of a reason, or ours of a pseudo reason.
pub fn name(number: u32) -> Option<&'static CStr> {
    Vendor::Vmx.name(number)
}

/// Returns the name of a reason or pseudo reason of VMX as an identifier.
pub fn symbol(number: u32) -> Option<&'static CStr> {
    Vendor::Vmx.symbol(number)
}

/// One entry of a table.
pub(crate) const fn reason(number: u16, symbol: &'static CStr, name: &'static CStr) -> Reason {
    Reason {
        number,
        symbol,
        name,
    }
}

/// By vendor and slot: the place in the vendor's table + 1, or 0.
static PLACES: [[u8; SLOTS]; 2] = [places(&vmx::REASONS), places(&svm::REASONS)];

const fn places(reasons: &[Reason]) -> [u8; SLOTS] {
    let mut places = [0; SLOTS];
    let mut i = 0;
    while i < reasons.len() {
        let number = reasons[i].number as u32;
        assert!(
            i == 0 || (reasons[i - 1].number as u32) < number,
            "out of order"
        );
        places[slot(number)] = i as u8 + 1;
        i += 1;
    }
    places
}
