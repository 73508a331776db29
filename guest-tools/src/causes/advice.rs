// SPDX-License-Identifier: GPL-2.0
//! What to do about exits: the rules of causes/advice.toml.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::model::{Cause, CauseKind, Causes};
use super::names;
use super::ranges::Range;
use crate::error::{Error, Result};
use crate::units::grouped;

const RULES: &str = include_str!("../../causes/advice.toml");
const RULES_NAME: &str = "causes/advice.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdviceFile {
    rules: Vec<Rule>,
}

/// A rule; causes/advice.toml says what its parts mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub id: String,
    #[serde(default)]
    kinds: Vec<CauseKind>,
    #[serde(default)]
    keys: Vec<Keys>,
    #[serde(default)]
    reasons: Vec<String>,
    rate: f64,
    #[serde(default)]
    facts: BTreeMap<String, String>,
    #[serde(default)]
    unless: BTreeMap<String, String>,
    tells: String,
    advice: String,
    /// Where that is from.
    pub source: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Keys(Range);

impl TryFrom<String> for Keys {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let range = Range::parse(&text);
        range
            .map(Self)
            .ok_or_else(|| format!("neither a number nor a range: {text:?}"))
    }
}

/// All rules.
///
/// # Errors
///
/// The line of the table that is not understood; a test reads it.
pub fn rules() -> Result<Vec<Rule>> {
    let file: AdviceFile = toml::from_str(RULES).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + RULES.get(..start).unwrap_or("").matches('\n').count();
        Error::input(RULES_NAME, line, error.message())
    })?;
    Ok(file.rules)
}

/// A rule that applies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// The rule's name.
    pub rule: String,
    /// What made the most of these exits, such as `port 0x608`.
    pub subject: String,
    /// How many other subjects are meant as well.
    pub others: usize,
    /// Exits a second.
    pub rate: f64,
    /// What the guest does.
    pub tells: String,
    /// What to change.
    pub advice: String,
    /// Where that is from.
    pub source: String,
}

impl Advice {
    /// `port 0x608, 2,611/s: the guest reads the ACPI PM timer; use kvm-clock`.
    pub fn line(&self) -> String {
        let others = match self.others {
            0 => String::new(),
            1 => " and another".into(),
            others => format!(" and {} others", grouped(others as u64)),
        };
        let rate = grouped(self.rate.round() as u64);
        let (subject, tells, advice) = (&self.subject, &self.tells, &self.advice);
        format!("{subject}{others}, {rate}/s: {tells}; {advice}")
    }
}

/// The rules that apply, those with the most exits first.
///
/// # Errors
///
/// As of [`rules`].
pub fn that_applies(causes: &Causes) -> Result<Vec<Advice>> {
    let mut found: Vec<Advice> = rules()?
        .iter()
        .filter_map(|rule| rule.advice(causes))
        .collect();
    found.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    Ok(found)
}

impl Rule {
    fn advice(&self, causes: &Causes) -> Option<Advice> {
        let has = |facts: &BTreeMap<String, String>| {
            facts
                .iter()
                .any(|(name, value)| causes.facts.get(name) == Some(value))
        };
        if (!self.facts.is_empty() && !has(&self.facts)) || has(&self.unless) {
            return None;
        }
        let rows = || causes.causes.iter().chain(&causes.reasons);
        let meant: Vec<&Cause> = rows()
            .filter(|cause| self.is_about(cause, causes))
            .collect();
        let exits = meant
            .iter()
            .fold(0u64, |sum, cause| sum.saturating_add(cause.exits));
        let rate = causes.rate(exits);
        let first = meant.iter().max_by_key(|cause| cause.exits)?;
        if rate < self.rate {
            return None;
        }
        let subjects: BTreeSet<String> = meant
            .iter()
            .map(|cause| names::noun(cause, causes))
            .collect();
        Some(Advice {
            rule: self.id.clone(),
            subject: names::noun(first, causes),
            others: subjects.len() - 1,
            rate,
            tells: self.tells.clone(),
            advice: self.advice.clone(),
            source: self.source.clone(),
        })
    }

    fn is_about(&self, cause: &Cause, causes: &Causes) -> bool {
        if cause.kind == CauseKind::Reason {
            let symbol = cause.reason.map(|reason| causes.symbol(reason));
            return symbol.is_some_and(|symbol| self.reasons.contains(&symbol));
        }
        let subject = names::subject(cause);
        let in_keys = |number| self.keys.iter().any(|keys| keys.0.has(number));
        self.kinds.contains(&cause.kind) && (self.keys.is_empty() || subject.is_some_and(in_keys))
    }
}
