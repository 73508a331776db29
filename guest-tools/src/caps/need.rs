// SPDX-License-Identifier: GPL-2.0
//! What a hypervisor needs, and what of it is missing, by name.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vmx_caps::tables::{
    basic, entry, ept_vpid, exit, exit2, misc, pin, primary, secondary, tertiary, vmfunc,
};

use crate::args::Form;
use crate::caps::compare::{can_clear, can_set};
use crate::caps::known::{Fact, Item, Known};
use crate::error::{status, Error, Result};
use crate::exits::read;
use crate::format;
use crate::output::Output;

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
struct File {
    title: Option<String>,
    #[serde(flatten)]
    sections: BTreeMap<String, Names>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
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
}

/// The profile of this name, or in this file.
pub fn profile(name: &str) -> Result<Profile> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return parse(text, name);
    }
    let is_file = name.contains('/') || name.ends_with(".toml") || name == "-";
    if !is_file && !Path::new(name).exists() {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        return Err(Error::Usage(format!(
            "no profile is called {name:?}: there are {}, and TOML files of your own",
            names.join(", ")
        )));
    }
    parse(&read(Path::new(name))?, name)
}

/// Reads a profile.
pub fn parse(text: &str, file: &str) -> Result<Profile> {
    let parsed: File = toml::from_str(text).map_err(|error| {
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

#[derive(Serialize)]
struct Line {
    need: Need,
    msr: &'static str,
    name: &'static str,
    there: bool,
    why: &'static str,
}

fn line(need: Need, item: &Item, known: &Known) -> Line {
    let answer = match need {
        Need::Clearable => can_clear(item, known),
        Need::Required | Need::Optional => can_set(item, known),
    };
    Line {
        need,
        msr: item.msr().name,
        name: item.name(),
        there: answer == Ok(true),
        why: match (answer, need) {
            (Ok(true), _) => "",
            (Ok(false), Need::Clearable) => "it cannot be cleared",
            (Ok(false), _) => "it cannot be set",
            (Err(fact), _) => fact.words(),
        },
    }
}

/// Prints what of a profile is missing; the status tells whether anything is that
/// is required.
pub fn run(profile: &Profile, known: &Known, form: &Form, out: &mut Output<'_>) -> Result<u8> {
    let lines: Vec<Line> = profile
        .needs
        .iter()
        .map(|(need, item)| line(*need, item, known))
        .collect();
    let missing = |need| {
        lines
            .iter()
            .filter(move |line| line.need == need && !line.there)
    };
    let vital = missing(Need::Required).count() + missing(Need::Clearable).count();
    let result = if vital == 0 {
        status::OK
    } else {
        status::DIFFERS
    };
    format::no_metrics(form, "a hypervisor's needs")?;
    if form.json {
        format::json(out, &lines)?;
        return Ok(result);
    }
    if form.csv {
        let mut csv = csv::Writer::from_writer(out);
        for line in &lines {
            csv.serialize(line).map_err(format::csv_error)?;
        }
        csv.flush()?;
        return Ok(result);
    }
    let look = out.look;
    let head = format!("{} on {}", profile.title, known.source);
    writeln!(out, "{}", look.bold(&head))?;
    for (need, word) in [
        (Need::Required, "MISSING"),
        (Need::Clearable, "MISSING"),
        (Need::Optional, "not there"),
    ] {
        for line in missing(need) {
            let word = if line.why == Fact::Untold.words() {
                "unknown"
            } else {
                word
            };
            let text = format!("  {word:<9}  {} ({}): {}", line.name, line.msr, line.why);
            let painted = if need == Need::Optional {
                look.dim(&text)
            } else {
                look.bad(&text)
            };
            writeln!(out, "{painted}")?;
        }
    }
    let count = |need| lines.iter().filter(|line| line.need == need).count();
    let asked = count(Need::Required) + count(Need::Clearable);
    let optional = count(Need::Optional);
    let there = optional - missing(Need::Optional).count();
    let verdict = match vital {
        0 => look.good("It has all that is required"),
        lacking => look.bad(&format!("It lacks {lacking} of what is required")),
    };
    writeln!(
        out,
        "{verdict} ({asked} in all), and has {there} of {optional} that are optional."
    )?;
    if lines.iter().any(|line| line.why == Fact::Untold.words()) {
        writeln!(
            out,
            "What is unknown may be there: {} does not tell those MSRs.",
            known.source
        )?;
    }
    Ok(result)
}
