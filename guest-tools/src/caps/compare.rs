// SPDX-License-Identifier: GPL-2.0
//! Several machines: what differs, and what all have.

use serde::Serialize;
use vmx_caps::capabilities::State;
use vmx_caps::msr::{Field, Kind, Shown};
use vmx_caps::tables::MSRS;

use crate::caps::known::{Fact, Item, Known};
use crate::caps::show;
use crate::error::{status, Result};
use crate::format::{Form, TableForm};
use crate::output::Output;

#[derive(Serialize)]
struct Difference {
    msr: &'static str,
    name: &'static str,
    a: String,
    b: String,
}

fn said(item: &Item, known: &Known) -> String {
    item.said_by(known)
        .unwrap_or_else(|fact| fact.words().into())
}

/// Prints in what two machines differ; the status tells whether they do.
pub fn diff(a: &Known, b: &Known, form: &TableForm, out: &mut Output<'_>) -> Result<u8> {
    let mut differences = Vec::new();
    for item in Item::all() {
        let (here, there) = (item.said_by(a), item.said_by(b));
        // What one of them does not tell is no difference.
        if here == there
            || [&here, &there]
                .into_iter()
                .any(|said| *said == Err(Fact::Untold))
        {
            continue;
        }
        differences.push(Difference {
            msr: item.msr().name,
            name: item.name(),
            a: said(&item, a),
            b: said(&item, b),
        });
    }
    let result = if differences.is_empty() {
        status::OK
    } else {
        status::DIFFERS
    };
    if form.json {
        out.json(&differences)?;
    } else if form.csv {
        out.csv(&differences)?;
    } else {
        text(a, b, &differences, out)?;
    }
    Ok(result)
}

fn text(a: &Known, b: &Known, differences: &[Difference], out: &mut Output<'_>) -> Result<()> {
    let look = out.look;
    writeln!(out, "- {}\n+ {}", a.source, b.source)?;
    let mut heading = "";
    for difference in differences {
        if difference.msr != heading {
            heading = difference.msr;
            writeln!(out, "{}", look.bold(heading))?;
        }
        writeln!(out, "  {}", difference.name)?;
        writeln!(out, "{}", look.bad(&format!("  - {}", difference.a)))?;
        writeln!(out, "{}", look.good(&format!("  + {}", difference.b)))?;
    }
    let untold = Item::all().filter(|item| {
        [a, b]
            .into_iter()
            .any(|known| item.said_by(known) == Err(Fact::Untold))
    });
    let (count, untold) = (differences.len(), untold.count());
    let plural = if count == 1 { "" } else { "s" };
    writeln!(out, "{count} difference{plural}.")?;
    if untold != 0 {
        writeln!(
            out,
            "{untold} controls and fields were not compared: one of the two does not tell them."
        )?;
    }
    Ok(())
}

/// The machine that all of these can stand in for: what it can set, all can, and
/// what one has to set, it has to.
pub fn pool(machines: &[Known]) -> Known {
    let names: Vec<&str> = machines.iter().map(|known| known.source.as_str()).collect();
    let mut common = Known::new(names.join(" and "));
    common.complete = machines.iter().all(|known| known.complete);
    for msr in MSRS {
        let values: Option<Vec<u64>> = machines
            .iter()
            .map(|known| match known.fact(msr) {
                Fact::Value(value) => Some(value),
                _ => None,
            })
            .collect();
        let Some(values) = values else { continue };
        let all = values.iter().fold(u64::MAX, |all, value| all & value);
        let any = values.iter().fold(0, |any, value| any | value);
        let value = match &msr.kind {
            Kind::Allowed01 { .. } => (all >> 32 << 32) | any & 0xffff_ffff,
            Kind::Allowed1 { .. } => all,
            // FIXED0 says what must be 1.
            Kind::Fixed { .. } if is_fixed0(msr.index) => any,
            Kind::Fixed { .. } => all,
            Kind::Fields { fields } => fields.iter().fold(0, |sum, field| {
                sum | (in_common(field, &values, &mut common.notes, msr.name) << field.low)
            }),
        };
        common.caps.set(msr.index, State::Present(value));
    }
    common
}

fn is_fixed0(index: u32) -> bool {
    use vmx_caps::tables::cr_fixed::{cr0, cr4};
    [cr0::FIXED0.index, cr4::FIXED0.index].contains(&index)
}

fn in_common(field: &Field, values: &[u64], notes: &mut Vec<String>, msr: &str) -> u64 {
    let values = || values.iter().map(|value| field.of(*value));
    let least = values().min().unwrap_or(0);
    let same = values().all(|value| value == least);
    match field.shown {
        Shown::Flag | Shown::Number | Shown::MsrListLimit => least,
        Shown::Bytes => values().max().unwrap_or(0),
        Shown::Hex | Shown::MemoryType | Shown::TimerRate => {
            if !same {
                notes.push(format!(
                    "{msr}: {} is not the same everywhere; the least is given",
                    field.name
                ));
            }
            least
        }
    }
}

/// Prints what all machines have, and who lacks what others have.
pub fn common(machines: &[Known], form: &Form, out: &mut Output<'_>) -> Result<()> {
    let pool = pool(machines);
    show::show(&pool, form, out)?;
    if form.json || form.csv || form.prometheus {
        return Ok(());
    }
    let look = out.look;
    writeln!(out, "{}", look.bold("Not in common"))?;
    let mut none = true;
    for item in Item::all() {
        let lacking: Vec<&str> = machines
            .iter()
            .filter(|known| has(&item, known) == Some(false))
            .map(|known| known.source.as_str())
            .collect();
        if !lacking.is_empty() && machines.iter().any(|known| has(&item, known) == Some(true)) {
            none = false;
            writeln!(
                out,
                "  {} ({}): not on {}",
                item.name(),
                item.msr().name,
                lacking.join(", ")
            )?;
        }
    }
    if none {
        writeln!(out, "  nothing: what one has, all have")?;
    }
    Ok(())
}

/// Whether a machine has something; numbers are not had.
fn has(item: &Item, known: &Known) -> Option<bool> {
    match *item {
        Item::Control(section, control) => match known.can_set(section, control) {
            Ok(answer) => Some(answer),
            Err(Fact::Untold) => None,
            Err(_) => Some(false),
        },
        Item::Field(msr, field) if matches!(field.shown, Shown::Flag) => {
            match known.field(msr, field) {
                Ok(value) => Some(value != 0),
                Err(Fact::Untold) => None,
                Err(_) => Some(false),
            }
        }
        Item::Field(..) => None,
    }
}

/// Whether a machine has what a profile asks for; see [`has`].
pub fn can_set(item: &Item, known: &Known) -> std::result::Result<bool, Fact> {
    match *item {
        Item::Control(section, control) => known.can_set(section, control),
        Item::Field(msr, field) => known.field(msr, field).map(|value| value != 0),
    }
}

/// Whether a control can be 0 there.
pub fn can_clear(item: &Item, known: &Known) -> std::result::Result<bool, Fact> {
    match *item {
        Item::Control(section, control) => known.can_clear(section, control),
        Item::Field(msr, field) => known.field(msr, field).map(|value| value == 0),
    }
}
