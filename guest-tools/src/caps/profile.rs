// SPDX-License-Identifier: GPL-2.0
//! Lists of what a hypervisor needs: those that are built in, and TOML files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vmx_caps::tables::{
    basic, entry, ept_vpid, exit, exit2, misc, pin, primary, secondary, tertiary, vmfunc,
};

use crate::caps::known::Item;
use crate::error::{Error, Result};

/// The profiles that are built in. A test looks up every name in them.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("kvm-6.12", include_str!("../../profiles/kvm-6.12.toml")),
    ("kvm-7.3", include_str!("../../profiles/kvm-7.3.toml")),
    ("xen", include_str!("../../profiles/xen.toml")),
    ("jailhouse", include_str!("../../profiles/jailhouse.toml")),
];

/// The sections of a profile, and the number of the MSR that each is about.
const SECTIONS: [(&str, u32); 11] = [
    ("pin", pin::PLAIN.index),
    ("primary", primary::PLAIN.index),
    ("secondary", secondary::MSR.index),
    ("tertiary", tertiary::MSR.index),
    ("exit", exit::PLAIN.index),
    ("exit2", exit2::MSR.index),
    ("entry", entry::PLAIN.index),
    ("vmfunc", vmfunc::MSR.index),
    ("basic", basic::MSR.index),
    ("misc", misc::MSR.index),
    ("ept_vpid", ept_vpid::MSR.index),
];

#[derive(Deserialize)]
struct ProfileFile {
    title: Option<String>,
    #[serde(flatten)]
    sections: BTreeMap<String, Needs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Needs {
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    optional: Vec<String>,
    #[serde(default)]
    clearable: Vec<String>,
}

/// How much something is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// It has to be there.
    Required,
    /// It has to be possible to clear it.
    Clearable,
    /// It is used if it is there.
    Optional,
}

/// A list of things that are needed.
pub struct Profile {
    /// For whom.
    pub title: String,
    /// What.
    pub needs: Vec<(Need, Item)>,
    /// The CPU model of QEMU's that it is of.
    pub model: Option<&'static str>,
}

/// Reads a profile.
pub fn parse(text: &str, file: &str) -> Result<Profile> {
    let parsed: ProfileFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| {
            1 + text.get(..span.start).unwrap_or("").matches('\n').count()
        });
        Error::input(file, line, format!("not a profile: {}", error.message()))
    })?;
    let unknown = parsed
        .sections
        .keys()
        .find(|name| SECTIONS.iter().all(|(known, _)| known != name));
    if let Some(section) = unknown {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        let problem = format!(
            "there is no section {section:?}: there are {}",
            names.join(", ")
        );
        return Err(Error::input(file, line_of(text, section), problem));
    }
    let mut needs = Vec::new();
    for (section, index) in SECTIONS {
        let Some(names) = parsed.sections.get(section) else {
            continue;
        };
        for (need, names) in [
            (Need::Required, &names.required),
            (Need::Clearable, &names.clearable),
            (Need::Optional, &names.optional),
        ] {
            for name in names {
                let item = find(index, name).ok_or_else(|| {
                    let problem = format!("{name:?} is nothing that section {section} has");
                    Error::input(file, line_of(text, name), problem)
                })?;
                needs.push((need, item));
            }
        }
    }
    Ok(Profile {
        title: parsed.title.unwrap_or_else(|| file.into()),
        needs,
        model: None,
    })
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines()
        .position(|line| line.contains(part))
        .map_or(0, |place| place + 1)
}

/// By the SDM's name or Linux's macro.
fn find(index: u32, name: &str) -> Option<Item> {
    let mut items = Item::all().filter(|item| item.msr().index == index);
    items.find(|item| item.name().eq_ignore_ascii_case(name) || item.linux() == Some(name))
}
