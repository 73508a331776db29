// SPDX-License-Identifier: GPL-2.0
//! The capabilities of one machine, as far as they are known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vmx_caps::capabilities::{Capabilities, State};
use vmx_caps::cpuid::{Identity, Signature};
use vmx_caps::decode::{fields, Answer, Controls};
use vmx_caps::msr::{Control, Exists, Field, Kind, Msr};
use vmx_caps::tables::{Section, MSRS, SECTIONS};
use vmx_caps::verdict::Verdict;

/// Values by the MSR's number, and from where they are.
#[derive(Debug, Clone)]
pub struct Known {
    /// Where they are from.
    pub source: String,
    /// The values.
    pub caps: Capabilities,
    /// An MSR without a value does not exist; otherwise it may just not be told.
    pub complete: bool,
    /// What CPUID says, where the machine itself was asked.
    pub identity: Option<Identity>,
    /// What a reader has to know.
    pub notes: Vec<String>,
    /// What the machine's KVM makes of it, where the machine itself was asked.
    pub kvm: Option<KvmUse>,
}

/// What KVM makes of one capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The SDM's name.
    pub name: String,
    /// Whether the hardware has it; not there if nobody told.
    pub hardware: Option<bool>,
    /// KVM's parameter.
    pub parameter: String,
    /// The parameter's value; not there if this KVM has no such parameter.
    pub value: Option<String>,
    /// Whether nested hypervisors may have it; not there if KVM did not tell.
    pub nested: Option<bool>,
}

/// What KVM makes of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvmUse {
    /// Whether nested hypervisors are allowed (kvm_intel.nested).
    pub allows_nested: bool,
    /// Why KVM did not tell what it offers to those, if it did not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub untold: Option<String>,
    /// By the order of the parameters above.
    pub uses: Vec<Use>,
    /// Controls that the hardware has and nested hypervisors do not get.
    pub withheld: Vec<String>,
}

impl Use {
    /// Whether KVM uses it: a parameter that is off or 0 says no.
    pub fn is_used(&self) -> Option<bool> {
        let value = self.value.as_deref()?;
        Some(!matches!(value, "N" | "0"))
    }
}

/// What is known of an MSR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Its value.
    Value(u64),
    /// That the CPU has none.
    Absent,
    /// That it should be there, and cannot be read.
    Faulted,
    /// Nothing.
    Untold,
}

impl Known {
    /// Nothing, from a place.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            caps: Capabilities::EMPTY,
            complete: false,
            identity: None,
            notes: Vec::new(),
            kvm: None,
        }
    }

    /// Of values; those that are not there are not told.
    pub fn of_values(source: impl Into<String>, values: &BTreeMap<u32, u64>) -> Self {
        let mut known = Self::new(source);
        for (&index, &value) in values {
            known.caps.set(index, State::Present(value));
        }
        known
    }

    /// What is known of an MSR.
    pub fn fact(&self, msr: &Msr) -> Fact {
        match self.caps.state(msr) {
            State::Present(value) | State::PresentNotEnumerated(value) => Fact::Value(value),
            State::Faulted => Fact::Faulted,
            State::NotEnumerated if self.complete || self.is_ruled_out(msr) => Fact::Absent,
            State::NotEnumerated => Fact::Untold,
        }
    }

    /// Whether the values that are known say that an MSR does not exist.
    fn is_ruled_out(&self, msr: &Msr) -> bool {
        let Exists::VmxAnd(groups) = msr.exists else {
            return false;
        };
        groups.iter().any(|group| {
            group.iter().all(|bit| {
                let gate = MSRS.iter().find(|msr| msr.index == bit.msr);
                match gate.map(|gate| self.fact(gate)) {
                    Some(Fact::Value(_)) => !self.caps.bit(*bit),
                    Some(Fact::Absent) => true,
                    _ => false,
                }
            })
        })
    }

    /// Whether VMX can be used, where the machine itself was asked.
    pub fn verdict(&self) -> Option<Verdict> {
        Some(Verdict::of(&self.identity?, &self.caps))
    }

    /// Whether a control can be 1: `Err` is why there is no answer.
    pub fn can_set(&self, section: &Section, control: &Control) -> Result<bool, Fact> {
        Ok(self.answer(section, control)?.can_set)
    }

    /// Whether a control can be 0: `Err` is why there is no answer. The plain MSR says No of
    /// every control of the default1 class. Only the TRUE one knows, if there is one.
    pub fn can_clear(&self, section: &Section, control: &Control) -> Result<bool, Fact> {
        let answer = self.answer(section, control)?;
        let (plain, true_form) = match *section {
            Section::Controls { plain, true_form } => (plain, true_form),
            _ => return Ok(answer.can_clear),
        };
        let Kind::Allowed01 { default1, .. } = plain.kind else {
            return Ok(answer.can_clear);
        };
        let of_the_class = u64::from(default1) & control.mask() != 0;
        match true_form {
            Some(msr) if of_the_class && self.fact(msr) == Fact::Untold => Err(Fact::Untold),
            _ => Ok(answer.can_clear),
        }
    }

    fn answer(&self, section: &Section, control: &Control) -> Result<Answer, Fact> {
        if let Some(controls) = Controls::of(section, &self.caps) {
            return Ok(controls.allowed().answer(control.bit));
        }
        match self.fact(section.msrs().0) {
            // One half of a pair.
            Fact::Value(_) => Err(Fact::Untold),
            fact => Err(fact),
        }
    }

    /// What is known of a field.
    pub fn field(&self, msr: &'static Msr, field: &Field) -> Result<u64, Fact> {
        match self.fact(msr) {
            Fact::Value(value) => Ok(field.of(value)),
            fact => Err(fact),
        }
    }
}

/// An identity for rules about values that came without a CPU: one with VMX.
pub const SOME_VMX_CPU: Identity = Identity {
    vendor: Signature(*b"GenuineIntel"),
    vmx: true,
    smx: false,
    sgx: false,
    hypervisor: None,
};

/// Something that a CPU can be asked for by name.
#[derive(Debug, Clone, Copy)]
pub enum Item {
    /// A control, or a bit of CR0 or CR4.
    Control(&'static Section, &'static Control),
    /// A field.
    Field(&'static Msr, &'static Field),
}

impl Item {
    /// All there are, in the order in which people read them.
    pub fn all() -> impl Iterator<Item = Item> {
        SECTIONS.iter().flat_map(Self::of_section)
    }

    /// Those of a section.
    pub fn of_section(section: &'static Section) -> Vec<Item> {
        match *section {
            Section::Fields(msr) => match msr.kind {
                Kind::Fields { fields } => {
                    fields.iter().map(|field| Item::Field(msr, field)).collect()
                }
                _ => Vec::new(),
            },
            _ => {
                let controls = section.msrs().0.controls().iter();
                controls
                    .map(|control| Item::Control(section, control))
                    .collect()
            }
        }
    }

    /// The SDM's name.
    pub fn name(&self) -> &'static str {
        match self {
            Item::Control(_, control) => control.name,
            Item::Field(_, field) => field.name,
        }
    }

    /// Linux's macro.
    pub fn linux(&self) -> Option<&'static str> {
        match self {
            Item::Control(_, control) => control.linux,
            Item::Field(_, field) => field.linux,
        }
    }

    /// Its bit, or its lowest one: in the control field or register, or in the MSR.
    pub fn bit(&self) -> u8 {
        match self {
            Item::Control(_, control) => control.bit,
            Item::Field(_, field) => field.low,
        }
    }

    /// The MSR by which it is named: the plain one of a pair.
    pub fn msr(&self) -> &'static Msr {
        match self {
            Item::Control(section, _) => section.msrs().0,
            Item::Field(msr, _) => msr,
        }
    }

    /// What a machine says of it, in words that can be compared.
    pub fn said_by(&self, known: &Known) -> Result<String, Fact> {
        match *self {
            Item::Control(section, control) => {
                let answer = Answer {
                    can_set: known.can_set(section, control)?,
                    can_clear: known.can_clear(section, control)?,
                };
                Ok(answer.to_string())
            }
            Item::Field(msr, field) => {
                known.field(msr, field)?;
                let Fact::Value(value) = known.fact(msr) else {
                    return Err(Fact::Untold);
                };
                let shown = fields(msr, value).find(|shown| shown.field == field);
                let text = shown.map(|shown| shown.to_string()).unwrap_or_default();
                Ok(text
                    .strip_prefix(field.name)
                    .and_then(|t| t.strip_prefix(": "))
                    .unwrap_or(&text)
                    .into())
            }
        }
    }
}

impl Fact {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Fact::Value(_) => "there",
            Fact::Absent => "no such MSR",
            Fact::Faulted => "the MSR cannot be read",
            Fact::Untold => "not told",
        }
    }
}
