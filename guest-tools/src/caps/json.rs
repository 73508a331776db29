// SPDX-License-Identifier: GPL-2.0
//! Capabilities as JSON: for other programs, and to be read again.

use serde::{Deserialize, Serialize};
use vmx_caps::audit::audit;
use vmx_caps::decode::{Controls, RawLine};
use vmx_caps::tables::{Section, MSRS, SECTIONS};

use crate::caps::known::{Fact, Item, Known, KvmUse};
use crate::error::{Error, Result};

/// What [`Caps::format`] holds.
pub const FORMAT: &str = "vmxscope-caps-1";

/// A machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Caps {
    format: String,
    source: String,
    /// An MSR that is not listed does not exist.
    complete: bool,
    msrs: Vec<Value>,
    #[serde(default)]
    sections: Vec<Group>,
    #[serde(default)]
    audit: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kvm: Option<KvmUse>,
}

/// An MSR. Numbers are text, for many programs cut integers of 64 bits.
#[derive(Debug, Serialize, Deserialize)]
struct Value {
    index: String,
    #[serde(default)]
    name: String,
    /// The value, or why there is none, as the module logs it.
    state: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Group {
    title: String,
    msr: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    controls: Vec<ControlOut>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldOut>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ControlOut {
    bit: u8,
    name: String,
    can_set: bool,
    can_clear: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct FieldOut {
    low: u8,
    high: u8,
    name: String,
    value: u64,
    shown: String,
}

impl Caps {
    /// All that is known.
    pub fn of(known: &Known) -> Self {
        let value = |(msr, state)| {
            let raw: RawLine = RawLine(msr, state);
            let words = raw.to_string();
            let state = words.splitn(4, ' ').last().unwrap_or_default();
            Value {
                index: format!("{:#x}", msr.index),
                name: msr.name.into(),
                state: state.into(),
            }
        };
        let told = known
            .caps
            .iter()
            .filter(|(msr, _)| known.complete || known.fact(msr) != Fact::Untold);
        Self {
            format: FORMAT.into(),
            source: known.source.clone(),
            complete: known.complete,
            msrs: told.map(value).collect(),
            sections: SECTIONS
                .iter()
                .filter_map(|section| group(known, section))
                .collect(),
            audit: audit(&known.caps)
                .map(|violation| violation.to_string())
                .collect(),
            verdict: known.verdict().map(|verdict| verdict.to_string()),
            notes: known.notes.clone(),
            kvm: known.kvm.clone(),
        }
    }
}

fn group(known: &Known, section: &'static Section) -> Option<Group> {
    let mut group = Group {
        title: section.msrs().0.title.into(),
        msr: section.msrs().0.name.into(),
        controls: Vec::new(),
        fields: Vec::new(),
    };
    if let Some(controls) = Controls::of(section, &known.caps) {
        group.msr = controls.source.name.into();
        group
            .controls
            .extend(controls.iter().map(|decoded| ControlOut {
                bit: decoded.bit,
                name: decoded.control.map_or_else(
                    || format!("unknown bit {}", decoded.bit),
                    |control| control.name.into(),
                ),
                can_set: decoded.answer.can_set,
                can_clear: decoded.answer.can_clear,
            }));
    }
    for item in Item::of_section(section) {
        let Item::Field(msr, field) = item else {
            continue;
        };
        let Ok(value) = known.field(msr, field) else {
            continue;
        };
        group.fields.push(FieldOut {
            low: field.low,
            high: field.high,
            name: field.name.into(),
            value,
            shown: item.said_by(known).unwrap_or_default(),
        });
    }
    (!group.controls.is_empty() || !group.fields.is_empty()).then_some(group)
}

/// Reads what [`Caps`] printed: the values count, the rest follows from them.
pub fn parse(text: &str, file: &str) -> Result<Known> {
    let caps: Caps = serde_json::from_str(text).map_err(|error| {
        Error::input(
            file,
            error.line(),
            format!("not saved capabilities: {error}"),
        )
    })?;
    if caps.format != FORMAT {
        let problem = format!(
            "its format is {:?}, and this vmxscope reads {FORMAT:?}",
            caps.format
        );
        return Err(Error::input(file, 0, problem));
    }
    let mut known = Known::new(file);
    known.complete = caps.complete;
    known.notes = caps.notes;
    known.kvm = caps.kvm;
    for value in &caps.msrs {
        let problem = |what: &str| Error::input(file, 0, format!("msrs: {what}: {value:?}"));
        let index = crate::values::number(&value.index).map_err(|_| problem("no number"))?;
        if !MSRS.iter().any(|msr| msr.index == index) {
            return Err(problem("no VMX capability MSR"));
        }
        let state = value.state.parse().map_err(|_| problem("no value"))?;
        known.caps.set(index, state);
    }
    Ok(known)
}
