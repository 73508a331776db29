// SPDX-License-Identifier: GPL-2.0
//! Views for programs: JSON, comma-separated values, Prometheus' text format.

use std::io::Write;

use serde::Serialize;

use crate::args::Form;
use crate::error::{Error, Result};
use crate::view::{Kind, Row, View};

/// Prints a value as JSON, for people to read too.
pub fn json(out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(|error| Error::Output(error.into()))?;
    Ok(writeln!(out)?)
}

/// Refuses `--prometheus` where there is nothing to be scraped.
pub fn no_metrics(form: &Form, what: &str) -> Result<()> {
    match form.prometheus {
        true => Err(Error::Usage(format!(
            "{what} are no metrics: --prometheus goes with exits, stat, vms, caps and caps common"
        ))),
        false => Ok(()),
    }
}

/// Reads a view that [`json`] printed. `file` is its name for messages.
pub fn parse_view(text: &str, file: &str) -> Result<View> {
    let view: View = serde_json::from_str(text)
        .map_err(|error| Error::input(file, error.line(), format!("not a saved view: {error}")))?;
    if view.format != crate::view::FORMAT {
        return Err(Error::input(
            file,
            0,
            format!(
                "its format is {:?}, and this vmxscope reads {:?}",
                view.format,
                crate::view::FORMAT
            ),
        ));
    }
    Ok(view)
}

/// What the csv crate's errors are to us.
pub fn csv_error(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::Output(error),
        other => Error::Output(std::io::Error::other(format!("{other:?}"))),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    vm: &'a str,
    reason: u32,
    symbol: &'a str,
    name: &'a str,
    exits: u64,
    cycles: u64,
    nanoseconds: Option<u64>,
    average_cycles: Option<u64>,
    min_cycles: Option<u64>,
    max_cycles: Option<u64>,
    p50_cycles: Option<u64>,
    p99_cycles: Option<u64>,
    blocked_cycles: Option<u64>,
    userspace_cycles: Option<u64>,
    nested_exits: Option<u64>,
    dropped_timings: Option<u64>,
}

/// A figure, unless only counts and cycles are known.
fn more(view: &View, figure: u64) -> Option<u64> {
    (!view.counts_only).then_some(figure)
}

/// All rows of all views.
fn rows(views: &[View]) -> impl Iterator<Item = (&View, &Row)> {
    views
        .iter()
        .flat_map(|view| view.reasons.iter().map(move |row| (view, row)))
}

/// Prints a line for each row, after a line of headings.
pub fn csv(out: &mut dyn Write, views: &[View]) -> Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    for (view, row) in rows(views) {
        csv.serialize(Line {
            vm: &view.vm,
            reason: row.reason,
            symbol: &row.symbol,
            name: &row.name,
            exits: row.exits,
            cycles: row.cycles,
            nanoseconds: view.nanoseconds(row.cycles).map(|ns| ns.round() as u64),
            average_cycles: row.average(),
            min_cycles: more(view, row.min),
            max_cycles: more(view, row.max),
            p50_cycles: row.quantile(0.5),
            p99_cycles: row.quantile(0.99),
            blocked_cycles: more(view, row.blocked),
            userspace_cycles: more(view, row.userspace),
            nested_exits: more(view, row.nested),
            dropped_timings: more(view, row.dropped),
        })
        .map_err(csv_error)?;
    }
    Ok(csv.flush()?)
}

/// A metric: its name, its help, and its value for a row.
type Metric = (
    &'static str,
    &'static str,
    fn(&View, &Row) -> Option<String>,
);

/// Times are in seconds, as Prometheus wants them, so they are left out where the
/// clock's frequency is not known.
const METRICS: [Metric; 6] = [
    ("vmxscope_exits_total", "VM exits.", |_, row| {
        Some(row.exits.to_string())
    }),
    (
        "vmxscope_handling_seconds_total",
        "Time in which KVM handled exits.",
        |view, row| seconds(view, row.cycles),
    ),
    (
        "vmxscope_blocked_seconds_total",
        "Time for which vCPUs slept or polled in KVM after exits.",
        |view, row| seconds(view, more(view, row.blocked)?),
    ),
    (
        "vmxscope_userspace_seconds_total",
        "Time for which KVM had returned to the VMM because of exits.",
        |view, row| seconds(view, more(view, row.userspace)?),
    ),
    (
        "vmxscope_nested_exits_total",
        "VM exits taken from nested guests.",
        |view, row| Some(more(view, row.nested)?.to_string()),
    ),
    (
        "vmxscope_dropped_timings_total",
        "VM exits without a time, for the clock went backwards.",
        |view, row| Some(more(view, row.dropped)?.to_string()),
    ),
];

fn seconds(view: &View, cycles: u64) -> Option<String> {
    view.seconds(cycles).map(|seconds| format!("{seconds:.9}"))
}

/// Prints all views in Prometheus' text format, each metric's lines together.
pub fn prometheus(out: &mut dyn Write, views: &[View]) -> Result<()> {
    for (name, help, value) in METRICS {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter")?;
        for (view, row) in rows(views) {
            if let Some(value) = value(view, row) {
                let labels = labels(view, row);
                writeln!(out, "{name}{{{labels}}} {value}")?;
            }
        }
    }
    for (name, help, of) in [
        (
            "vmxscope_failed_entries_total",
            "VM entries that failed before the guest ran.",
            (|view| more(view, view.failed_entries)) as fn(&View) -> Option<u64>,
        ),
        (
            "vmxscope_emulated_entries_total",
            "VM entries that KVM emulated instead.",
            |view| more(view, view.emulated_entries),
        ),
        (
            "vmxscope_own_exits_total",
            "VM exits by which this program reads a guest's figures.",
            |view| (view.kind == Kind::Guest).then_some(view.own_exits),
        ),
    ] {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter")?;
        for view in views {
            if let Some(value) = of(view) {
                writeln!(out, "{name}{{vm=\"{}\"}} {value}", escape(&view.vm))?;
            }
        }
    }
    histograms(out, views)
}

fn histograms(out: &mut dyn Write, views: &[View]) -> Result<()> {
    let name = "vmxscope_exit_handling_seconds";
    let mut headed = false;
    for view in views.iter().filter(|view| view.tsc_khz != 0) {
        for row in view.reasons.iter().filter(|row| !row.histogram.is_empty()) {
            if !headed {
                writeln!(
                    out,
                    "# HELP {name} Handling time of one VM exit.\n# TYPE {name} histogram"
                )?;
                headed = true;
            }
            let labels = labels(view, row);
            let mut below = 0;
            for bucket in &row.histogram {
                below += bucket.exits;
                let end = 2f64.powi(bucket.log2 as i32 + 1) / (f64::from(view.tsc_khz) * 1e3);
                writeln!(out, "{name}_bucket{{{labels},le=\"{end:e}\"}} {below}")?;
            }
            writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {below}")?;
            writeln!(
                out,
                "{name}_sum{{{labels}}} {}",
                seconds(view, row.cycles).unwrap_or_default()
            )?;
            writeln!(out, "{name}_count{{{labels}}} {below}")?;
        }
    }
    Ok(())
}

fn labels(view: &View, row: &Row) -> String {
    format!(
        "vm=\"{}\",reason=\"{}\",number=\"{}\"",
        escape(&view.vm),
        escape(&row.symbol),
        row.reason
    )
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
