// SPDX-License-Identifier: GPL-2.0
//! What was measured, and its averages.

use std::ffi::OsString;

use exit_stats::abi;
use exit_stats::reason::Vendor;
use serde::Serialize;

use crate::view::Sort;
use crate::view::{Row, View};

/// What happened in some time.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Period {
    /// Its length.
    pub seconds: f64,
    /// The command's exit status, if one was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// What was added meanwhile; `own_exits` of them are this program's.
    pub added: View,
}

/// The result of all runs of a command.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Stat {
    /// The format of this.
    pub format: &'static str,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The guest without the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Period>,
    /// Each run.
    pub runs: Vec<Period>,
}

/// One reason, averaged over the runs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NetRow {
    pub reason: u32,
    pub symbol: String,
    pub name: String,
    /// All exits of the guest while the command ran.
    pub exits: f64,
    /// The standard deviation of that between the runs.
    pub deviation: f64,
    /// Those by which this program read.
    pub own: f64,
    /// Those that an idle guest has in such a time.
    pub idle: f64,
    /// What is left; not below 0.
    pub net: f64,
    /// Handling time of those that are left, at the average of the reason.
    pub net_seconds: Option<f64>,
    pub net_cycles: f64,
    /// Handling cycles of all.
    pub cycles: f64,
    /// The other times of all, in cycles; nothing where only exits and cycles are known.
    pub blocked_cycles: Option<f64>,
    pub userspace_cycles: Option<f64>,
    pub scheduled_out_cycles: Option<f64>,
    pub entry_cycles: Option<f64>,
    pub guest_cycles: Option<f64>,
}

/// The smallest, the middle and the largest of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one figure; zeros without any.
    pub(super) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or_default();
        let last = figures.len().saturating_sub(1);
        Self {
            min: at(0),
            median: (at(last / 2) + at(figures.len() / 2)) / 2.0,
            max: at(last),
        }
    }
}

pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count().max(1) as f64
}

pub(super) fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let mean = mean(values.clone());
    let degrees = values.clone().count().saturating_sub(1).max(1) as f64;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / degrees).sqrt()
}

impl Stat {
    /// Of a command; none is the whole guest.
    pub(super) fn new(command: &[OsString], idle: Option<Period>, runs: Vec<Period>) -> Self {
        Self {
            format: "vmxscope-stat-2",
            command: command
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            idle,
            runs,
        }
    }

    /// The average length of a run.
    pub(super) fn seconds(&self) -> f64 {
        mean(self.runs.iter().map(|run| run.seconds))
    }

    /// All runs as one, and how long it is.
    pub(super) fn together(&self) -> Option<(View, f64)> {
        let runs: Vec<&View> = self.runs.iter().map(|run| &run.added).collect();
        let seconds = self.runs.iter().map(|run| run.seconds).sum();
        Some((View::sum(&runs)?, seconds))
    }

    /// The lengths of the runs.
    pub(super) fn elapsed(&self) -> Spread {
        Spread::of(self.runs.iter().map(|run| run.seconds).collect())
    }

    /// The command's own exits in each run.
    pub(super) fn net_exits(&self) -> Spread {
        let net = |run: &Period| {
            let others = run.added.total.exits.saturating_sub(run.added.own_exits) as f64;
            (others - self.idle_rate() * run.seconds).max(0.0)
        };
        Spread::of(self.runs.iter().map(net).collect())
    }

    /// Exits a second of the idle guest, without this program's own.
    pub(super) fn idle_rate(&self) -> f64 {
        self.idle.as_ref().map_or(0.0, |idle| {
            let others = idle.added.total.exits.saturating_sub(idle.added.own_exits);
            others as f64 / idle.seconds.max(1e-9)
        })
    }

    fn vendor(&self) -> Vendor {
        self.runs
            .first()
            .map_or(Vendor::default(), |run| run.added.vendor)
    }

    /// Averages one row of each period: a reason's, or the total's.
    fn averaged(&self, number: u32) -> NetRow {
        let row = |period: &Period| match number {
            abi::TOTAL => Some(period.added.total.clone()),
            _ => period.added.row(number).cloned(),
        };
        let of = |figure: fn(&Row) -> u64| {
            let of_run = |run| row(run).map_or(0, |row| figure(&row)) as f64;
            self.runs.iter().map(of_run).collect::<Vec<f64>>()
        };
        let average = |figure| mean(of(figure).into_iter());
        let own = |period: &Period| period.added.own_of(number) as f64;
        let (exits, cycles) = (average(|row| row.exits), average(|row| row.cycles));
        let counts_only = self.runs.iter().any(|run| run.added.counts_only);
        let time = |figure| (!counts_only).then(|| average(figure));
        let mean_own = mean(self.runs.iter().map(own));
        let idle = self.idle.as_ref().map_or(0.0, |idle| {
            let exits = row(idle).map_or(0, |row| row.exits) as f64;
            (exits - own(idle)).max(0.0) / idle.seconds.max(1e-9) * self.seconds()
        });
        let net = (exits - mean_own - idle).max(0.0);
        let named = Row::named(self.vendor(), number);
        NetRow {
            reason: number,
            symbol: named.symbol.into(),
            name: named.name.into(),
            exits,
            deviation: deviation(of(|row| row.exits).into_iter()),
            own: mean_own,
            idle,
            net,
            net_seconds: None,
            net_cycles: match exits {
                0.0 => 0.0,
                exits => cycles / exits * net,
            },
            cycles,
            blocked_cycles: time(|row| row.blocked),
            userspace_cycles: time(|row| row.userspace),
            scheduled_out_cycles: time(|row| row.scheduled_out),
            entry_cycles: time(|row| row.entry),
            guest_cycles: time(|row| row.guest),
        }
        .timed(self)
    }

    /// A line for every reason that occurred, in this order.
    pub(super) fn lines(&self, sort: Sort) -> Vec<NetRow> {
        let rows = self.runs.iter().flat_map(|run| &run.added.reasons);
        let mut numbers: Vec<u32> = rows
            .filter(|row| !row.is_empty())
            .map(|row| row.reason)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut lines: Vec<NetRow> = numbers.into_iter().map(|n| self.averaged(n)).collect();
        let key = |line: &NetRow| match sort {
            Sort::Time => line.net_cycles,
            Sort::Count => line.net,
            Sort::Number => 0.0,
        };
        lines.sort_by(|a, b| key(b).total_cmp(&key(a)));
        lines
    }

    /// The total of these lines, which are all.
    pub(super) fn total(&self, lines: &[NetRow]) -> NetRow {
        let mut total = self.averaged(abi::TOTAL);
        total.net_cycles = lines.iter().map(|line| line.net_cycles).sum();
        total.timed(self)
    }
}

impl NetRow {
    fn timed(mut self, stat: &Stat) -> Self {
        let view = stat.runs.first().map(|run| &run.added);
        self.net_seconds = view
            .filter(|view| view.tsc_khz != 0)
            .map(|view| self.net_cycles / (f64::from(view.tsc_khz) * 1e3));
        self
    }
}
