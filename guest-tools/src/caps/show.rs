// SPDX-License-Identifier: GPL-2.0
//! One machine's capabilities, in all forms.

use std::io;

use serde::Serialize;
use vmx_caps::audit::audit;
use vmx_caps::decode::{unnamed_bits, yes_no, Controls, Decoded};
use vmx_caps::tables::{Section, SECTIONS};

use crate::caps::json::Caps;
use crate::caps::known::{Fact, Item, Known};
use crate::caps::kvm;
use crate::error::Result;
use crate::format::Form;
use crate::output::Output;
use crate::prometheus::Metrics;

/// Prints it.
pub fn show(known: &Known, form: &Form, out: &mut Output<'_>) -> Result<()> {
    if form.json {
        return out.json(&Caps::of(known));
    }
    if form.csv {
        return out.csv(lines(known));
    }
    if form.prometheus {
        return prometheus(known, out);
    }
    let mut untold = Vec::new();
    for section in SECTIONS {
        match known.fact(section.msrs().0) {
            Fact::Untold if Controls::of(section, &known.caps).is_none() => {
                untold.push(section.msrs().0.name);
            }
            fact => of_section(known, section, fact, out)?,
        }
    }
    let look = out.look;
    if !untold.is_empty() {
        let text = format!("Not told by {}: {}", known.source, untold.join(", "));
        writeln!(out, "{}", look.dim(&text))?;
    }
    for violation in audit(&known.caps) {
        writeln!(out, "{}", look.bad(&format!("contradiction: {violation}")))?;
    }
    if let Some(verdict) = known.verdict() {
        writeln!(out, "{}", look.bold(&verdict.to_string()))?;
    }
    if let Some(kvm) = &known.kvm {
        kvm::show(kvm, out)?;
    }
    Ok(())
}

fn of_section(
    known: &Known,
    section: &'static Section,
    fact: Fact,
    out: &mut Output<'_>,
) -> Result<()> {
    let look = out.look;
    let controls = Controls::of(section, &known.caps);
    let msr = controls.map_or(section.msrs().0, |controls| controls.source);
    let value = match known.fact(msr) {
        Fact::Value(value) => format!("{value:#x}"),
        _ => fact.words().into(),
    };
    let head = format!("{} ({} {:#x}): {value}", msr.title, msr.name, msr.index);
    writeln!(out, "{}", look.bold(&head))?;
    if let Some(controls) = controls {
        let width = controls
            .iter()
            .map(|decoded| name(&decoded).chars().count())
            .max()
            .unwrap_or(0);
        writeln!(
            out,
            "{}",
            look.dim(&format!("  bit  {:width$}  can set  can clear", ""))
        )?;
        for decoded in controls.iter() {
            let (set, clear) = (
                yes_no(decoded.answer.can_set),
                yes_no(decoded.answer.can_clear),
            );
            let note = match decoded.plain {
                Some(plain) if plain.can_clear != decoded.answer.can_clear => {
                    format!("  (the plain MSR: {})", yes_no(plain.can_clear))
                }
                _ => String::new(),
            };
            let line = format!(
                "  {:>3}  {:width$}  {set:<7}  {clear}{note}",
                decoded.bit,
                name(&decoded)
            );
            let usable = decoded.answer.can_set;
            writeln!(out, "{}", if usable { line } else { look.dim(&line) })?;
        }
    }
    for item in Item::of_section(section) {
        let (Item::Field(_, field), Ok(said)) = (item, item.said_by(known)) else {
            continue;
        };
        let bits = if field.low == field.high {
            field.low.to_string()
        } else {
            format!("{}:{}", field.high, field.low)
        };
        writeln!(out, "  {bits:>5}  {}: {said}", field.name)?;
    }
    if let (Section::Fields(msr), Fact::Value(value)) = (section, known.fact(msr)) {
        for bit in unnamed_bits(msr, value) {
            writeln!(out, "  {bit:>5}  unknown bit: Yes")?;
        }
    }
    writeln!(out)
}

fn name(decoded: &Decoded) -> String {
    decoded
        .control
        .map_or_else(|| "unknown bit".into(), |control| control.name.to_string())
}

#[derive(Serialize)]
struct BitRow {
    msr: String,
    msr_name: &'static str,
    low: u8,
    high: u8,
    name: String,
    can_set: Option<bool>,
    can_clear: Option<bool>,
    value: Option<u64>,
}

fn lines(known: &Known) -> Vec<BitRow> {
    let mut lines = Vec::new();
    for section in SECTIONS {
        if let Some(controls) = Controls::of(section, &known.caps) {
            lines.extend(controls.iter().map(|decoded| BitRow {
                msr: format!("{:#x}", controls.source.index),
                msr_name: controls.source.name,
                low: decoded.bit,
                high: decoded.bit,
                name: name(&decoded),
                can_set: Some(decoded.answer.can_set),
                can_clear: Some(decoded.answer.can_clear),
                value: None,
            }));
        }
        for item in Item::of_section(section) {
            let Item::Field(msr, field) = item else {
                continue;
            };
            let Ok(value) = known.field(msr, field) else {
                continue;
            };
            lines.push(BitRow {
                msr: format!("{:#x}", msr.index),
                msr_name: msr.name,
                low: field.low,
                high: field.high,
                name: field.name.into(),
                can_set: None,
                can_clear: None,
                value: Some(value),
            });
        }
    }
    lines
}

fn prometheus(known: &Known, out: &mut Output<'_>) -> Result<()> {
    let result = metrics(&lines(known), &mut Metrics::new(out.to));
    out.told(result)
}

fn metrics(lines: &[BitRow], metrics: &mut Metrics<'_>) -> io::Result<()> {
    metrics.begin(
        "vmxscope_vmx_control",
        "gauge",
        "Whether a VMX control can have a setting.",
    )?;
    for line in lines {
        let bit = line.low.to_string();
        let labels = [("msr", line.msr_name), ("bit", &bit), ("name", &line.name)];
        for (setting, can) in [("1", line.can_set), ("0", line.can_clear)] {
            let Some(can) = can else { continue };
            let labels = [&labels[..], &[("setting", setting)]].concat();
            metrics.sample(&labels, &u8::from(can).to_string())?;
        }
    }
    metrics.begin(
        "vmxscope_vmx_field",
        "gauge",
        "A field of a VMX capability MSR.",
    )?;
    for line in lines {
        let Some(value) = line.value else { continue };
        let bit = line.low.to_string();
        let labels = [("msr", line.msr_name), ("bit", &bit), ("name", &line.name)];
        metrics.sample(&labels, &value.to_string())?;
    }
    Ok(())
}
