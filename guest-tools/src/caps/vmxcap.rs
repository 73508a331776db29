// SPDX-License-Identifier: GPL-2.0
//! The output of QEMU's scripts/kvm/vmxcap.
//!
//! It prints words, not values, for controls: `no`, `yes`, `forced` (must be 1), and
//! `default` (may be 0, but only by the TRUE MSR). Some of its names are its own.

use vmx_caps::capabilities::State;
use vmx_caps::msr::{Control, Kind, Msr};
use vmx_caps::tables::{
    basic, entry, ept_vpid, exit, misc, pin, primary, secondary, tertiary, vmfunc,
};

use crate::caps::known::Known;
use crate::error::{Error, Result};

/// A heading of vmxcap's: the plain MSR, and the TRUE one.
fn heading(line: &str) -> Option<(&'static Msr, Option<&'static Msr>)> {
    Some(match line.trim_end() {
        "Basic VMX Information" => (&basic::MSR, None),
        "pin-based controls" => (&pin::PLAIN, Some(&pin::TRUE)),
        "primary processor-based controls" => (&primary::PLAIN, Some(&primary::TRUE)),
        "secondary processor-based controls" => (&secondary::MSR, None),
        "tertiary processor-based controls" => (&tertiary::MSR, None),
        "VM-Exit controls" => (&exit::PLAIN, Some(&exit::TRUE)),
        "VM-Entry controls" => (&entry::PLAIN, Some(&entry::TRUE)),
        "Miscellaneous data" => (&misc::MSR, None),
        "VPID and EPT capabilities" => (&ept_vpid::MSR, None),
        "VM Functions" => (&vmfunc::MSR, None),
        _ => return None,
    })
}

/// Where vmxcap's name is not the SDM's with other hyphens.
const OTHER_NAMES: [(&str, Control); 14] = [
    ("Activate secondary control", primary::SECONDARY_CONTROLS),
    (
        "APIC register emulation",
        secondary::APIC_REGISTER_VIRTUALIZATION,
    ),
    (
        "Conceal non-root operation from PT",
        secondary::CONCEAL_VMX_FROM_PT,
    ),
    (
        "Mode-based execute control (XS/XU)",
        secondary::MODE_BASED_EXECUTE,
    ),
    ("Sub-page write permissions", secondary::SUB_PAGE_WRITE),
    ("GPA translation for PT", secondary::PT_GUEST_PHYSICAL),
    ("TSC scaling", secondary::TSC_SCALING),
    ("TSC offsetting", primary::TSC_OFFSETTING),
    ("User wait and pause", secondary::USER_WAIT_AND_PAUSE),
    ("ENCLV exiting", secondary::ENCLV_EXITING),
    ("ENCLS exiting", secondary::ENCLS_EXITING),
    ("Enable IPI virtualization", tertiary::IPI_VIRTUALIZATION),
    ("Conceal VM exits from PT", exit::CONCEAL_VMX_FROM_PT),
    ("Conceal VM entries from PT", entry::CONCEAL_VMX_FROM_PT),
];

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .collect::<String>()
        .to_lowercase()
}

fn control(msr: &Msr, name: &str) -> Option<&'static Control> {
    let other = OTHER_NAMES
        .iter()
        .find(|(other, _)| plain(other) == plain(name));
    let name = other.map_or(name, |(_, control)| control.name);
    msr.controls()
        .iter()
        .find(|control| plain(control.name) == plain(name))
}

#[derive(Default, Clone, Copy)]
struct Halves {
    must: u64,
    may: u64,
    /// Must be 1 by the plain MSR only.
    default: u64,
}

/// Reads the output; `None` if the text is something else.
pub fn parse(text: &str, file: &str) -> Result<Option<Known>> {
    let headings = text.lines().filter(|line| heading(line).is_some()).count();
    let words = |line: &str| {
        ["yes", "no", "forced", "default"]
            .iter()
            .any(|word| line.ends_with(word))
    };
    if headings == 0
        || !text
            .lines()
            .any(|line| line.starts_with("  ") && words(line.trim_end()))
    {
        return Ok(None);
    }
    let mut known = Known::new(file);
    let mut section: Option<(&Msr, Option<&Msr>, Halves)> = None;
    for (number, line) in text.lines().enumerate() {
        if let Some((msr, true_msr)) = heading(line) {
            finish(&mut known, section.take());
            section = Some((msr, true_msr, Halves::default()));
            continue;
        }
        let Some((msr, _, halves)) = &mut section else {
            continue;
        };
        let error = |problem| Error::input(file, number + 1, problem);
        if let Some(value) = line.trim().strip_prefix("Hex: 0x") {
            let value = u64::from_str_radix(value, 16)
                .map_err(|_| error(format!("no hexadecimal number of 64 bits: {value:?}")))?;
            known.caps.set(msr.index, State::Present(value));
        } else if matches!(msr.kind, Kind::Allowed01 { .. } | Kind::Allowed1 { .. })
            && line.starts_with("  ")
            && msr.index != vmfunc::MSR.index
        {
            of_line(&mut known, msr, halves, line.trim()).map_err(error)?;
        }
    }
    finish(&mut known, section);
    known.notes.push(
        "vmxcap prints no values of control MSRs: they were put together from its words, without \
         the bits that it does not name"
            .into(),
    );
    Ok(Some(known))
}

fn of_line(
    known: &mut Known,
    msr: &Msr,
    halves: &mut Halves,
    line: &str,
) -> std::result::Result<(), String> {
    let Some((name, word)) = line.rsplit_once(' ') else {
        return Ok(());
    };
    let name = name.trim();
    let Some(control) = control(msr, name) else {
        known
            .notes
            .push(format!("{}: vmxcap's {name:?} has no match", msr.name));
        return Ok(());
    };
    let mask = control.mask();
    match word {
        "no" => (),
        "yes" => halves.may |= mask,
        "forced" => {
            halves.may |= mask;
            halves.must |= mask;
        }
        "default" => {
            halves.may |= mask;
            halves.default |= mask;
        }
        _ => return Err(format!("neither yes, no, forced nor default: {word:?}")),
    }
    Ok(())
}

fn finish(known: &mut Known, section: Option<(&Msr, Option<&Msr>, Halves)>) {
    let Some((msr, true_msr, Halves { must, may, default })) = section else {
        return;
    };
    // An MSR that vmxcap could not read is printed as all "no".
    if may == 0 {
        return;
    }
    match msr.kind {
        Kind::Allowed01 { default1, .. } => {
            // The reserved bits of the default1 class are as they always are.
            let reserved = u64::from(default1) & !msr.named();
            let value = |must: u64| State::Present(((may | reserved) << 32) | must | reserved);
            known.caps.set(msr.index, value(must | default));
            if let Some(true_msr) = true_msr.filter(|_| default1 != 0) {
                known.caps.set(true_msr.index, value(must));
            }
        }
        Kind::Allowed1 { .. } => {
            known.caps.set(msr.index, State::Present(may));
        }
        Kind::Fixed { .. } | Kind::Fields { .. } => (),
    }
}
