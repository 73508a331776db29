// SPDX-License-Identifier: GPL-2.0
//! The bits of a hypervisor's complaint, by name.

use serde::Serialize;
use vmx_caps::msr::{Kind, Msr};

use crate::args::TableForm;
use crate::error::{status, Error, Result};
use crate::output::Output;

#[derive(Serialize)]
struct Bit {
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
    let bits: Vec<Bit> = (0..64u8)
        .filter(|bit| need >> bit & 1 != 0)
        .map(|bit| {
            let control = msr.controls().iter().find(|control| control.bit == bit);
            Bit {
                bit,
                name: control.map_or("(no name in the SDM)".into(), |control| control.name.into()),
                have: have >> bit & 1 != 0,
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
