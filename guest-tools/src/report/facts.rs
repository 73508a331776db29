// SPDX-License-Identifier: GPL-2.0
//! What a recording tells: figures, and the answers to the course's questions.

use std::collections::BTreeMap;

use crate::recording::Recording;
use crate::units::{grouped, percent, time};
use crate::view::{cpuid, Row, View};

/// A rate is called stable if it deviates by no more than this share of the average.
pub const STABLE: f64 = 0.25;

/// What happened between two views.
#[derive(Debug, Clone)]
pub struct Step {
    /// Seconds since the recording began, at its end.
    pub at: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// What was added.
    pub added: View,
}

/// A recording, worked out.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// The command, as one line.
    pub command: Option<String>,
    /// The first view.
    pub first: View,
    /// Everything that was added, or the view itself if there is only one.
    pub added: View,
    /// The length in seconds; 0 for a single view.
    pub seconds: f64,
    /// From view to view.
    pub steps: Vec<Step>,
    /// The counters started anew meanwhile.
    pub restarts: usize,
    /// Functions of the guest's code, by addresses that exits came from.
    pub functions: BTreeMap<u64, String>,
}

impl Facts {
    /// Works a recording out.
    pub fn of(recording: &Recording) -> Option<Self> {
        let (first, last) = (recording.views.first()?, recording.views.last()?);
        let mut steps = Vec::new();
        let mut restarts = 0;
        for pair in recording.views.windows(2) {
            let [before, after] = pair else { continue };
            let added = after.since(before).unwrap_or_else(|| {
                restarts += 1;
                after.clone()
            });
            steps.push(Step {
                at: after.seconds_after(first),
                seconds: after.seconds_after(before),
                added,
            });
        }
        let added = match (recording.views.len(), restarts) {
            (1, _) => first.clone(),
            (_, 0) => last.since(first)?,
            _ => View::sum(&steps.iter().map(|step| &step.added).collect::<Vec<_>>())?,
        };
        let words = &recording.header.command;
        Some(Self {
            name: recording.name.clone(),
            command: (!words.is_empty()).then(|| words.join(" ")),
            first: first.clone(),
            added,
            seconds: last.seconds_after(first),
            steps,
            restarts,
            functions: recording.functions.clone(),
        })
    }

    /// The rows that occurred, the most of `key` first.
    pub fn most(&self, key: fn(&Row) -> u64) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self
            .added
            .reasons
            .iter()
            .filter(|row| key(row) != 0)
            .collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(key(row)), row.reason));
        rows
    }

    /// Exits a second over all; `None` for a single view.
    pub fn rate(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.added.total.exits as f64 / self.seconds)
    }

    /// The steps, but for the rest of an interval at the end, which is too short to be
    /// compared with the others.
    pub fn full_steps(&self) -> impl Iterator<Item = &Step> {
        let longest = self
            .steps
            .iter()
            .map(|step| step.seconds)
            .fold(0.0, f64::max);
        self.steps
            .iter()
            .filter(move |step| step.seconds > longest / 2.0)
    }

    /// Average and relative deviation of the rate from step to step.
    pub fn stability(&self) -> Option<(f64, f64)> {
        let rate = |step: &Step| step.added.total.exits as f64 / step.seconds;
        let rates: Vec<f64> = self.full_steps().map(rate).collect();
        if rates.len() < 3 {
            return None;
        }
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let square = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>();
        let deviation = (square / (rates.len() - 1) as f64).sqrt();
        (mean > 0.0).then_some((mean, deviation / mean))
    }

    /// The answers, a sentence each: the question, and what the figures say.
    pub fn answers(&self) -> Vec<(&'static str, String)> {
        let mut answers = Vec::new();
        answers.push(("Is the rate of exits stable?", self.answer_stable()));
        let by_count = self.most(|row| row.exits);
        let total = self.added.total.exits;
        let describe = |row: &Row| {
            let mut text = format!(
                "{} ({}), {} exits, {} of all",
                row.name,
                row.reason,
                grouped(row.exits),
                percent(row.exits, total)
            );
            if row.reason == cpuid(self.added.vendor) && self.added.own_exits != 0 {
                let own = grouped(self.added.own_exits);
                text += &format!("; {own} of them by this program's reading");
            }
            text
        };
        // What this program caused by itself says nothing about the VM.
        let foreign = |row: &&&Row| row.exits > self.added.own_of(row.reason);
        if let (Some(most), Some(least)) = (by_count.first(), by_count.iter().rev().find(foreign)) {
            answers.push(("Which reason is the most frequent?", describe(most) + "."));
            answers.push((
                "Which is the least frequent, not counting those that did not occur?",
                describe(least) + ".",
            ));
        }
        if let Some(dearest) = self.most(|row| row.cycles).first() {
            let took = self
                .added
                .nanoseconds(dearest.cycles)
                .map_or_else(|| format!("{} cycles", grouped(dearest.cycles)), time);
            let share = percent(dearest.cycles, self.added.total.cycles);
            let text = format!(
                "{} ({}): {took}, {share} of all handling time.",
                dearest.name, dearest.reason
            );
            answers.push(("Which reason took the most time?", text));
        }
        if self.steps.is_empty() {
            let text = format!("{} until it was read.", grouped(total));
            answers.push(("How many exits had this VM since it was made?", text));
        } else {
            let text = format!(
                "{}: that many the VM had from when it was made until the recording began. If that was \
                 at the end of a boot, they are the exits of the boot.",
                grouped(self.first.total.exits)
            );
            answers.push(("How many exits did a boot take?", text));
        }
        if let (Some(seconds), true) = (
            self.added.seconds(self.added.total.cycles),
            self.seconds > 0.0,
        ) {
            let share = seconds / self.seconds * 100.0;
            let text = format!(
                "{} in {}: {share:.2}% of one CPU's time.",
                time(seconds * 1e9),
                time(self.seconds * 1e9)
            );
            answers.push(("How long did the host handle exits?", text));
        }
        answers
    }

    fn answer_stable(&self) -> String {
        let Some((mean, deviation)) = self.stability() else {
            return "It was read too few times to say.".into();
        };
        let verdict = if deviation <= STABLE { "Yes" } else { "No" };
        let rate = |step: &Step| step.added.total.exits as f64 / step.seconds.max(1e-3);
        let rates = || self.full_steps().map(rate);
        let (least, most) = (
            rates().fold(f64::INFINITY, f64::min),
            rates().fold(0.0, f64::max),
        );
        let whole = |value: f64| grouped(value.round() as u64);
        format!(
            "{verdict}: {} a second on average, with a standard deviation of {:.0}% from interval to \
             interval (up to {:.0}% is called stable here); the least was {}, the most {}.",
            whole(mean),
            deviation * 100.0,
            STABLE * 100.0,
            whole(least),
            whole(most)
        )
    }
}

/// How much more exits the second has than the first: by rate, or of single views, which
/// have no length, in all.
pub fn change(first: (&Facts, u64), other: (&Facts, u64)) -> String {
    match (first.1, other.1) {
        (0, 0) => return "-".into(),
        (0, _) => return "new".into(),
        (_, 0) => return "gone".into(),
        _ => (),
    }
    let by_rate = first.0.seconds > 0.0 && other.0.seconds > 0.0;
    let figure = |(facts, exits): (&Facts, u64)| {
        if by_rate {
            exits as f64 / facts.seconds
        } else {
            exits as f64
        }
    };
    let times = figure(other) / figure(first);
    match times {
        _ if times >= 10.0 => format!("\u{d7}{times:.0}"),
        _ if times >= 0.1 => format!("\u{d7}{times:.2}"),
        _ => format!("\u{d7}{times:.4}"),
    }
}
