// SPDX-License-Identifier: GPL-2.0
//! The figures of one reason.

use std::borrow::Cow;
use std::ffi::CStr;

use clap::ValueEnum;
use exit_stats::abi::State;
use exit_stats::reader::{Figures, Times};
use exit_stats::reason::Vendor;
use serde::{Deserialize, Serialize};

use crate::text;

/// Whether a reason can occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It can.
    Enabled,
    /// It cannot, in this VM.
    NotEnabled,
    /// Nobody said.
    Unknown,
}

impl From<State> for Availability {
    fn from(state: State) -> Self {
        match state {
            State::Enabled => Self::Enabled,
            State::NotEnabled => Self::NotEnabled,
            State::Undefined => Self::Unknown,
        }
    }
}

/// By what a table is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Handling time, the dearest reason first
    #[default]
    Time,
    /// Exits, the most frequent reason first
    Count,
    /// The SDM's number
    Number,
}

/// One bucket of a histogram: exits whose handling took `[2^log2, 2^(log2+1))`
/// cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The exponent.
    pub log2: u32,
    /// How many.
    pub exits: u64,
}

/// The figures of one reason, or of all. Times are in cycles of the host's TSC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The SDM's number, or the APM's exit code, or the number of a pseudo reason.
    pub reason: u32,
    /// Linux's name.
    #[serde(deserialize_with = "text::deserialize")]
    pub symbol: Cow<'static, str>,
    /// The manual's name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: Cow<'static, str>,
    /// Whether it can occur; nobody said if it is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<Availability>,
    /// Exits.
    pub exits: u64,
    /// Handling cycles.
    pub cycles: u64,
    /// Smallest handling cycles of one exit; 0 if none was timed.
    #[serde(default)]
    pub min: u64,
    /// Largest handling cycles of one exit.
    #[serde(default)]
    pub max: u64,
    /// Cycles for which the vCPU slept or polled after such an exit.
    #[serde(default)]
    pub blocked: u64,
    /// Cycles spent in the VMM because of such an exit.
    #[serde(default)]
    pub userspace: u64,
    /// Cycles for which the vCPU's thread was scheduled out while such an exit was handled.
    #[serde(default)]
    pub scheduled_out: u64,
    /// Cycles from the end of handling to the next entry, where KVM measures them.
    #[serde(default)]
    pub entry: u64,
    /// Cycles in the guest until such an exit.
    #[serde(default)]
    pub guest: u64,
    /// Exits taken from a nested guest.
    #[serde(default)]
    pub nested: u64,
    /// Exits without a time, for the clock went backwards.
    #[serde(default)]
    pub dropped: u64,
    /// The buckets that are not empty, ascending; none without histograms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<Bucket>,
}

fn shown(name: Option<&'static CStr>, number: u32) -> Cow<'static, str> {
    name.and_then(|name| name.to_str().ok())
        .map_or_else(|| format!("reason {number}").into(), Cow::Borrowed)
}

impl Row {
    /// A row of nothing, with its names.
    pub fn named(vendor: Vendor, number: u32) -> Self {
        Self {
            reason: number,
            symbol: shown(vendor.symbol(number), number),
            name: shown(vendor.name(number), number),
            ..Self::default()
        }
    }

    /// Takes over all figures but the histogram.
    pub fn with(mut self, figures: Figures) -> Self {
        self.exits = figures.exits;
        self.cycles = figures.cycles;
        self.min = figures.min;
        self.max = figures.max;
        self.blocked = figures.blocked;
        self.userspace = figures.user;
        self.nested = figures.l2;
        self.dropped = figures.dropped;
        self
    }

    /// Takes over the times that version 1 of the interface does not have.
    pub fn with_times(mut self, times: Times) -> Self {
        self.scheduled_out = times.away;
        self.entry = times.entry;
        self.guest = times.guest;
        self
    }

    /// Exits that have a time.
    pub fn timed(&self) -> u64 {
        self.exits.saturating_sub(self.dropped)
    }

    /// Average handling cycles.
    pub fn average(&self) -> Option<u64> {
        self.cycles.checked_div(self.timed())
    }

    /// Whether there is anything to show.
    pub fn is_empty(&self) -> bool {
        let times = [
            self.cycles,
            self.blocked,
            self.userspace,
            self.scheduled_out,
        ];
        self.exits == 0
            && times
                .iter()
                .chain([&self.entry, &self.guest])
                .all(|&time| time == 0)
    }

    /// Cycles within which this share (0 to 1) of the exits was handled: the end of
    /// the bucket, or the largest time if that is smaller.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let all: u64 = self.histogram.iter().map(|bucket| bucket.exits).sum();
        let rank = (all as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.histogram.iter().find(|bucket| {
            seen += bucket.exits;
            seen >= rank
        })?;
        let end = 2u64
            .checked_shl(bucket.log2)
            .map_or(u64::MAX, |end| end.wrapping_sub(1));
        Some(match self.max {
            0 => end,
            max => end.min(max),
        })
    }

    /// The difference to an earlier row of the same reason. The extremes are known
    /// only if they are new since then.
    pub fn since(&self, before: &Row) -> Row {
        let histogram = self.histogram.iter().filter_map(|bucket| {
            let earlier = before.histogram.iter().find(|old| old.log2 == bucket.log2);
            let exits = bucket
                .exits
                .saturating_sub(earlier.map_or(0, |old| old.exits));
            (exits != 0).then_some(Bucket {
                log2: bucket.log2,
                exits,
            })
        });
        Row {
            reason: self.reason,
            symbol: self.symbol.clone(),
            name: self.name.clone(),
            state: self.state,
            exits: self.exits.saturating_sub(before.exits),
            cycles: self.cycles.saturating_sub(before.cycles),
            min: if before.min == 0 || self.min < before.min {
                self.min
            } else {
                0
            },
            max: if self.max > before.max { self.max } else { 0 },
            blocked: self.blocked.saturating_sub(before.blocked),
            userspace: self.userspace.saturating_sub(before.userspace),
            scheduled_out: self.scheduled_out.saturating_sub(before.scheduled_out),
            entry: self.entry.saturating_sub(before.entry),
            guest: self.guest.saturating_sub(before.guest),
            nested: self.nested.saturating_sub(before.nested),
            dropped: self.dropped.saturating_sub(before.dropped),
            histogram: histogram.collect(),
        }
    }
}
