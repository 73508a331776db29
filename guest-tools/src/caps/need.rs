// SPDX-License-Identifier: GPL-2.0
//! What a hypervisor needs, and what of it is missing, by name.

use std::path::Path;

use serde::Serialize;

use crate::caps::compare::{can_clear, can_set};
use crate::caps::known::{Fact, Item, Known};
use crate::caps::profile::{parse, Need, Profile, BUILT_IN};
use crate::caps::{models, qemu};
use crate::error::{status, Error, Result};
use crate::format::TableForm;
use crate::input;
use crate::output::Output;

/// The profile of this name, or in this file.
pub fn profile(path: &Path) -> Result<Profile> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| Path::new(known) == path) {
        return parse(text, name);
    }
    let name = &path.display().to_string();
    let is_file = name.contains('/') || name.ends_with(".toml") || name == input::DASH;
    if !is_file && !path.exists() {
        if let Some(profile) = models::profile(name) {
            return Ok(profile);
        }
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        return Err(Error::Usage(format!(
            "no profile is called {name:?}: there are {}, QEMU's CPU models {}, and TOML files of \
             your own",
            names.join(", "),
            models::names().join(", ")
        )));
    }
    parse(&input::read(path)?, name)
}

#[derive(Serialize)]
struct NeedRow {
    need: Need,
    msr: &'static str,
    name: &'static str,
    /// Not there if nobody told.
    there: Option<bool>,
    why: &'static str,
}

fn line(need: Need, item: &Item, known: &Known) -> NeedRow {
    let answer = match need {
        Need::Clearable => can_clear(item, known),
        Need::Required | Need::Optional => can_set(item, known),
    };
    NeedRow {
        need,
        msr: item.msr().name,
        name: item.name(),
        there: match answer {
            Ok(there) => Some(there),
            Err(Fact::Untold) => None,
            Err(_) => Some(false),
        },
        why: match (answer, need) {
            (Ok(true), _) => "",
            (Ok(false), Need::Clearable) => "it cannot be cleared",
            (Ok(false), _) => "it cannot be set",
            (Err(fact), _) => fact.words(),
        },
    }
}

/// Prints what of a profile is missing; the status tells whether anything is that is
/// required, or whether that is not known.
pub fn run(profile: &Profile, known: &Known, form: &TableForm, out: &mut Output<'_>) -> Result<u8> {
    let lines: Vec<NeedRow> = profile
        .needs
        .iter()
        .map(|(need, item)| line(*need, item, known))
        .collect();
    let vital = |there| {
        let required = lines.iter().filter(|line| line.need != Need::Optional);
        required.filter(move |line| line.there == there).count()
    };
    let (missing, untold) = (vital(Some(false)), vital(None));
    let result = match (missing, untold) {
        (0, 0) => status::OK,
        (0, _) => status::NO_STATISTICS,
        _ => status::DIFFERS,
    };
    if form.json {
        out.json(&lines)?;
        return Ok(result);
    }
    if form.csv {
        out.csv(&lines)?;
        return Ok(result);
    }
    let head = out
        .look
        .bold(&format!("{} on {}", profile.title, known.source));
    writeln!(out, "{head}")?;
    for need in [Need::Required, Need::Clearable, Need::Optional] {
        for line in lines.iter().filter(|line| line.need == need) {
            print(line, out)?;
        }
    }
    let required = missing + untold + vital(Some(true));
    let verdict = match (missing, untold) {
        (0, 0) => out.look.good("It has all that is required"),
        (0, _) => out.look.bad(&format!(
            "Nothing that is required is known to be missing, but {untold} are not told"
        )),
        (_, 0) => out
            .look
            .bad(&format!("It lacks {missing} of what is required")),
        _ => out.look.bad(&format!(
            "It lacks {missing} of what is required, and {untold} are not told"
        )),
    };
    let optional: Vec<&NeedRow> = lines
        .iter()
        .filter(|line| line.need == Need::Optional)
        .collect();
    let there = optional
        .iter()
        .filter(|line| line.there == Some(true))
        .count();
    let rest = match optional.len() {
        0 => String::new(),
        all => format!(" It has {there} of {all} that are optional."),
    };
    writeln!(out, "{verdict} ({required} in all).{rest}")?;
    if let Some(model) = profile.model.filter(|_| missing != 0) {
        let needs = profile.needs.iter().zip(&lines);
        let lacked = needs.filter(|(_, line)| line.there == Some(false));
        let off: String = lacked
            .filter_map(|((_, item), _)| Some(format!(",{}=off", qemu::name(item)?)))
            .collect();
        writeln!(out, "Without what it lacks: -cpu {model},vmx=on{off}")?;
    }
    if lines.iter().any(|line| line.there.is_none()) {
        writeln!(
            out,
            "What is unknown may be there: {} does not tell those MSRs.",
            known.source
        )?;
    }
    Ok(result)
}

fn print(line: &NeedRow, out: &mut Output<'_>) -> Result<()> {
    let word = match (line.there, line.need) {
        (Some(true), _) => return Ok(()),
        (None, _) => "unknown",
        (Some(false), Need::Optional) => "not there",
        (Some(false), _) => "MISSING",
    };
    let text = format!("  {word:<9}  {} ({}): {}", line.name, line.msr, line.why);
    let painted = match (line.there, line.need) {
        (None, _) | (_, Need::Optional) => out.look.dim(&text),
        _ => out.look.bad(&text),
    };
    writeln!(out, "{painted}")
}
