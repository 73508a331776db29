// SPDX-License-Identifier: GPL-2.0
//! The exits of one VM, or of a host, at one instant: what every command shows,
//! saves and compares.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::CStr;

use exit_stats::abi::{self, State};
use exit_stats::reader::Figures;
use exit_stats::reason;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text;

/// What [`View::format`] holds.
pub const FORMAT: &str = "vmxscope-exits-1";

/// The exit reason by which this program reads a guest's figures.
pub const CPUID: u32 = 10;

/// Where figures were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In the guest itself, by CPUID.
    Guest,
    /// On the host, of one VM.
    Vm,
    /// On the host, of all VMs.
    Host,
}

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
    /// The SDM's number, or the number of a pseudo reason.
    pub reason: u32,
    /// Linux's name.
    #[serde(deserialize_with = "text::deserialize")]
    pub symbol: Cow<'static, str>,
    /// The SDM's name.
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

/// One consistent set of figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// [`FORMAT`].
    pub format: String,
    /// Where it was read.
    pub kind: Kind,
    /// The VM's name, as far as there is one.
    #[serde(deserialize_with = "text::deserialize")]
    pub vm: String,
    /// When it was read, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The same by the clock that nobody sets, in nanoseconds since the machine started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub monotonic_ns: Option<u64>,
    /// Frequency of the clock of all times; 0 if nobody said.
    pub tsc_khz: u32,
    /// The course's layout by which it was read, if by CPUID.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub layout: Option<String>,
    /// The figures are the whole host's, though a guest reads them.
    #[serde(default)]
    pub host_scope: bool,
    /// All figures are of one instant.
    pub consistent: bool,
    /// Nothing but exits and cycles is known; the other figures are 0.
    #[serde(default)]
    pub counts_only: bool,
    /// CPUID exits that the reading program itself had caused by that instant.
    #[serde(default)]
    pub own_exits: u64,
    /// CPUID exits that it took to read all of it.
    #[serde(default)]
    pub read_exits: u64,
    /// The sum, as the host gave it.
    pub total: Row,
    /// Entries that failed before the guest ran; not exits.
    #[serde(default)]
    pub failed_entries: u64,
    /// Entries that KVM emulated; not exits.
    #[serde(default)]
    pub emulated_entries: u64,
    /// By number; a pseudo reason is last.
    pub reasons: Vec<Row>,
    /// How many reasons that occurred were left out, because only some were asked for.
    #[serde(skip_serializing_if = "is_none", default)]
    pub left_out: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

fn shown(name: Option<&'static CStr>, number: u32) -> Cow<'static, str> {
    name.and_then(|name| name.to_str().ok())
        .map_or_else(|| format!("reason {number}").into(), Cow::Borrowed)
}

impl Row {
    /// A row of nothing, with its names.
    pub fn named(number: u32) -> Self {
        Self {
            reason: number,
            symbol: shown(reason::symbol(number), number),
            name: shown(reason::name(number), number),
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
        self.exits == 0 && self.cycles == 0 && self.blocked == 0 && self.userspace == 0
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
            nested: self.nested.saturating_sub(before.nested),
            dropped: self.dropped.saturating_sub(before.dropped),
            histogram: histogram.collect(),
        }
    }
}

impl View {
    /// An empty view.
    pub fn new(kind: Kind, vm: String, tsc_khz: u32) -> Self {
        Self {
            format: FORMAT.into(),
            kind,
            vm,
            unix_ms: now_ms(),
            monotonic_ns: Some(monotonic_ns()),
            tsc_khz,
            layout: None,
            host_scope: false,
            consistent: true,
            counts_only: false,
            own_exits: 0,
            read_exits: 0,
            total: Row::named(abi::TOTAL),
            failed_entries: 0,
            emulated_entries: 0,
            reasons: Vec::new(),
            left_out: 0,
        }
    }

    /// Reads views that were saved as JSON: one, or a list of one for each vCPU. `file` is
    /// its name for messages.
    pub fn parse(text: &str, file: &str) -> Result<Vec<Self>> {
        let problem = |error: serde_json::Error| {
            Error::input(file, error.line(), format!("not a saved view: {error}"))
        };
        let views: Vec<Self> = match text.trim_start().starts_with('[') {
            true => serde_json::from_str(text).map_err(problem)?,
            false => vec![serde_json::from_str(text).map_err(problem)?],
        };
        if views.is_empty() {
            return Err(Error::input(file, 0, "there is no view in it"));
        }
        for view in &views {
            view.check()
                .map_err(|problem| Error::input(file, 0, problem))?;
        }
        Ok(views)
    }

    /// Whether the figures of a file can be ones: their sums fit into 64 bits, and
    /// histograms have the buckets that there are.
    pub fn check(&self) -> std::result::Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "its format is {:?}, and this vmxscope reads {FORMAT:?}",
                self.format
            ));
        }
        let figures: [fn(&Row) -> u64; 6] = [
            |row| row.exits,
            |row| row.cycles,
            |row| row.blocked,
            |row| row.userspace,
            |row| row.nested,
            |row| row.dropped,
        ];
        for figure in figures {
            let add = |sum: u64, row: &Row| sum.checked_add(figure(row));
            if self.reasons.iter().try_fold(0, add).is_none() {
                return Err("its figures add up to more than 64 bits".into());
            }
        }
        let mut all = 0u64;
        for row in self.reasons.iter().chain([&self.total]) {
            let ascending = row
                .histogram
                .windows(2)
                .all(|pair| pair[0].log2 < pair[1].log2);
            let last = row.histogram.last().map_or(0, |bucket| bucket.log2);
            if !ascending || last >= abi::BUCKETS {
                return Err(format!(
                    "the histogram of {:?} has a bucket log2 = {last}: they go from 0 to {}, in order",
                    row.symbol,
                    abi::BUCKETS - 1
                ));
            }
            // The total has the sum of the others.
            let sum = |sum: u64, bucket: &Bucket| sum.checked_add(bucket.exits);
            let of_row = row.histogram.iter().try_fold(0, sum);
            let so_far = match row.reason {
                abi::TOTAL => of_row,
                _ => of_row.and_then(|sum| sum.checked_add(all)),
            };
            all = so_far.ok_or("its histograms add up to more than 64 bits")?;
        }
        Ok(())
    }

    /// Makes the total's histogram, unless that of some reason is not known.
    pub fn add_up_histograms(&mut self) {
        let unknown = |row: &Row| row.timed() != 0 && row.histogram.is_empty();
        if self.reasons.iter().any(unknown) {
            return;
        }
        let mut sum = BTreeMap::new();
        for bucket in self.reasons.iter().flat_map(|row| &row.histogram) {
            *sum.entry(bucket.log2).or_insert(0u64) += bucket.exits;
        }
        let buckets = sum.into_iter().map(|(log2, exits)| Bucket { log2, exits });
        self.total.histogram = buckets.collect();
    }

    /// How many exits of a reason, or of all, are the reading program's own.
    pub fn own_of(&self, reason: u32) -> u64 {
        match reason {
            CPUID | abi::TOTAL => self.own_exits,
            _ => 0,
        }
    }

    /// The row of a reason.
    pub fn row(&self, reason: u32) -> Option<&Row> {
        self.reasons.iter().find(|row| row.reason == reason)
    }

    /// The same, and at once if it is at this place, as it is in another view of a VM.
    fn row_near(&self, place: usize, reason: u32) -> Option<&Row> {
        let near = self.reasons.get(place);
        near.filter(|row| row.reason == reason)
            .or_else(|| self.row(reason))
    }

    /// What was added since an earlier view of the same VM. `None` if the counters
    /// were started anew between the two.
    pub fn since(&self, before: &View) -> Option<View> {
        let restarted = self.total.exits < before.total.exits
            || before.reasons.iter().enumerate().any(|(place, old)| {
                old.exits > self.row_near(place, old.reason).map_or(0, |row| row.exits)
            });
        if restarted {
            return None;
        }
        let mut view = self.clone();
        view.own_exits = self.own_exits.saturating_sub(before.own_exits);
        view.failed_entries = self.failed_entries.saturating_sub(before.failed_entries);
        view.emulated_entries = self
            .emulated_entries
            .saturating_sub(before.emulated_entries);
        view.total = self.total.since(&before.total);
        view.consistent = self.consistent && before.consistent;
        for (place, row) in view.reasons.iter_mut().enumerate() {
            if let Some(old) = before.row_near(place, row.reason) {
                *row = row.since(old);
            }
        }
        Some(view)
    }

    /// Seconds from an earlier view to this one; by the wall clock only if an older program
    /// made one of them, or if the machine was started anew between the two.
    pub fn seconds_after(&self, before: &View) -> f64 {
        let monotonic = self.monotonic_ns.zip(before.monotonic_ns);
        match monotonic.and_then(|(now, then)| now.checked_sub(then)) {
            Some(nanoseconds) => nanoseconds as f64 / 1e9,
            None => self.unix_ms.saturating_sub(before.unix_ms) as f64 / 1e3,
        }
    }

    /// Nanoseconds of a number of cycles; `None` without a frequency.
    pub fn nanoseconds(&self, cycles: u64) -> Option<f64> {
        (self.tsc_khz != 0).then(|| cycles as f64 * 1e6 / f64::from(self.tsc_khz))
    }

    /// Seconds of a number of cycles; `None` without a frequency.
    pub fn seconds(&self, cycles: u64) -> Option<f64> {
        self.nanoseconds(cycles).map(|ns| ns / 1e9)
    }
}

/// Nanoseconds by the clock that nobody sets.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
