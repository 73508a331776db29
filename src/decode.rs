// SPDX-License-Identifier: GPL-2.0
//! From values to answers: may this control be 1, may it be 0, and what does
//! that field say?

use core::fmt;

use crate::capabilities::{Capabilities, State};
use crate::msr::{Control, Field, Kind, Msr, Shown};
use crate::tables::Section;

/// Whether software may set a control to 1 and clear it to 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// It may be 1.
    pub can_set: bool,
    /// It may be 0.
    pub can_clear: bool,
}

/// Yes or No.
pub const fn yes_no(yes: bool) -> &'static str {
    if yes {
        "Yes"
    } else {
        "No"
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, clear) = (yes_no(self.can_set), yes_no(self.can_clear));
        write!(f, "Can set={set}, Can clear={clear}")
    }
}

/// The constraint on all the bits of one control field or control register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// A bit that is 1 here must be 1.
    pub must_be_1: u64,
    /// A bit that is 0 here must be 0.
    pub may_be_1: u64,
}

impl Allowed {
    /// What the value of a control MSR allows; nothing for fields and for one
    /// half of a FIXED0 and FIXED1 pair.
    pub const fn of(msr: &Msr, value: u64) -> Option<Self> {
        match msr.kind {
            Kind::Allowed01 { .. } => Some(Self {
                must_be_1: value & 0xffff_ffff,
                may_be_1: value >> 32,
            }),
            Kind::Allowed1 { .. } => Some(Self {
                must_be_1: 0,
                may_be_1: value,
            }),
            Kind::Fixed { .. } | Kind::Fields { .. } => None,
        }
    }

    /// The answer for one bit.
    pub const fn answer(&self, bit: u8) -> Answer {
        let mask = 1u64.wrapping_shl(bit as u32);
        Answer {
            can_set: self.may_be_1 & mask != 0,
            can_clear: self.must_be_1 & mask == 0,
        }
    }
}

/// A control, or a bit without a name, with what the CPU allows for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// The bit in the control field.
    pub bit: u8,
    /// The table's row; none for a bit that the table does not know, and that
    /// yet can be set or must be 1.
    pub control: Option<&'static Control>,
    /// The answer of the MSR that counts.
    pub answer: Answer,
    /// The answer of the plain MSR, where the TRUE one counts and differs.
    pub plain: Option<Answer>,
}

/// One line of a log, without the indent.
impl fmt::Display for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.control {
            Some(control) => f.write_str(control.name)?,
            None => write!(f, "unknown bit {}", self.bit)?,
        }
        write!(f, ": {}", self.answer)?;
        match self.plain {
            Some(plain) if plain.can_set == self.answer.can_set => {
                write!(f, " (plain MSR: Can clear={})", yes_no(plain.can_clear))
            }
            Some(plain) => write!(f, " (plain MSR: {plain})"),
            None => Ok(()),
        }
    }
}

/// The controls of one section on one CPU.
#[derive(Debug, Clone, Copy)]
pub struct Controls {
    /// The MSR whose answers count; FIXED0 of a pair.
    pub source: &'static Msr,
    allowed: Allowed,
    plain: Option<Allowed>,
}

impl Controls {
    /// Takes the TRUE MSR where it was read, the plain one otherwise. `None`
    /// where neither has a value, and for a section of fields.
    pub fn of(section: &Section, caps: &Capabilities) -> Option<Self> {
        match *section {
            Section::Controls { plain, true_form } => {
                let read = |msr: &'static Msr| {
                    let allowed = Allowed::of(msr, caps.state(msr).raw()?)?;
                    Some((msr, allowed))
                };
                let by_rule = true_form.filter(|msr| caps.value(msr).is_some());
                let plain = read(plain);
                let (source, allowed) = by_rule.and_then(read).or(plain)?;
                Some(Self {
                    source,
                    allowed,
                    plain: plain.map(|(_, allowed)| allowed),
                })
            }
            Section::Fixed { fixed0, fixed1 } => Some(Self {
                source: fixed0,
                allowed: Allowed {
                    must_be_1: caps.value(fixed0)?,
                    may_be_1: caps.value(fixed1)?,
                },
                plain: None,
            }),
            Section::Fields(_) => None,
        }
    }

    /// What the CPU allows, as masks.
    pub const fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// Every named control, then every bit that is settable or fixed to 1
    /// without having a name. Reserved bits of the default1 class that must
    /// be 1, as the SDM says they do, are not repeated here; nor are the
    /// [`ignored`](Self::ignored) bits of CR0.
    pub fn iter(&self) -> impl Iterator<Item = Decoded> + '_ {
        let unknown = self.unknown();
        let named = self.source.controls().iter();
        named
            .map(|control| self.decode(control.bit, Some(control)))
            .chain(
                (0..64u8)
                    .filter(move |bit| unknown & 1u64.wrapping_shl(u32::from(*bit)) != 0)
                    .map(|bit| self.decode(bit, None)),
            )
    }

    fn decode(&self, bit: u8, control: Option<&'static Control>) -> Decoded {
        let answer = self.allowed.answer(bit);
        Decoded {
            bit,
            control,
            answer,
            plain: self
                .plain
                .map(|plain| plain.answer(bit))
                .filter(|plain| *plain != answer),
        }
    }

    fn unknown(&self) -> u64 {
        let Allowed {
            must_be_1,
            may_be_1,
        } = self.allowed;
        let expected = match self.source.kind {
            Kind::Allowed01 { default1, .. } => u64::from(default1) & must_be_1 & may_be_1,
            _ => self.ignored(),
        };
        (must_be_1 | may_be_1) & !self.source.named() & !expected
    }

    /// Reserved bits of CR0 that read as settable because writes to them are
    /// ignored.
    pub fn ignored(&self) -> u64 {
        match self.source.kind {
            Kind::Fixed { ignored, .. } => {
                ignored & self.allowed.may_be_1 & !self.allowed.must_be_1
            }
            _ => 0,
        }
    }
}

/// A field and its value, shifted down to bit 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldValue {
    /// The table's row.
    pub field: &'static Field,
    /// The value.
    pub value: u64,
}

/// The fields of an MSR, in ascending order; none if it is of controls.
pub fn fields(msr: &'static Msr, value: u64) -> impl Iterator<Item = FieldValue> {
    let fields = match msr.kind {
        Kind::Fields { fields } => fields,
        _ => &[],
    };
    fields.iter().map(move |field| FieldValue {
        field,
        value: field.of(value),
    })
}

/// The bits that are 1 in a value of fields and have no name.
pub fn unnamed_bits(msr: &Msr, value: u64) -> impl Iterator<Item = u8> {
    let unnamed = value & !msr.named();
    (0..64u8).filter(move |bit| unnamed & 1u64.wrapping_shl(u32::from(*bit)) != 0)
}

/// One line of a log, without the indent.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        write!(f, "{}: ", self.field.name)?;
        match self.field.shown {
            Shown::Flag => f.write_str(yes_no(value != 0)),
            Shown::Number => write!(f, "{value}"),
            Shown::Hex => write!(f, "{value:#x}"),
            Shown::Bytes => write!(f, "{value} bytes"),
            Shown::MemoryType => match value {
                0 => f.write_str("0, uncacheable (UC)"),
                6 => f.write_str("6, write-back (WB)"),
                _ => write!(f, "{value}, reserved"),
            },
            Shown::TimerRate => write!(f, "{value}, counts at TSC / 2^{value}"),
            Shown::MsrListLimit => {
                write!(f, "{}", value.saturating_add(1).saturating_mul(512))
            }
        }
    }
}

/// The raw line of an MSR: `msr 0x480 IA32_VMX_BASIC 0xda040000000004`.
#[derive(Debug, Clone, Copy)]
pub struct RawLine(pub &'static Msr, pub State);

impl fmt::Display for RawLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(msr, state) = self;
        write!(f, "msr {:#x} {} {state}", msr.index, msr.name)
    }
}
