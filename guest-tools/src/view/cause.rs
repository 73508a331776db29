// SPDX-License-Identifier: GPL-2.0
//! What made exits, as a host that keeps that tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Exits of one cause. What a host keeps has a bound, so that it may have taken some of
/// them for this cause's that were another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCause {
    /// The exit reason.
    pub reason: u32,
    /// What the exit was about: the interface's key of this reason.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal")]
    pub key: Option<u64>,
    /// Where the guest's code was: its linear instruction pointer.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal")]
    pub rip: Option<u64>,
    /// The guest was at privilege level 3.
    #[serde(default)]
    pub cpl3: bool,
    /// The exits were taken from a nested guest.
    #[serde(default)]
    pub nested: bool,
    /// How many exits there were at most.
    pub exits: u64,
    /// Handling cycles of those that are this cause's for sure.
    pub cycles: u64,
    /// How many of the exits may be another's.
    pub error: u64,
}

/// What tells one cause from another.
type Identity = (u32, Option<u64>, Option<u64>, bool, bool);

impl KeptCause {
    fn identity(&self) -> Identity {
        (self.reason, self.key, self.rip, self.cpl3, self.nested)
    }

    /// Exits that are this cause's for sure.
    pub fn sure(&self) -> u64 {
        self.exits.saturating_sub(self.error)
    }
}

/// What came since an earlier reading.
///
/// A cause's exits at a time are from exits less error to exits. One that was not there
/// before had, before, at most what it then took over, which is its error.
pub(super) fn since(now: &[KeptCause], before: &[KeptCause]) -> Vec<KeptCause> {
    let known: BTreeMap<_, _> = before.iter().map(|one| (one.identity(), one)).collect();
    let added = |cause: &KeptCause| {
        let (least, most, cycles) = match known.get(&cause.identity()) {
            Some(one) => (one.sure(), one.exits, one.cycles),
            None => (0, cause.error, 0),
        };
        let exits = cause.exits - least.min(cause.exits);
        let sure = cause.sure().saturating_sub(most);
        KeptCause {
            exits,
            // One that was taken over meanwhile began anew.
            cycles: cause.cycles.checked_sub(cycles).unwrap_or(cause.cycles),
            error: exits - sure.min(exits),
            ..cause.clone()
        }
    };
    let added = now.iter().map(added);
    added.filter(|cause| cause.exits != 0).collect()
}

/// The causes of several stretches of time together.
pub(super) fn sum<'c>(parts: impl Iterator<Item = &'c KeptCause>) -> Vec<KeptCause> {
    let mut sums = BTreeMap::new();
    for part in parts {
        sums.entry(part.identity())
            .and_modify(|sum: &mut KeptCause| {
                sum.exits = sum.exits.saturating_add(part.exits);
                sum.cycles = sum.cycles.saturating_add(part.cycles);
                sum.error = sum.error.saturating_add(part.error);
            })
            .or_insert_with(|| part.clone());
    }
    sums.into_values().collect()
}

/// A number of 64 bits as text: many readers of JSON keep only 53 bits of a number.
pub mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `0x1f`.
    pub fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(&format_args!("{value:#x}")),
            None => to.serialize_none(),
        }
    }

    /// Reads `0x1f`, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        parse(&text)
            .map(Some)
            .ok_or_else(|| D::Error::custom(format!("no hexadecimal number: {text:?}")))
    }

    /// The number of `0x1f`.
    pub fn parse(text: &str) -> Option<u64> {
        u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
    }
}
