// SPDX-License-Identifier: GPL-2.0
//! What is normal: the exits of a guest of the same kind, from a recording.
//!
//! A baseline is a recording, or a saved view, of one's own, or one of those that are built
//! in: they say in their header what they were made of, and by what they are compared.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::input;
use crate::recording::{self, Compare};
use crate::units::grouped;
use crate::view::{Row, View};

/// Those that are built in, as `make experiment-baselines` recorded them.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("idle", include_str!("../baselines/idle.rec")),
    ("boot", include_str!("../baselines/boot.rec")),
    ("disk", include_str!("../baselines/disk.rec")),
];

/// So many times as much, or as little, is far off.
const FAR: f64 = 4.0;
/// A reason with a smaller share of all exits is not worth a word.
const LEAST_SHARE: f64 = 0.01;

/// A guest that is normal.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// Its name, or its file.
    pub name: String,
    /// What it was made of.
    pub about: String,
    compare: Compare,
    normal: ByReason,
}

/// What is compared: a figure by reason, and the share of each in all exits.
#[derive(Debug, Clone, Default)]
struct ByReason {
    vendor: exit_stats::reason::Vendor,
    of: BTreeMap<u32, Figure>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figure {
    value: f64,
    share: f64,
}

/// How far a reason is off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Off {
    /// So many times what is normal; infinite if the baseline has none.
    pub times: f64,
    /// It is worth a look.
    pub far: bool,
}

impl std::fmt::Display for Off {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.far { " !" } else { "" };
        match self.times {
            times if times.is_infinite() => write!(f, "new{mark}"),
            0.0 => write!(f, "none{mark}"),
            times if times >= 9.95 => write!(f, "x{}{mark}", grouped(times.round() as u64)),
            times if times >= 0.095 => write!(f, "x{times:.1}{mark}"),
            times => write!(f, "x{times:.2}{mark}"),
        }
    }
}

impl Baseline {
    /// The baseline of this name, or in this file.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
        let recording = match built_in {
            Some((name, text)) => recording::parse(text, name)?,
            None if !path.exists() && !name.contains(['/', '.']) && name != input::DASH => {
                let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                return Err(Error::Usage(format!(
                    "no baseline is called {name:?}: there are {}, and recordings or saved views \
                     of your own",
                    names.join(", ")
                )));
            }
            None => recording::open(path)?,
        };
        let compare = recording.header.compare.unwrap_or_default();
        let (added, seconds) = match recording.views.as_slice() {
            [first, .., last] => {
                let added = last.since(first).ok_or_else(|| {
                    let problem = "its counters started anew meanwhile: make another";
                    Error::input(&name, 0, problem)
                })?;
                (added, Some(last.seconds_after(first)))
            }
            views => (views[0].clone(), None),
        };
        let normal = figures(compare, &added, seconds).ok_or_else(|| {
            Error::input(
                &name,
                0,
                "it does not tell for how long its vCPUs have run: record it",
            )
        })?;
        Ok(Self {
            about: recording.header.about.unwrap_or_default(),
            name,
            compare,
            normal,
        })
    }

    /// How far each reason is off: those of the view, and those that only the baseline has.
    /// `seconds` is the length of a view that is a difference. `None` if the two cannot be
    /// compared: of another vendor, or of an unknown length.
    pub fn compare(&self, view: &View, seconds: Option<f64>) -> Option<BTreeMap<u32, Off>> {
        let here = figures(self.compare, view, seconds)?;
        if here.vendor != self.normal.vendor {
            return None;
        }
        let of = |figures: &ByReason, reason| figures.of.get(&reason).copied().unwrap_or_default();
        let reasons = here.of.keys().chain(self.normal.of.keys());
        let off = |&reason: &u32| {
            let (here, normal) = (of(&here, reason), of(&self.normal, reason));
            let times = here.value / normal.value;
            let far = (times >= FAR && here.share >= LEAST_SHARE)
                || (times <= 1.0 / FAR && normal.share >= LEAST_SHARE);
            (reason, Off { times, far })
        };
        Some(reasons.map(off).collect())
    }

    /// What is far off, in words; the first is the farthest.
    pub fn words(&self, view: &View, seconds: Option<f64>) -> String {
        let Some(all) = self.compare(view, seconds) else {
            return format!(
                "{} cannot be compared with: it is of another vendor's CPU, or for how long these \
                 vCPUs have run is not told.",
                self.name
            );
        };
        let mut far: Vec<(u32, Off)> = all.into_iter().filter(|(_, off)| off.far).collect();
        let distance = |off: &Off| off.times.ln().abs();
        far.sort_by(|(_, a), (_, b)| distance(b).total_cmp(&distance(a)));
        let per = match self.compare {
            Compare::Rate => "exits per vCPU and second",
            Compare::Count => "exits in all",
            Compare::Share => "shares of all exits",
        };
        let list: Vec<String> = far
            .iter()
            .map(|(reason, off)| {
                let name = Row::named(view.vendor, *reason).name;
                match off.times {
                    times if times.is_infinite() => format!("{name} (none in {})", self.name),
                    0.0 => format!("{name} (none here)"),
                    times => format!("{name} {}", Off { times, far: false }),
                }
            })
            .collect();
        let found = match list.as_slice() {
            [] => "Nothing is far off".into(),
            list => format!("Far off: {}", list.join(", ")),
        };
        match self.about.as_str() {
            "" => format!("{found}. Compared by {per} with {}.", self.name),
            about => format!("{found}. Compared by {per} with {}: {about}.", self.name),
        }
    }
}

/// The figures of a view; `None` if its length is needed and not known.
fn figures(compare: Compare, view: &View, seconds: Option<f64>) -> Option<ByReason> {
    let own = |reason| view.own_of(reason);
    let all = view.total.exits.saturating_sub(view.own_exits).max(1) as f64;
    let unit = match compare {
        Compare::Rate => view.vcpu_seconds(seconds)?,
        Compare::Count => 1.0,
        Compare::Share => all,
    };
    let figure = |row: &Row| {
        let exits = row.exits.saturating_sub(own(row.reason)) as f64;
        let (value, share) = (exits / unit, exits / all);
        (row.reason, Figure { value, share })
    };
    let rows = view.reasons.iter().map(figure);
    Some(ByReason {
        vendor: view.vendor,
        of: rows.filter(|(_, figure)| figure.value > 0.0).collect(),
    })
}
