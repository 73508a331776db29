// SPDX-License-Identifier: GPL-2.0

//! Whose numbers the exit reasons are, and which of them the manuals define.
//!
//! A reason of VMX is bits 15:0 of the exit-reason field. One of SVM is the low 16 bits
//! of the exit code; the three negative codes are 0xfff0 to 0xfff2 here, below the
//! pseudo reasons.

#![forbid(unsafe_code)]

/// Numbers that may have a row of their own, see [`slot`].
pub const SLOTS: usize = 184;

/// Numbers below this are their own slots.
pub(crate) const DIRECT: usize = 168;

/// Returns the slot of a number; [`SLOTS`] if it has none.
pub const fn slot(number: u32) -> usize {
    match number as usize {
        number @ 0..DIRECT => number,
        number @ 0x400..=0x407 => DIRECT + (number & 7),
        number @ 0xfff0..=0xfff7 => DIRECT + 8 + (number & 7),
        _ => SLOTS,
    }
}

/// Whose numbers the exit reasons are; the value is what the discovery leaf states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Vendor {
    /// Intel's VMX.
    #[default]
    Vmx = 0,
    /// AMD's SVM.
    Svm = 1,
}

impl Vendor {
    /// Returns the vendor of this number.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Vmx, Self::Svm].get(number as usize).copied()
    }

    /// Returns whether the vendor's manual defines a reason.
    pub const fn defines(self, number: u32) -> bool {
        match self {
            // SDM volume 3, appendix C. 70 was dropped from it, but is never used again.
            Self::Vmx => matches!(number, 0..=34 | 36 | 37 | 39..=41 | 43..=70 | 72..=81 | 84 | 85),
            // APM volume 2, appendix C.
            Self::Svm => matches!(number, 0..=0xa6 | 0x400..=0x404 | 0xfff0..=0xfff2),
        }
    }

    /// Returns the reasons that the vendor's manual defines, in order.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        let direct = 0..DIRECT as u32;
        let numbers = direct.chain(0x400..=0x407).chain(0xfff0..=0xfff7);
        numbers.filter(move |&number| self.defines(number))
    }
}
