// SPDX-License-Identifier: GPL-2.0
//! What must hold in the values of any CPU, and what does not hold in these.
//!
//! The constraints are the SDM's (vol. 3, App. A); kvm-unit-tests asserts many
//! of them too. A violation points at a defect of a CPU, of its microcode, or
//! of a hypervisor that made the values up.

use core::fmt;

use crate::capabilities::{Capabilities, State};
use crate::decode::Allowed;
use crate::dependencies::{Dependency, DEPENDENCIES};
use crate::msr::{Kind, Msr};
use crate::tables::{basic, misc, secondary, vmcs_enum, Section, MSRS, SECTIONS};

/// One violated constraint. A mask is of the control field, or of the 64-bit
/// MSR for an MSR of fields.
#[derive(Debug, Clone, Copy)]
pub enum Violation {
    /// The MSR exists by its rule, but RDMSR raised #GP.
    Faulted(&'static Msr),
    /// Controls that must be 1 and may not be 1.
    MustButMayNot(&'static Msr, u64),
    /// Bits of the default1 class that may be 0 by the plain MSR.
    Default1Clear(&'static Msr, u64),
    /// The TRUE MSR differs from the plain one in what may be 1.
    TrueMayDiffers(&'static Msr, u64),
    /// The plain MSR's must-be-1 half is not the TRUE one's plus the default1
    /// class.
    TrueMustDiffers(&'static Msr, u64),
    /// Bits that the SDM defines to be 0.
    NotZero(&'static Msr, u64),
    /// FIXED0 has bits fixed to 1 that FIXED1 has fixed to 0.
    Fixed(&'static Msr, u64),
    /// The size of a VMCS region in bytes is not within 1 to 4096.
    RegionSize(u64),
    /// The memory type of a VMCS is neither 0 (UC) nor 6 (WB).
    MemoryType(u64),
    /// More CR3-target values than 256.
    Cr3Targets(u64),
    /// Unrestricted guest can be set, but VM exits do not store IA32_EFER.LMA.
    UnrestrictedWithoutLma,
    /// A control can be set, but not the one without which VM entry fails.
    Unmet(&'static Dependency),
}

/// All violations in the values of one CPU. What was not read is not judged,
/// but for a read that faulted.
pub fn audit(caps: &Capabilities) -> impl Iterator<Item = Violation> + '_ {
    MSRS.iter()
        .flat_map(|msr| of_msr(caps, msr))
        .chain(
            SECTIONS
                .iter()
                .flat_map(|section| of_section(caps, section)),
        )
        .chain(of_fields(caps))
        .flatten()
        .chain(DEPENDENCIES.iter().filter_map(|rule| {
            let can_be_met = caps.value(rule.needs.msr).is_none() || {
                caps.bit(rule.needs.msr.may_set(rule.needs.control))
            };
            let asked = caps.bit(rule.control.msr.may_set(rule.control.control));
            (asked && !can_be_met).then_some(Violation::Unmet(rule))
        }))
}

/// `None` for a mask of 0.
fn some(mask: u64, violation: impl FnOnce(u64) -> Violation) -> Option<Violation> {
    (mask != 0).then(|| violation(mask))
}

fn of_msr(caps: &Capabilities, msr: &'static Msr) -> [Option<Violation>; 2] {
    let state = caps.state(msr);
    if state == State::Faulted {
        return [Some(Violation::Faulted(msr)), None];
    }
    let Some(value) = state.value() else {
        return [None, None];
    };
    let contradiction = Allowed::of(msr, value).and_then(|allowed| {
        some(allowed.must_be_1 & !allowed.may_be_1, |mask| {
            Violation::MustButMayNot(msr, mask)
        })
    });
    let always_zero = match msr.index {
        index if index == basic::MSR.index => basic::ALWAYS_ZERO,
        index if index == misc::MSR.index => misc::ALWAYS_ZERO,
        index if index == vmcs_enum::MSR.index => !vmcs_enum::MSR.named(),
        index if index == secondary::MSR.index => u64::from(u32::MAX),
        _ => 0,
    };
    let not_zero = some(value & always_zero, |mask| Violation::NotZero(msr, mask));
    [contradiction, not_zero]
}

fn of_section(caps: &Capabilities, section: &Section) -> [Option<Violation>; 3] {
    let nothing = [None, None, None];
    match *section {
        Section::Controls { plain, true_form } => {
            let Kind::Allowed01 { default1, .. } = plain.kind else {
                return nothing;
            };
            let read = |msr: &Msr| Allowed::of(msr, caps.value(msr)?);
            let Some(plain_allows) = read(plain) else {
                return nothing;
            };
            let default1 = u64::from(default1);
            let clear = some(default1 & !plain_allows.must_be_1, |mask| {
                Violation::Default1Clear(plain, mask)
            });
            let Some((true_msr, true_allows)) = true_form.and_then(|msr| Some((msr, read(msr)?)))
            else {
                return [clear, None, None];
            };
            let may = some(true_allows.may_be_1 ^ plain_allows.may_be_1, |mask| {
                Violation::TrueMayDiffers(true_msr, mask)
            });
            let must = some(
                (true_allows.must_be_1 | default1) ^ (plain_allows.must_be_1 | default1),
                |mask| Violation::TrueMustDiffers(true_msr, mask),
            );
            [clear, may, must]
        }
        Section::Fixed { fixed0, fixed1 } => match (caps.value(fixed0), caps.value(fixed1)) {
            (Some(must), Some(may)) => {
                let both = some(must & !may, |mask| Violation::Fixed(fixed0, mask));
                [both, None, None]
            }
            _ => nothing,
        },
        Section::Fields(_) => nothing,
    }
}

fn of_fields(caps: &Capabilities) -> [Option<Violation>; 4] {
    let [mut size, mut memory, mut targets, mut lma] = [None; 4];
    if let Some(value) = caps.value(&basic::MSR) {
        let bytes = basic::REGION_SIZE.of(value);
        size = (!matches!(bytes, 1..=4096)).then_some(Violation::RegionSize(bytes));
        let memory_type = basic::MEMORY_TYPE.of(value);
        memory = (!matches!(memory_type, 0 | 6)).then_some(Violation::MemoryType(memory_type));
    }
    if let Some(value) = caps.value(&misc::MSR) {
        let count = misc::CR3_TARGETS.of(value);
        targets = (count > misc::CR3_TARGETS_MAX).then_some(Violation::Cr3Targets(count));
        let unrestricted = caps.bit(secondary::MSR.may_set(secondary::UNRESTRICTED_GUEST));
        lma = (unrestricted && misc::STORE_LMA.of(value) == 0)
            .then_some(Violation::UnrestrictedWithoutLma);
    }
    [size, memory, targets, lma]
}

/// How many bits of a mask a line names; the mask itself is always given.
const NAMED_BITS: u8 = 8;

/// The bits of a mask: in hexadecimal, and the first of them by name.
struct Bits(&'static Msr, u64);

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(msr, mask) = *self;
        write!(f, "{mask:#x} (")?;
        let mut separator = "";
        let mut room = NAMED_BITS;
        for bit in (0..64u8).filter(|bit| mask & 1u64.wrapping_shl(u32::from(*bit)) != 0) {
            if room == 0 {
                f.write_str(", and more")?;
                break;
            }
            room = room.saturating_sub(1);
            f.write_str(separator)?;
            separator = ", ";
            match msr.controls().iter().find(|control| control.bit == bit) {
                Some(control) => f.write_str(control.name)?,
                None => write!(f, "bit {bit}")?,
            }
        }
        f.write_str(")")
    }
}

/// One line of a log.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Faulted(msr) => {
                write!(f, "{}: enumerated, but reading it faulted", msr.name)
            }
            Self::MustButMayNot(msr, mask) => {
                let bits = Bits(msr, mask);
                write!(f, "{}: must be 1 and must be 0: {bits}", msr.name)
            }
            Self::Default1Clear(msr, mask) => {
                let bits = Bits(msr, mask);
                write!(f, "{}: default1 controls may be 0: {bits}", msr.name)
            }
            Self::TrueMayDiffers(msr, mask) => {
                let bits = Bits(msr, mask);
                let name = msr.name;
                write!(
                    f,
                    "{name}: what may be 1 differs from the plain MSR: {bits}"
                )
            }
            Self::TrueMustDiffers(msr, mask) => {
                let bits = Bits(msr, mask);
                let name = msr.name;
                write!(
                    f,
                    "{name}: what must be 1 differs from the plain MSR: {bits}"
                )
            }
            Self::NotZero(msr, mask) => {
                let bits = Bits(msr, mask);
                write!(f, "{}: reserved bits are 1: {bits}", msr.name)
            }
            Self::Fixed(msr, mask) => {
                let bits = Bits(msr, mask);
                write!(f, "{}: fixed to 1 here, to 0 in FIXED1: {bits}", msr.name)
            }
            Self::RegionSize(bytes) => {
                let name = basic::MSR.name;
                write!(f, "{name}: VMCS region of {bytes} bytes, not of 1 to 4096")
            }
            Self::MemoryType(memory_type) => {
                let name = basic::MSR.name;
                write!(
                    f,
                    "{name}: VMCS memory type {memory_type}, not 0 (UC) or 6 (WB)"
                )
            }
            Self::Cr3Targets(count) => {
                let (name, max) = (misc::MSR.name, misc::CR3_TARGETS_MAX);
                write!(f, "{name}: {count} CR3-target values, more than {max}")
            }
            Self::UnrestrictedWithoutLma => {
                let (name, bit) = (misc::MSR.name, misc::STORE_LMA.low);
                write!(
                    f,
                    "{name}: bit {bit} is 0 though unrestricted guest can be set"
                )
            }
            Self::Unmet(rule) => {
                let (control, needs) = (rule.control, rule.needs);
                write!(
                    f,
                    "{}: {} can be set, but not {} ({}), without which VM entry fails",
                    control.msr.name, control.control.name, needs.control.name, needs.msr.name,
                )
            }
        }
    }
}
