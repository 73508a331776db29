// SPDX-License-Identifier: GPL-2.0
//! Causes as tables, JSON, comma-separated values and metrics.

use std::collections::BTreeMap;

use exit_stats::causes::ENTRIES;
use exit_stats::reason::Vendor;
use serde::Serialize;

use super::advice::{that_applies, Advice};
use super::model::{Cause, CauseKind, Causes, Source};
use super::names::{action, key, Names};
use crate::error::Result;
use crate::output::Output;
use crate::prometheus::Metrics;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, percent};

const CAUSES: [Column; 6] = [
    figures("exits", 0),
    figures("per second", 1),
    figures("share", 2),
    words("what"),
    words("key"),
    words("name"),
];
const PLACES: [Column; 6] = [
    figures("exits", 0),
    figures("per second", 1),
    figures("share", 2),
    words("reason"),
    words("address"),
    words("function"),
];
const REASONS: [Column; 5] = [
    figures("no.", 0),
    words("reason"),
    figures("exits", 0),
    figures("share", 0),
    figures("per second", 1),
];

/// Prints causes, places, and what to do about them.
pub fn tables(causes: &Causes, top: usize, names: &Names, out: &mut Output<'_>) -> Result<()> {
    head(causes, out)?;
    if causes.exits == 0 {
        writeln!(out, "No VM ran meanwhile.")?;
        return notes(causes, out);
    }
    let cells = |cause: &Cause, last: [String; 3]| {
        let counts = [
            grouped(cause.exits),
            rate(causes, cause.exits),
            percent(cause.exits, causes.exits),
        ];
        [counts, last].concat()
    };
    let rows = causes.causes.iter().take(top).map(|cause| {
        let name = names.of(cause).unwrap_or_default();
        cells(cause, [action(cause.kind).into(), key(cause), name])
    });
    table::print(out, &CAUSES, &rows.collect::<Vec<_>>(), 0)?;
    left_out(causes.causes.len(), top, "causes", out)?;
    writeln!(out)?;
    let rows = causes.places.iter().take(top).map(|cause| {
        let reason = cause.reason.map(|reason| causes.symbol(reason));
        let rip = cause.rip.unwrap_or_default();
        let function = names.function(rip).unwrap_or_default();
        cells(
            cause,
            [reason.unwrap_or_default(), format!("{rip:#x}"), function],
        )
    });
    table::print(out, &PLACES, &rows.collect::<Vec<_>>(), 0)?;
    left_out(causes.places.len(), top, "places in the guest's code", out)?;
    let advice = that_applies(causes)?;
    if !advice.is_empty() {
        writeln!(out)?;
        for advice in &advice {
            writeln!(out, "{}", advice.line())?;
            let source = out.look.dim(&format!("  source: {}", advice.source));
            writeln!(out, "{source}")?;
        }
    }
    writeln!(out)?;
    notes(causes, out)
}

fn left_out(rows: usize, top: usize, what: &str, out: &mut Output<'_>) -> Result<()> {
    if rows > top {
        writeln!(out, "{top} of {} {what} are shown.", grouped(rows as u64))
    } else {
        Ok(())
    }
}

fn head(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    let vendor = match causes.vendor {
        Vendor::Vmx => "VMX",
        Vendor::Svm => "SVM",
    };
    let text = format!(
        "{} exits of {} in {:.2} s, {} a second ({vendor}):",
        grouped(causes.exits),
        match causes.source {
            Source::Ftrace => "all VMs",
            Source::Leaf => "this VM",
        },
        causes.seconds,
        rate(causes, causes.exits)
    );
    let text = out.look.bold(&text);
    writeln!(out, "{text}")
}

/// What a reader has to know about the figures.
fn notes(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    for (what, events) in &causes.dropped {
        let events = grouped(*events);
        writeln!(
            out,
            "ftrace's table of {what} was full: {events} events are in no line. A shorter time helps."
        )?;
    }
    let text = match causes.source {
        Source::Ftrace => {
            "Counted by ftrace: no times, all VMs together, and an access that KVM takes in \
             several steps counts as several."
                .into()
        }
        Source::Leaf => kept(causes),
    };
    let text = out.look.dim(&text);
    writeln!(out, "{text}")
}

/// How exact the causes are that the host kept.
fn kept(causes: &Causes) -> String {
    let errors = causes.causes.iter().chain(&causes.places);
    let error = errors.map(|cause| cause.error).max().unwrap_or(0);
    match (error, causes.rest) {
        (0, 0) => "Kept by the host, exactly.".into(),
        (error, rest) => format!(
            "Kept by the host, which has room for {ENTRIES} causes a vCPU. There were more, so {} \
             exits are in no line, and up to {} of them may belong to one.",
            grouped(rest),
            grouped(error)
        ),
    }
}

fn rate(causes: &Causes, exits: u64) -> String {
    let rate = causes.rate(exits);
    if rate < 9.95 {
        format!("{rate:.1}")
    } else {
        grouped(rate.round() as u64)
    }
}

#[derive(Serialize)]
struct WithAdvice<'a> {
    #[serde(flatten)]
    causes: &'a Causes,
    names: Vec<CauseRow<'a>>,
    advice: Vec<Advice>,
}

/// Prints all of it, with names beside it and the rules that apply.
pub fn json(causes: &Causes, names: &Names, out: &mut Output<'_>) -> Result<()> {
    let advice = that_applies(causes)?;
    let names = lines(causes, names).collect();
    out.json(&WithAdvice {
        causes,
        names,
        advice,
    })
}

#[derive(Serialize)]
struct CauseRow<'a> {
    table: &'a str,
    kind: CauseKind,
    reason: Option<String>,
    key: Option<String>,
    rip: Option<String>,
    name: Option<String>,
    exits: u64,
    per_second: f64,
}

fn lines<'a>(causes: &'a Causes, names: &'a Names) -> impl Iterator<Item = CauseRow<'a>> {
    let tables = [
        ("reasons", &causes.reasons),
        ("causes", &causes.causes),
        ("places", &causes.places),
    ];
    tables.into_iter().flat_map(move |(table, rows)| {
        rows.iter().map(move |cause| CauseRow {
            table,
            kind: cause.kind,
            reason: cause.reason.map(|reason| causes.symbol(reason)),
            key: cause.key.map(|key| format!("{key:#x}")),
            rip: cause.rip.map(|rip| format!("{rip:#x}")),
            name: match cause.rip {
                Some(rip) => names.function(rip),
                None => names.of(cause),
            },
            exits: cause.exits,
            per_second: causes.rate(cause.exits),
        })
    })
}

/// Prints a line for each reason, cause and place.
pub fn csv(causes: &Causes, names: &Names, out: &mut Output<'_>) -> Result<()> {
    out.csv(lines(causes, names))
}

/// Prints metrics. They have no more than `top` samples of causes, and for each kind one of
/// all others, so that a guest cannot make as many labels as it likes.
pub fn prometheus(causes: &Causes, top: usize, names: &Names, out: &mut Output<'_>) -> Result<()> {
    reasons_prometheus(causes, out)?;
    let mut samples = Vec::new();
    let mut others = BTreeMap::<CauseKind, u64>::new();
    for (place, cause) in causes.causes.iter().enumerate() {
        if place < top {
            let name = names.of(cause).unwrap_or_default();
            samples.push((action(cause.kind), key(cause), name, cause.exits));
        } else {
            *others.entry(cause.kind).or_default() += cause.exits;
        }
    }
    for (kind, exits) in others {
        samples.push((action(kind), "others".into(), String::new(), exits));
    }
    let mut write = || {
        let mut metrics = Metrics::new(out.to);
        let help = "VM exits by what they were about, in the time that was measured.";
        metrics.begin("vmxscope_cause_exits", "gauge", help)?;
        for (what, key, name, exits) in &samples {
            let labels = [("what", *what), ("key", key), ("name", name)];
            metrics.sample(&labels, &exits.to_string())?;
        }
        Ok(())
    };
    let result = write();
    out.told(result)
}

/// Prints the exits by reason as metrics.
pub fn reasons_prometheus(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    let mut write = || {
        let mut metrics = Metrics::new(out.to);
        metrics.begin(
            "vmxscope_measured_seconds",
            "gauge",
            "For how long exits were counted.",
        )?;
        let by = match causes.source {
            Source::Ftrace => "ftrace",
            Source::Leaf => "host",
        };
        metrics.sample(&[("by", by)], &format!("{:.6}", causes.seconds))?;
        let help = "VM exits by reason, in the time that was measured.";
        metrics.begin("vmxscope_measured_exits", "gauge", help)?;
        for cause in &causes.reasons {
            let reason = cause.reason.unwrap_or_default();
            let (symbol, number) = (causes.symbol(reason), reason.to_string());
            let labels = [("reason", symbol.as_str()), ("number", number.as_str())];
            metrics.sample(&labels, &cause.exits.to_string())?;
        }
        let help = "Events that found ftrace's table full.";
        metrics.begin("vmxscope_dropped_events", "gauge", help)?;
        for (table, events) in &causes.dropped {
            metrics.sample(&[("table", table)], &events.to_string())?;
        }
        Ok(())
    };
    let result = write();
    out.told(result)
}

/// Prints the exits by reason as a table.
pub fn reasons(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    head(causes, out)?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for cause in &causes.reasons {
        let reason = cause.reason.unwrap_or_default();
        let name = causes.vendor.name(reason);
        rows.push(vec![
            reason.to_string(),
            name.map_or_else(
                || causes.symbol(reason),
                |name| name.to_string_lossy().into(),
            ),
            grouped(cause.exits),
            percent(cause.exits, causes.exits),
            rate(causes, cause.exits),
        ]);
    }
    rows.push(vec![
        String::new(),
        "All exits".into(),
        grouped(causes.exits),
        percent(causes.exits, causes.exits),
        rate(causes, causes.exits),
    ]);
    table::print(out, &REASONS, &rows, 1)?;
    notes(causes, out)
}

#[derive(Serialize)]
struct ReasonRow {
    reason: Option<u32>,
    symbol: String,
    exits: u64,
    per_second: f64,
}

/// Prints the exits by reason as comma-separated values.
pub fn reasons_csv(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    out.csv(causes.reasons.iter().map(|cause| ReasonRow {
        reason: cause.reason,
        symbol: causes.symbol(cause.reason.unwrap_or_default()),
        exits: cause.exits,
        per_second: causes.rate(cause.exits),
    }))
}
