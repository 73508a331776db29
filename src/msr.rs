// SPDX-License-Identifier: GPL-2.0
//! What a table says about a capability MSR: its number, its name, the rule
//! by which it exists, and the meaning of each of its bits.
//!
//! SDM vol. 3, App. A ("VMX Capability Reporting Facility").

/// A capability MSR.
#[derive(Debug)]
pub struct Msr {
    /// The number that RDMSR takes in ECX.
    pub index: u32,
    /// The SDM's name, such as `IA32_VMX_BASIC`.
    pub name: &'static str,
    /// What the SDM calls that which the MSR reports on.
    pub title: &'static str,
    /// Where the SDM defines it, in volume 3 unless it says otherwise.
    pub sdm: &'static str,
    /// When it may be read.
    pub exists: Exists,
    /// The layout of its 64 bits.
    pub kind: Kind,
}

/// The rule by which an MSR exists; RDMSR of one that does not raises #GP(0).
#[derive(Debug)]
pub enum Exists {
    /// VMX, SMX or SGX is enumerated by CPUID (SDM vol. 4, table 2-2). LMCE in
    /// IA32_MCG_CAP is enough, too, but there is nothing to ask without VMX.
    VmxSmxOrSgx,
    /// CPUID.01H:ECX.VMX\[bit 5\] = 1.
    Vmx,
    /// VMX, and in each of these groups at least one bit is 1.
    VmxAnd(&'static [&'static [Bit]]),
}

/// One bit of the 64-bit value of an MSR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bit {
    /// The MSR's number.
    pub msr: u32,
    /// The bit, 0 to 63.
    pub bit: u8,
}

/// The layout of an MSR.
#[derive(Debug)]
pub enum Kind {
    /// Bits 31:0: a control whose bit is 1 here must be 1 (the "allowed
    /// 0-settings"). Bits 63:32: a control whose bit is 1 here may be 1.
    Allowed01 {
        /// The controls that the SDM names.
        controls: &'static [Control],
        /// The bits of the "default1" class (SDM App. A.2), reserved ones too.
        default1: u32,
    },
    /// All 64 bits: a control whose bit is 1 here may be 1. Every control may
    /// be 0.
    Allowed1 {
        /// The controls that the SDM names.
        controls: &'static [Control],
    },
    /// Bits of a control register: one MSR has a 1 where the bit must be 1
    /// (FIXED0), its sister a 1 where it may be 1 (FIXED1).
    Fixed {
        /// The bits of the control register that the SDM names.
        bits: &'static [Control],
        /// Reserved bits whose writes the CPU ignores, so that FIXED1 may
        /// report them as settable.
        ignored: u64,
    },
    /// Unrelated fields.
    Fields {
        /// The fields that the SDM names.
        fields: &'static [Field],
    },
}

/// A bit that software may or may not set: in a VM-execution, VM-exit,
/// VM-entry or VM-function control, or in CR0 or CR4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// The bit in the control field, 0 to 31 or 0 to 63.
    pub bit: u8,
    /// The SDM's name.
    pub name: &'static str,
    /// The macro that Linux has for it in vmxfeatures.h or vmx.h.
    pub linux: Option<&'static str>,
}

/// A field of an MSR of the `Fields` kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The lowest bit, 0 to 63.
    pub low: u8,
    /// The highest bit; the same as `low` for a flag.
    pub high: u8,
    /// The SDM's name.
    pub name: &'static str,
    /// How people read the value.
    pub shown: Shown,
    /// The macro that Linux has for it in vmx.h or msr-index.h.
    pub linux: Option<&'static str>,
}

/// How the value of a field is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Yes or No.
    Flag,
    /// A number without a unit.
    Number,
    /// An identifier or a mask.
    Hex,
    /// A size in bytes.
    Bytes,
    /// 0 is uncacheable, 6 is write-back.
    MemoryType,
    /// N: the VMX-preemption timer counts down at the rate of the TSC / 2^N.
    TimerRate,
    /// N: 512 * (N + 1) MSRs are recommended at most in a load or store list.
    MsrListLimit,
}

impl Msr {
    /// The bits that have a name, as a mask of the 64-bit register, or of the
    /// 32-bit control field for [`Kind::Allowed01`].
    pub const fn named(&self) -> u64 {
        match self.kind {
            Kind::Allowed01 { controls, .. } | Kind::Allowed1 { controls } => mask_of(controls),
            Kind::Fixed { bits, .. } => mask_of(bits),
            Kind::Fields { fields } => {
                let mut mask = 0;
                let mut rest = fields;
                while let [field, others @ ..] = rest {
                    mask |= field.mask();
                    rest = others;
                }
                mask
            }
        }
    }

    /// The named controls; none for fields.
    pub const fn controls(&self) -> &'static [Control] {
        match self.kind {
            Kind::Allowed01 { controls, .. } | Kind::Allowed1 { controls } => controls,
            Kind::Fixed { bits, .. } => bits,
            Kind::Fields { .. } => &[],
        }
    }

    /// The bit of this MSR that is 1 where `control` may be set.
    pub const fn may_set(&self, control: Control) -> Bit {
        let bit = match self.kind {
            Kind::Allowed01 { .. } => control.bit.wrapping_add(32),
            _ => control.bit,
        };
        Bit {
            msr: self.index,
            bit,
        }
    }

    /// The bit of this MSR that is the flag `field`.
    pub const fn flag(&self, field: Field) -> Bit {
        Bit {
            msr: self.index,
            bit: field.low,
        }
    }
}

const fn mask_of(controls: &[Control]) -> u64 {
    let mut mask = 0;
    let mut rest = controls;
    while let [control, others @ ..] = rest {
        mask |= control.mask();
        rest = others;
    }
    mask
}

impl Control {
    /// The control's bit in its control field.
    pub const fn mask(&self) -> u64 {
        1u64.wrapping_shl(self.bit as u32)
    }
}

impl Field {
    /// The field's bits in the MSR.
    pub const fn mask(&self) -> u64 {
        let width = self.high.wrapping_sub(self.low).wrapping_add(1);
        let ones = u64::MAX.wrapping_shr(64u32.wrapping_sub(width as u32));
        ones.wrapping_shl(self.low as u32)
    }

    /// The field's value, shifted down to bit 0.
    pub const fn of(&self, msr: u64) -> u64 {
        (msr & self.mask()).wrapping_shr(self.low as u32)
    }
}

/// Compile-time check: the controls lie in `width` bits, in ascending order
/// and so without a bit twice.
#[allow(dead_code)] // Used by `const _`, which rustc 1.85 does not see.
pub(crate) const fn controls_are_sound(controls: &[Control], width: u8) -> bool {
    let mut lowest_free = 0;
    let mut rest = controls;
    while let [control, others @ ..] = rest {
        if control.bit < lowest_free || control.bit >= width {
            return false;
        }
        lowest_free = control.bit.wrapping_add(1);
        rest = others;
    }
    true
}

/// Compile-time check: the fields lie in 64 bits, in ascending order and
/// without overlap; a flag is one bit wide.
#[allow(dead_code)] // Used by `const _`, which rustc 1.85 does not see.
pub(crate) const fn fields_are_sound(fields: &[Field]) -> bool {
    let mut lowest_free = 0;
    let mut rest = fields;
    while let [field, others @ ..] = rest {
        let flag = matches!(field.shown, Shown::Flag);
        if field.low < lowest_free || field.high < field.low || field.high >= 64 {
            return false;
        }
        if flag != (field.high == field.low) {
            return false;
        }
        lowest_free = field.high.wrapping_add(1);
        rest = others;
    }
    true
}

/// A mask from a list of bit numbers.
pub(crate) const fn bits(numbers: &[u8]) -> u64 {
    let mut mask = 0;
    let mut rest = numbers;
    while let [bit, others @ ..] = rest {
        mask |= 1u64.wrapping_shl(*bit as u32);
        rest = others;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(bit: u8) -> Control {
        Control {
            bit,
            name: "one",
            linux: None,
        }
    }

    fn field(high: u8, low: u8, shown: Shown) -> Field {
        Field {
            low,
            high,
            name: "one",
            shown,
            linux: None,
        }
    }

    #[test]
    fn bad_tables_of_controls_are_found() {
        let sound = |bits: [u8; 3], width| controls_are_sound(&bits.map(control), width);
        assert!(sound([0, 1, 31], 32));
        assert!(!sound([0, 1, 32], 32), "wider than the control field");
        assert!(!sound([0, 3, 3], 32), "a bit twice");
        assert!(!sound([0, 3, 2], 32), "not ascending");
    }

    #[test]
    fn bad_tables_of_fields_are_found() {
        let sound = |fields: [Field; 2]| fields_are_sound(&fields);
        let flag = || field(4, 4, Shown::Flag);
        assert!(sound([flag(), field(63, 5, Shown::Hex)]));
        assert!(!sound([flag(), field(64, 5, Shown::Hex)]), "past bit 63");
        assert!(!sound([flag(), field(9, 4, Shown::Hex)]), "overlapping");
        assert!(!sound([flag(), field(5, 9, Shown::Hex)]), "upside down");
        assert!(!sound([flag(), field(6, 5, Shown::Flag)]), "a wide flag");
        assert!(!sound([flag(), field(5, 5, Shown::Hex)]), "a narrow number");
    }
}
