// SPDX-License-Identifier: GPL-2.0
//! The tables: one module a capability MSR or pair of MSRs, [`MSRS`] of all of
//! them by number, and [`SECTIONS`] in the order in which people read them.

use crate::msr::{Exists, Kind, Msr};

/// `NAME = bit, "SDM name" [, "LINUX_MACRO"];` lines into a constant each and
/// a `CONTROLS` slice of them all, checked to fit into `width` bits.
macro_rules! controls {
    ($width:literal bits; $($name:ident = $bit:literal, $sdm:literal $(, $linux:literal)?;)*) => {
        $(
            #[doc = concat!("Bit ", $bit, ": `", $sdm, "`.")]
            pub const $name: $crate::msr::Control = $crate::msr::Control {
                bit: $bit,
                name: $sdm,
                linux: [$(Some($linux),)? None][0],
            };
        )*
        /// All of the named bits, in ascending order.
        pub const CONTROLS: &[$crate::msr::Control] = &[$($name),*];
        const _: () = assert!($crate::msr::controls_are_sound(CONTROLS, $width));
    };
}

/// `NAME = high:low, Shown, "SDM name" [, "LINUX_MACRO"];` lines into a
/// constant each and a `FIELDS` slice of them all. A flag is written
/// `NAME = bit, ...` and shown as Yes or No.
macro_rules! fields {
    (@low $high:literal) => { $high };
    (@low $high:literal $low:literal) => { $low };
    (@shown) => { $crate::msr::Shown::Flag };
    (@shown $shown:ident) => { $crate::msr::Shown::$shown };
    ($($name:ident = $high:literal $(: $low:literal, $shown:ident)?, $sdm:literal
       $(, $linux:literal)?;)*) => {
        $(
            #[doc = concat!("Bits ", $high $(, ":", $low)?, ": `", $sdm, "`.")]
            pub const $name: $crate::msr::Field = $crate::msr::Field {
                low: fields!(@low $high $($low)?),
                high: $high,
                name: $sdm,
                shown: fields!(@shown $($shown)?),
                linux: [$(Some($linux),)? None][0],
            };
        )*
        /// All of the named fields, in ascending order.
        pub const FIELDS: &[$crate::msr::Field] = &[$($name),*];
        const _: () = assert!($crate::msr::fields_are_sound(FIELDS));
    };
}

pub mod basic;
pub mod cr_fixed;
pub mod entry;
pub mod ept_vpid;
pub mod exit;
pub mod exit2;
pub mod feature_control;
pub mod misc;
pub mod pin;
pub mod primary;
pub mod secondary;
pub mod tertiary;
pub mod vmcs_enum;
pub mod vmfunc;

/// Every capability MSR, by ascending number.
pub const MSRS: &[Msr] = &[
    feature_control::MSR,
    basic::MSR,
    pin::PLAIN,
    primary::PLAIN,
    exit::PLAIN,
    entry::PLAIN,
    misc::MSR,
    cr_fixed::cr0::FIXED0,
    cr_fixed::cr0::FIXED1,
    cr_fixed::cr4::FIXED0,
    cr_fixed::cr4::FIXED1,
    vmcs_enum::MSR,
    secondary::MSR,
    ept_vpid::MSR,
    pin::TRUE,
    primary::TRUE,
    exit::TRUE,
    entry::TRUE,
    vmfunc::MSR,
    tertiary::MSR,
    exit2::MSR,
];

/// What belongs together for a reader: the MSRs that describe one control
/// field, one control register or one set of fields.
#[derive(Debug)]
pub enum Section {
    /// A control field. Where the TRUE form exists, it is the one that counts.
    Controls {
        /// The MSR that every CPU with this control field has.
        plain: &'static Msr,
        /// Its TRUE form, if the SDM defines one.
        true_form: Option<&'static Msr>,
    },
    /// A control register in VMX operation.
    Fixed {
        /// Has a 1 where the bit must be 1.
        fixed0: &'static Msr,
        /// Has a 1 where the bit may be 1.
        fixed1: &'static Msr,
    },
    /// An MSR of fields.
    Fields(&'static Msr),
}

/// All sections: what enables VMX, what it is, then the controls in the
/// order of the VMCS, then the rest.
pub const SECTIONS: &[Section] = &[
    Section::Fields(&feature_control::MSR),
    Section::Fields(&basic::MSR),
    pair(&pin::PLAIN, &pin::TRUE),
    pair(&primary::PLAIN, &primary::TRUE),
    single(&secondary::MSR),
    single(&tertiary::MSR),
    pair(&exit::PLAIN, &exit::TRUE),
    single(&exit2::MSR),
    pair(&entry::PLAIN, &entry::TRUE),
    single(&vmfunc::MSR),
    Section::Fields(&misc::MSR),
    Section::Fields(&ept_vpid::MSR),
    Section::Fixed {
        fixed0: &cr_fixed::cr0::FIXED0,
        fixed1: &cr_fixed::cr0::FIXED1,
    },
    Section::Fixed {
        fixed0: &cr_fixed::cr4::FIXED0,
        fixed1: &cr_fixed::cr4::FIXED1,
    },
    Section::Fields(&vmcs_enum::MSR),
];

const fn pair(plain: &'static Msr, true_form: &'static Msr) -> Section {
    Section::Controls {
        plain,
        true_form: Some(true_form),
    }
}

const fn single(plain: &'static Msr) -> Section {
    Section::Controls {
        plain,
        true_form: None,
    }
}

/// The row of an MSR by its number.
pub fn by_index(index: u32) -> Option<&'static Msr> {
    MSRS.iter().find(|msr| msr.index == index)
}

impl Section {
    /// The MSRs of this section; both forms where there are two.
    pub const fn msrs(&self) -> (&'static Msr, Option<&'static Msr>) {
        match *self {
            Section::Controls { plain, true_form } => (plain, true_form),
            Section::Fixed { fixed0, fixed1 } => (fixed0, Some(fixed1)),
            Section::Fields(msr) => (msr, None),
        }
    }
}

/// An MSR's rule may only name MSRs of a lower number, so that one pass in
/// ascending order can evaluate all the rules; and no number comes twice.
#[allow(dead_code)] // Used by `const _`, which rustc 1.85 does not see.
const fn in_order(msrs: &[Msr]) -> bool {
    let mut previous = 0;
    let mut rest = msrs;
    while let [msr, others @ ..] = rest {
        if msr.index <= previous || !rule_looks_back(msr) {
            return false;
        }
        previous = msr.index;
        rest = others;
    }
    true
}

#[allow(dead_code)] // Used by `const _`, which rustc 1.85 does not see.
const fn rule_looks_back(msr: &Msr) -> bool {
    if let Exists::VmxAnd(mut groups) = msr.exists {
        while let [group, other_groups @ ..] = groups {
            let mut bits: &[crate::msr::Bit] = group;
            while let [bit, others @ ..] = bits {
                if bit.msr >= msr.index {
                    return false;
                }
                bits = others;
            }
            groups = other_groups;
        }
    }
    true
}

/// How many of the sections speak of the MSR.
#[allow(dead_code)] // Used by `const _`, which rustc 1.85 does not see.
const fn mentions(index: u32, sections: &[Section]) -> u32 {
    let mut count = 0u32;
    let mut rest = sections;
    while let [section, others @ ..] = rest {
        let (first, second) = section.msrs();
        if first.index == index {
            count = count.wrapping_add(1);
        }
        if let Some(second) = second {
            if second.index == index {
                count = count.wrapping_add(1);
            }
        }
        rest = others;
    }
    count
}

#[allow(dead_code)] // Used by `const _`, which rustc 1.85 does not see.
const fn each_is_in_one_section(msrs: &[Msr], sections: &[Section]) -> bool {
    let mut rest = msrs;
    while let [msr, others @ ..] = rest {
        if mentions(msr.index, sections) != 1 {
            return false;
        }
        rest = others;
    }
    true
}

/// A TRUE MSR describes the same control field as its plain one: the same
/// names, the same default1 class.
#[allow(dead_code)] // Used by `const _`, which rustc 1.85 does not see.
const fn forms_agree(sections: &[Section]) -> bool {
    let mut rest = sections;
    while let [section, others @ ..] = rest {
        if let Section::Controls {
            plain,
            true_form: Some(true_form),
        } = section
        {
            match (&plain.kind, &true_form.kind) {
                (Kind::Allowed01 { default1: a, .. }, Kind::Allowed01 { default1: b, .. })
                    if *a == *b && plain.named() == true_form.named() => {}
                _ => return false,
            }
        }
        rest = others;
    }
    true
}

const _: () = assert!(in_order(MSRS));
const _: () = assert!(each_is_in_one_section(MSRS, SECTIONS));
const _: () = assert!(forms_agree(SECTIONS));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_tables_of_msrs_are_found() {
        assert!(in_order(&[pin::PLAIN, primary::PLAIN, secondary::MSR]));
        assert!(!in_order(&[pin::PLAIN, pin::PLAIN]), "a number twice");
        assert!(!in_order(&[primary::PLAIN, pin::PLAIN]), "not ascending");
        let early = Msr {
            index: primary::PLAIN.index,
            ..secondary::MSR
        };
        assert!(!in_order(&[early]), "a rule that names its own MSR");
    }

    #[test]
    fn bad_sections_are_found() {
        let whole = [pair(&pin::PLAIN, &pin::TRUE), single(&secondary::MSR)];
        let msrs = [pin::PLAIN, secondary::MSR, pin::TRUE];
        assert!(each_is_in_one_section(&msrs, &whole));
        assert!(!each_is_in_one_section(&msrs, &whole[..1]), "one in none");
        let twice = [pair(&pin::PLAIN, &pin::TRUE), single(&pin::PLAIN)];
        assert!(!each_is_in_one_section(&msrs[..1], &twice), "one in two");
        assert!(forms_agree(&whole));
        let mixed = [pair(&pin::PLAIN, &primary::TRUE)];
        assert!(!forms_agree(&mixed), "the TRUE form of another");
    }
}
