// SPDX-License-Identifier: GPL-2.0
//! What the live screen shows, apart from how.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use crate::baseline::{Baseline, Off};
use crate::view::Sort;
use crate::view::{Row, View};
use crate::watch::shown::Shown;

/// How many rates the sparkline remembers.
const HISTORY: usize = 512;

/// The state of the screen.
#[derive(Debug, Clone)]
pub struct Model {
    interval: Duration,
    /// What is counted from: the first view, or that of the last reset.
    base: View,
    /// The newest view.
    now: View,
    /// What the last interval added, and its length in seconds.
    step: Option<(View, f64)>,
    /// Exits a second of the last intervals.
    rates: VecDeque<u64>,
    sort: Sort,
    paused: bool,
    /// Part of a name that rows must have.
    filter: String,
    /// The filter is being typed.
    typing: bool,
    help: bool,
    /// The reason whose row is marked.
    chosen: Option<u32>,
    /// Counters started anew, so many times.
    restarts: u32,
    /// Views taken.
    updates: u32,
    /// What is normal.
    baseline: Option<Baseline>,
    /// What the table is of.
    pub table: Shown,
}

/// One row of the screen.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was added since the base.
    pub row: Row,
    /// Exits a second in the last interval.
    pub rate: f64,
    /// Share of that in the last interval's time (or count, by the order), 0 to 1.
    pub share: f64,
    /// How far the last interval is off the baseline.
    pub off: Option<Off>,
}

impl Model {
    /// Begins with a view.
    pub fn new(first: View, interval: Duration) -> Self {
        Self {
            interval,
            base: first.clone(),
            now: first,
            step: None,
            rates: VecDeque::new(),
            sort: Sort::Time,
            paused: false,
            filter: String::new(),
            typing: false,
            help: false,
            chosen: None,
            restarts: 0,
            updates: 0,
            baseline: None,
            table: Shown::default(),
        }
    }

    /// Marks what is far off a baseline.
    pub fn compare_with(&mut self, baseline: Option<Baseline>) {
        self.baseline = baseline;
    }

    /// The name of the baseline.
    pub fn baseline(&self) -> Option<&str> {
        self.baseline
            .as_ref()
            .map(|baseline| baseline.name.as_str())
    }

    /// Takes the next view.
    pub fn update(&mut self, view: View) {
        self.updates = self.updates.wrapping_add(1);
        let seconds = view.seconds_after(&self.now).max(1e-3);
        match view.since(&self.now) {
            Some(added) => {
                let rate = added.total.exits as f64 / seconds;
                if self.rates.len() == HISTORY {
                    self.rates.pop_front();
                }
                self.rates.push_back(rate.round() as u64);
                self.step = Some((added, seconds));
            }
            None => {
                self.restarts += 1;
                self.base = view.clone();
                self.step = None;
            }
        }
        self.now = view;
    }

    /// What was added since the base.
    pub fn added(&self) -> View {
        self.now
            .since(&self.base)
            .unwrap_or_else(|| self.now.clone())
    }

    /// The rows to show, in order.
    pub fn lines(&self) -> Vec<Entry> {
        let added = self.added();
        let filter = self.filter.to_lowercase();
        let fits = |row: &&Row| {
            row.name.to_lowercase().contains(&filter) || row.symbol.to_lowercase().contains(&filter)
        };
        let off = self
            .baseline
            .as_ref()
            .zip(self.step.as_ref())
            .and_then(|(baseline, (view, seconds))| baseline.compare(view, Some(*seconds)))
            .unwrap_or_default();
        let mut lines: Vec<(u64, Entry)> = added
            .reasons
            .iter()
            .filter(|row| !row.is_empty())
            .filter(fits)
            .map(|row| {
                let step = self.step.as_ref();
                let last = step.and_then(|(view, seconds)| {
                    let last = view.row(row.reason)?;
                    let key = self.figure(last);
                    let all = self.figure(&view.total).max(1);
                    Some((key, last.exits as f64 / seconds, key as f64 / all as f64))
                });
                let (key, rate, share) = last.unwrap_or_default();
                let line = Entry {
                    row: row.clone(),
                    rate,
                    share,
                    off: off.get(&row.reason).copied(),
                };
                (key, line)
            })
            .collect();
        // By what the last interval had; by all since the base only where that is the same.
        lines.sort_by_key(|(key, line)| {
            let keys = match self.sort {
                Sort::Number => (0, 0),
                Sort::Time | Sort::Count => (*key, self.figure(&line.row)),
            };
            (Reverse(keys), line.row.reason)
        });
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// The figure by which rows are sorted, and of which their share is told.
    fn figure(&self, row: &Row) -> u64 {
        match self.sort {
            Sort::Time => row.cycles,
            Sort::Count | Sort::Number => row.exits,
        }
    }

    /// The row that is marked: the first unless one was chosen.
    pub fn chosen(&self, lines: &[Entry]) -> usize {
        let place = lines
            .iter()
            .position(|line| Some(line.row.reason) == self.chosen);
        place.unwrap_or(0)
    }

    /// Marks a row further down or up.
    pub fn choose(&mut self, by: isize) {
        let lines = self.lines();
        let place = self.chosen(&lines).saturating_add_signed(by);
        let last = lines.len().saturating_sub(1);
        self.chosen = lines.get(place.min(last)).map(|line| line.row.reason);
    }

    /// The full histogram of a reason, of all that there was since the VM was made.
    pub fn histogram_of(&self, reason: u32) -> Option<&Row> {
        self.now.row(reason).filter(|row| !row.histogram.is_empty())
    }

    /// Exits a second of the last interval.
    pub fn rate(&self) -> f64 {
        self.step
            .as_ref()
            .map_or(0.0, |(view, seconds)| view.total.exits as f64 / seconds)
    }

    /// Share of one CPU's time in which the host handled exits in the last interval.
    pub fn load(&self) -> Option<f64> {
        let (view, seconds) = self.step.as_ref()?;
        Some(view.seconds(view.total.cycles)? / seconds)
    }

    /// Exits a second of this program's own, in the last interval.
    pub fn own_rate(&self) -> f64 {
        self.step
            .as_ref()
            .map_or(0.0, |(view, seconds)| view.own_exits as f64 / seconds)
    }

    /// The last rates, the newest last.
    pub fn rates(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.rates.iter().copied()
    }

    /// Counts from now on.
    pub fn reset(&mut self) {
        self.base = self.now.clone();
        self.rates.clear();
        self.step = None;
    }

    /// The next order of rows.
    pub fn next_sort(&mut self) {
        self.sort = match self.sort {
            Sort::Time => Sort::Count,
            Sort::Count => Sort::Number,
            Sort::Number => Sort::Time,
        };
    }

    /// Longer or shorter intervals, of 100 ms to a minute.
    pub fn change_interval(&mut self, factor: f64) {
        let seconds = (self.interval.as_secs_f64() * factor).clamp(0.1, 60.0);
        self.interval = Duration::from_secs_f64(seconds);
    }

    /// The newest view.
    pub fn now(&self) -> &View {
        &self.now
    }

    /// The interval.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The order of rows.
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// Whether nothing is read.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Stops to read, or goes on.
    pub fn pause(&mut self) {
        self.paused = !self.paused;
    }

    /// The filter, and whether it is being typed.
    pub fn filter(&self) -> (&str, bool) {
        (&self.filter, self.typing)
    }

    /// Begins or ends to type the filter.
    pub fn type_filter(&mut self, typing: bool) {
        self.typing = typing;
    }

    /// The filter, to be changed.
    pub fn filter_mut(&mut self) -> &mut String {
        &mut self.filter
    }

    /// Whether the help is shown.
    pub fn help(&self) -> bool {
        self.help
    }

    /// Shows the help, or not.
    pub fn toggle_help(&mut self) {
        self.help = !self.help;
    }

    /// What the last interval added, and its length in seconds.
    pub fn step(&self) -> Option<(&View, f64)> {
        self.step.as_ref().map(|(view, seconds)| (view, *seconds))
    }

    /// How often the counters started anew.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Histograms are most of a reading: they are read once in a while only.
    pub fn wants_histogram(&self) -> bool {
        self.updates % 10 == 0
    }

    /// Takes over the histograms that a reading left out.
    pub fn keep_histograms(&mut self, view: &mut View) {
        for row in view
            .reasons
            .iter_mut()
            .filter(|row| row.histogram.is_empty())
        {
            if let Some(old) = self.now.row(row.reason) {
                row.histogram.clone_from(&old.histogram);
            }
        }
    }
}
