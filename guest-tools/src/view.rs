// SPDX-License-Identifier: GPL-2.0
//! The exits of one VM, or of a host, at one instant: what every command shows,
//! saves and compares.

mod cause;
mod row;
mod saved;
mod sum;
mod time;

use std::collections::BTreeMap;
use std::fmt;

use exit_stats::abi;
use exit_stats::reason::Vendor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::text;
pub use cause::{hexadecimal, KeptCause};
pub use row::{Availability, Bucket, Row, Sort};

/// What [`View::format`] holds.
pub const FORMAT: &str = "vmxscope-exits-1";

/// The exit reason by which this program reads a guest's figures.
pub const fn cpuid(vendor: Vendor) -> u32 {
    match vendor {
        Vendor::Vmx => 10,
        Vendor::Svm => 0x72,
    }
}

/// How a vendor is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Vendor", rename_all = "lowercase")]
pub(crate) enum VendorName {
    Vmx,
    Svm,
}

/// Where figures were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// In the guest itself, by CPUID.
    Guest,
    /// On the host, of one VM.
    Vm,
    /// On the host, of all VMs.
    Host,
}

/// Who counts the exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// KVM itself, with our series.
    Kvm,
    /// The module `vmx_exits`, beside a KVM that does not.
    VmxExits,
}

impl Counter {
    /// Its name for programs.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::VmxExits => "vmx_exits",
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM itself",
            Self::VmxExits => "vmx_exits, beside KVM",
        })
    }
}

/// One consistent set of figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// [`FORMAT`].
    pub format: String,
    /// Where it was read.
    pub kind: Scope,
    /// The VM's name, as far as there is one.
    #[serde(deserialize_with = "text::deserialize")]
    pub vm: String,
    /// Who counted, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counted_by: Option<Counter>,
    /// Whose exit reasons these are.
    #[serde(with = "VendorName", default)]
    pub vendor: Vendor,
    /// The number of the VM's counters, if by CPUID: views of another do not continue it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instance: Option<u64>,
    /// How many vCPUs it has, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vcpus: Option<usize>,
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
    /// Entries that failed before the guest ran; not exits. Only KVM itself can tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed_entries: Option<u64>,
    /// Entries that KVM emulated; not exits. Likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub emulated_entries: Option<u64>,
    /// By number; a pseudo reason is last.
    pub reasons: Vec<Row>,
    /// What made the exits, if the host keeps that and it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub causes: Option<Vec<KeptCause>>,
    /// How many reasons that occurred were left out, because only some were asked for.
    #[serde(skip_serializing_if = "is_none", default)]
    pub left_out: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl View {
    /// An empty view.
    pub fn new(kind: Scope, vm: String, tsc_khz: u32) -> Self {
        Self {
            format: FORMAT.into(),
            kind,
            vm,
            counted_by: None,
            vendor: Vendor::default(),
            instance: None,
            vcpus: None,
            unix_ms: now_ms(),
            monotonic_ns: Some(monotonic_ns()),
            tsc_khz,
            layout: None,
            host_scope: false,
            consistent: true,
            counts_only: false,
            own_exits: 0,
            read_exits: 0,
            total: Row::named(Vendor::default(), abi::TOTAL),
            failed_entries: None,
            emulated_entries: None,
            reasons: Vec::new(),
            causes: None,
            left_out: 0,
        }
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
        if reason == abi::TOTAL || reason == cpuid(self.vendor) {
            self.own_exits
        } else {
            0
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
        let restarted = self.instance != before.instance
            || self.total.exits < before.total.exits
            || before.reasons.iter().enumerate().any(|(place, old)| {
                old.exits > self.row_near(place, old.reason).map_or(0, |row| row.exits)
            });
        if restarted {
            return None;
        }
        let mut view = self.clone();
        view.own_exits = self.own_exits.saturating_sub(before.own_exits);
        let added = |now: Option<u64>, then: Option<u64>| {
            now.map(|now| now.saturating_sub(then.unwrap_or(0)))
        };
        view.failed_entries = added(self.failed_entries, before.failed_entries);
        view.emulated_entries = added(self.emulated_entries, before.emulated_entries);
        view.total = self.total.since(&before.total);
        view.consistent = self.consistent && before.consistent;
        for (place, row) in view.reasons.iter_mut().enumerate() {
            if let Some(old) = before.row_near(place, row.reason) {
                *row = row.since(old);
            }
        }
        view.causes = self
            .causes
            .as_deref()
            .zip(before.causes.as_deref())
            .map(|(now, before)| cause::since(now, before));
        Some(view)
    }

    /// The same, for those who cannot begin anew.
    ///
    /// # Errors
    ///
    /// That the counters were started anew between the two.
    pub fn added_since(&self, before: &View) -> Result<View> {
        self.since(before).ok_or_else(|| {
            Error::Unstable(
                "the host's counters started anew meanwhile: the VM was moved to another host, or \
                 made again there"
                    .into(),
            )
        })
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
