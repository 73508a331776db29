// SPDX-License-Identifier: GPL-2.0
//! Causes as tables, JSON, comma-separated values and metrics.

use std::collections::BTreeMap;

use exit_stats::causes::ENTRIES;
use exit_stats::reason::Vendor;
use serde::Serialize;

use super::advice::{that_applies, Advice};
use super::model::{Cause, CauseKind, Causes, Source};
use super::names::{action, key, Names};
use super::reasons;
use crate::error::Result;
use crate::output::Output;
use crate::prometheus::Metrics;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, percent, time};

const CAUSES: [Column; 7] = [
    figures("exits", 0),
    figures("per second", 1),
    figures("share", 2),
    TIME,
    words("what"),
    words("key"),
    words("name"),
];
const PLACES: [Column; 7] = [
    figures("exits", 0),
    figures("per second", 1),
    figures("share", 2),
    TIME,
    words("reason"),
    words("address"),
    words("function"),
];
/// Handling time, where it is known; its place is that of [`CAUSES`] and [`PLACES`].
const TIME: Column = figures("time", 3);
const TIME_AT: usize = 3;
/// Prints causes, places, and what to do about them.
pub fn tables(causes: &Causes, top: usize, names: &Names, out: &mut Output<'_>) -> Result<()> {
    head(causes, out)?;
    if causes.exits == 0 {
        writeln!(out, "No VM ran meanwhile.")?;
        return notes(causes, out);
    }
    let timed = causes.is_timed();
    let cells = |cause: &Cause, last: [String; 3]| {
        let mut cells = vec![
            grouped(cause.exits),
            rate(causes, cause.exits),
            percent(cause.exits, causes.exits),
        ];
        if timed {
            cells.push(causes.time(cause).map_or("-".into(), time));
        }
        cells.extend(last);
        cells
    };
    let columns = |mut columns: Vec<Column>| {
        if !timed {
            columns.remove(TIME_AT);
        }
        columns
    };
    let rows = causes.causes.iter().take(top).map(|cause| {
        let name = names.of(cause).unwrap_or_default();
        cells(cause, [action(cause.kind).into(), key(cause), name])
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table::print(out, &columns(CAUSES.to_vec()), &rows, 0)?;
    left_out(causes.causes.len(), top, "causes", out)?;
    writeln!(out)?;
    let rows = causes.places.iter().take(top).map(|cause| {
        let reason = cause.reason.map(|reason| causes.symbol(reason));
        let rip = cause.rip.unwrap_or_default();
        let function = names.function(rip).unwrap_or_default();
        let last = [reason.unwrap_or_default(), format!("{rip:#x}"), function];
        cells(cause, last)
    });
    let rows: Vec<Vec<String>> = rows.collect();
    table::print(out, &columns(PLACES.to_vec()), &rows, 0)?;
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

pub(super) fn head(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    let vendor = match causes.vendor {
        Vendor::Vmx => "VMX",
        Vendor::Svm => "SVM",
    };
    let text = format!(
        "{} exits of {} in {:.2} s, {} a second ({vendor}):",
        grouped(causes.exits),
        match (causes.source, &causes.vm) {
            (Source::Ftrace, _) => "all VMs".into(),
            (Source::Kept, None) => "this VM".into(),
            (Source::Kept, Some(vm)) => format!("VM {vm}"),
        },
        causes.seconds,
        rate(causes, causes.exits)
    );
    let text = out.look.bold(&text);
    writeln!(out, "{text}")
}

/// What a reader has to know about the figures.
pub(super) fn notes(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
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
        Source::Kept => how_exact(causes),
    };
    let text = out.look.dim(&text);
    writeln!(out, "{text}")
}

/// How exact the causes are that the host kept.
pub fn how_exact(causes: &Causes) -> String {
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

pub(super) fn rate(causes: &Causes, exits: u64) -> String {
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
    cycles: Option<u64>,
    error: u64,
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
            cycles: cause.cycles,
            error: cause.error,
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
    reasons::prometheus(causes, out)?;
    causes_prometheus(causes, top, names, out)
}

/// Prints those of causes only.
pub fn causes_prometheus(
    causes: &Causes,
    top: usize,
    names: &Names,
    out: &mut Output<'_>,
) -> Result<()> {
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
