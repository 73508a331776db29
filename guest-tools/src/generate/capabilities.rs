// SPDX-License-Identifier: GPL-2.0
//! The tables of the VMX capability MSRs, as Markdown.

use std::fmt::{self, Write};

use vmx_caps::msr::{Bit, Exists, Kind, Msr};
use vmx_caps::tables::{by_index, MSRS, SECTIONS};

/// Writes all tables.
pub(super) fn write(out: &mut impl Write) -> fmt::Result {
    writeln!(out, "# The VMX capability MSRs\n")?;
    writeln!(
        out,
        "All are read-only but for IA32_FEATURE_CONTROL. A [bit] is one of the 64 of an MSR; \
         the bits of a section are those of the control field. The last column has the macro \
         in Linux's vmxfeatures.h, vmx.h or msr-index.h.\n"
    )?;
    writeln!(out, "| MSR | name | exists if | layout | SDM |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for msr in MSRS {
        let (index, name, sdm) = (msr.index, msr.name, msr.sdm);
        write!(out, "| {index:#x} | {name} | ")?;
        rule(out, msr)?;
        writeln!(out, " | {} | {sdm} |", layout(msr))?;
    }
    for section in SECTIONS {
        let (first, second) = section.msrs();
        let (title, name, index) = (first.title, first.name, first.index);
        write!(out, "\n## {title}\n\n{name} ({index:#x})")?;
        if let Some(second) = second {
            write!(out, ", {} ({:#x})", second.name, second.index)?;
        }
        writeln!(out, "; SDM {}.", first.sdm)?;
        if let Kind::Allowed01 { default1, .. } = first.kind {
            writeln!(out, "\nDefault1 class: {default1:#010x}.")?;
        }
        bits(out, first)?;
    }
    Ok(())
}

fn bits(out: &mut impl Write, msr: &Msr) -> fmt::Result {
    let fields = match msr.kind {
        Kind::Fields { fields } => fields,
        _ => &[],
    };
    writeln!(out, "\n| bit | name | Linux |\n|---|---|---|")?;
    for control in msr.controls() {
        row(out, (control.bit, control.bit), control.name, control.linux)?;
    }
    for field in fields {
        row(out, (field.high, field.low), field.name, field.linux)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, bits: (u8, u8), name: &str, linux: Option<&str>) -> fmt::Result {
    let (high, low) = bits;
    if high == low {
        write!(out, "| {low} |")?;
    } else {
        write!(out, "| {high}:{low} |")?;
    }
    match linux {
        Some(linux) => writeln!(out, " {name} | `{linux}` |"),
        None => writeln!(out, " {name} | |"),
    }
}

const fn layout(msr: &Msr) -> &'static str {
    match msr.kind {
        Kind::Allowed01 { .. } => "31:0 must be 1, 63:32 may be 1",
        Kind::Allowed1 { .. } => "63:0 may be 1",
        Kind::Fixed { .. } => "bits of a control register",
        Kind::Fields { .. } => "fields",
    }
}

fn rule(out: &mut impl Write, msr: &Msr) -> fmt::Result {
    match msr.exists {
        Exists::VmxSmxOrSgx => write!(out, "CPUID has VMX, SMX or SGX"),
        Exists::Vmx => write!(out, "CPUID has VMX"),
        Exists::VmxAnd(groups) => {
            for (position, group) in groups.iter().enumerate() {
                if position > 0 {
                    write!(out, " and ")?;
                }
                alternatives(out, group)?;
            }
            Ok(())
        }
    }
}

fn alternatives(out: &mut impl Write, group: &[Bit]) -> fmt::Result {
    let (open, close) = if group.len() > 1 {
        ("(", ")")
    } else {
        ("", "")
    };
    write!(out, "{open}")?;
    for (position, bit) in group.iter().enumerate() {
        if position > 0 {
            write!(out, " or ")?;
        }
        let name = by_index(bit.msr).map_or("?", |msr| msr.name);
        write!(out, "{name}[{}]", bit.bit)?;
    }
    write!(out, "{close}")
}
