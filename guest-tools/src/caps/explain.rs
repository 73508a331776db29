// SPDX-License-Identifier: GPL-2.0
//! The bits of a hypervisor's complaint, by name.

use serde::Serialize;
use vmx_caps::msr::{Kind, Msr};
use vmx_caps::tables::by_index;

use crate::caps::known::Item;
use crate::caps::qemu;
use crate::error::{status, Error, Result};
use crate::format::TableForm;
use crate::output::Output;

#[derive(Serialize)]
struct NamedBit {
    bit: u8,
    name: String,
    have: bool,
}

/// Prints which of the needed bits are there.
pub fn run(
    msr: &'static Msr,
    have: u64,
    need: u64,
    form: &TableForm,
    out: &mut Output<'_>,
) -> Result<u8> {
    if !matches!(msr.kind, Kind::Allowed01 { .. } | Kind::Allowed1 { .. }) {
        return Err(Error::Usage(format!(
            "{} has no controls that could be needed",
            msr.name
        )));
    }
    let bits: Vec<NamedBit> = (0..64u8)
        .filter(|bit| (need >> bit) & 1 != 0)
        .map(|bit| {
            let control = msr.controls().iter().find(|control| control.bit == bit);
            NamedBit {
                bit,
                name: control.map_or("(no name in the SDM)".into(), |control| control.name.into()),
                have: (have >> bit) & 1 != 0,
            }
        })
        .collect();
    let missing = need & !have;
    let result = if missing == 0 {
        status::OK
    } else {
        status::DIFFERS
    };
    if form.json {
        out.json(&bits)?;
        return Ok(result);
    }
    if form.csv {
        out.csv(&bits)?;
        return Ok(result);
    }
    let look = out.look;
    writeln!(
        out,
        "{}",
        look.bold(&format!("{} ({} {:#x})", msr.title, msr.name, msr.index))
    )?;
    for bit in bits.iter().filter(|bit| !bit.have) {
        let text = format!("  missing  bit {:>2}  {}", bit.bit, bit.name);
        writeln!(out, "{}", look.bad(&text))?;
    }
    for bit in bits.iter().filter(|bit| bit.have) {
        writeln!(out, "  there    bit {:>2}  {}", bit.bit, bit.name)?;
    }
    match missing {
        0 => writeln!(out, "Nothing is missing.")?,
        _ => writeln!(out, "Missing: {missing:#x} of {need:#x}.")?,
    }
    Ok(result)
}

/// A complaint in QEMU's log.
#[derive(Serialize, PartialEq)]
struct Complaint {
    msr: &'static str,
    index: String,
    bit: u8,
    name: &'static str,
    qemu: Option<String>,
    /// What this host lacks.
    lacks: &'static str,
}

/// Prints what QEMU complains of in a log, each only once.
pub fn log(text: &str, file: &str, form: &TableForm, out: &mut Output<'_>) -> Result<u8> {
    let mut all: Vec<Complaint> = Vec::new();
    for (index, bit) in text.lines().filter_map(qemu::complaint) {
        let Some(msr) = by_index(index) else { continue };
        let item = qemu::item_of(index, bit);
        let complaint = Complaint {
            msr: msr.name,
            index: format!("{index:#x}"),
            bit,
            name: item
                .as_ref()
                .map_or("(no name in the SDM)", |item| item.name()),
            qemu: item.as_ref().and_then(qemu::name),
            lacks: match &item {
                Some(item) if qemu::means_clear(item) => "it cannot be cleared",
                Some(Item::Control(..)) => "it cannot be set",
                _ => "it is not there",
            },
        };
        if !all.contains(&complaint) {
            all.push(complaint);
        }
    }
    if all.is_empty() {
        let problem = "no line of it has a complaint of QEMU's such as \
                       \"MSR(48DH).vmx-posted-intr [bit 7]\"";
        return Err(Error::input(file, 0, problem));
    }
    if form.json {
        out.json(&all)?;
    } else if form.csv {
        out.csv(&all)?;
    } else {
        for one in &all {
            let name = out.look.bold(one.name);
            let (qemu, lacks) = (one.qemu.as_deref().unwrap_or("-"), one.lacks);
            let (msr, index, bit) = (one.msr, &one.index, one.bit);
            writeln!(out, "{name} ({qemu}; {msr} {index} bit {bit}): {lacks}")?;
        }
        writeln!(
            out,
            "This host, or the KVM of the host below, does not offer these to guests."
        )?;
    }
    Ok(status::DIFFERS)
}
