// SPDX-License-Identifier: GPL-2.0
//! Prometheus' text format: the one place that writes it.

use std::io::{self, Write};

use crate::view::{Row, Scope, View};

/// The upper ends of all buckets in nanoseconds: 1, 2 and 5 times each power of ten
/// from 100 ns to 10 s. They are the same for every host, whatever the frequency of its
/// clock, so that the buckets of several VMs and hosts can be added up.
pub const BUCKET_ENDS: [u64; 25] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// A label's name and its value, which is escaped when it is written.
pub type Label<'a> = (&'a str, &'a str);

/// Writes metrics, each with its help and its type before all of its samples.
pub struct Metrics<'a> {
    to: &'a mut dyn Write,
    name: &'static str,
}

impl<'a> Metrics<'a> {
    /// Writes to this place.
    pub fn new(to: &'a mut dyn Write) -> Self {
        Self { to, name: "" }
    }

    /// Begins a metric, of the type `counter`, `gauge` or `histogram`.
    pub fn begin(&mut self, name: &'static str, kind: &str, help: &str) -> io::Result<()> {
        self.name = name;
        writeln!(self.to, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    /// Writes a sample of the metric that was begun.
    pub fn sample(&mut self, labels: &[Label<'_>], value: &str) -> io::Result<()> {
        self.part("", labels, value)
    }

    /// Writes a sample of a histogram: its name ends with `suffix`.
    fn part(&mut self, suffix: &str, labels: &[Label<'_>], value: &str) -> io::Result<()> {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        let (name, labels) = (self.name, labels.join(","));
        match labels.as_str() {
            "" => writeln!(self.to, "{name}{suffix} {value}"),
            labels => writeln!(self.to, "{name}{suffix}{{{labels}}} {value}"),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A metric of a row: its name, its help, and its value.
type OfRow = (
    &'static str,
    &'static str,
    fn(&View, &Row) -> Option<String>,
);

/// Prometheus wants times in seconds, so they are left out where the frequency of the
/// clock is not known.
const OF_ROWS: [OfRow; 9] = [
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
        "vmxscope_scheduled_out_seconds_total",
        "Time for which the threads of vCPUs were scheduled out while they handled exits.",
        |view, row| seconds(view, more(view, row.scheduled_out)?),
    ),
    (
        "vmxscope_entry_seconds_total",
        "Time from the handling of exits to the next entry, where KVM measures it.",
        |view, row| seconds(view, more(view, row.entry)?),
    ),
    (
        "vmxscope_guest_seconds_total",
        "Time in the guest until exits.",
        |view, row| seconds(view, more(view, row.guest)?),
    ),
    (
        "vmxscope_nested_exits_total",
        "VM exits taken from nested guests.",
        |view, row| Some(more(view, row.nested)?.to_string()),
    ),
    (
        "vmxscope_dropped_timings_total",
        "VM exits without a time because the clock went backwards.",
        |view, row| Some(more(view, row.dropped)?.to_string()),
    ),
];

/// A metric of a view: its name, its help, and its value.
type OfView = (&'static str, &'static str, fn(&View) -> Option<u64>);

const OF_VIEWS: [OfView; 3] = [
    (
        "vmxscope_failed_entries_total",
        "VM entries that failed before the guest ran.",
        |view| more(view, view.failed_entries?),
    ),
    (
        "vmxscope_emulated_entries_total",
        "VM entries that KVM emulated instead.",
        |view| more(view, view.emulated_entries?),
    ),
    (
        "vmxscope_own_exits_total",
        "VM exits by which this program reads a guest's figures.",
        |view| (view.kind == Scope::Guest).then_some(view.own_exits),
    ),
];

/// A figure, unless only counts and cycles are known.
fn more(view: &View, figure: u64) -> Option<u64> {
    (!view.counts_only).then_some(figure)
}

fn seconds(view: &View, cycles: u64) -> Option<String> {
    view.seconds(cycles).map(|seconds| format!("{seconds:.9}"))
}

/// Writes all views, each metric's samples together.
pub fn views(to: &mut dyn Write, views: &[View]) -> io::Result<()> {
    let rows = || {
        let of_view = |view| move |row| (view, row);
        views
            .iter()
            .flat_map(move |view| view.reasons.iter().map(of_view(view)))
    };
    let mut metrics = Metrics::new(to);
    for (name, help, value) in OF_ROWS {
        metrics.begin(name, "counter", help)?;
        for (view, row) in rows() {
            if let Some(value) = value(view, row) {
                let number = row.reason.to_string();
                metrics.sample(&labels(view, row, &number), &value)?;
            }
        }
    }
    for (name, help, value) in OF_VIEWS {
        metrics.begin(name, "counter", help)?;
        for view in views {
            if let Some(value) = value(view) {
                metrics.sample(&[("vm", &view.vm)], &value.to_string())?;
            }
        }
    }
    metrics.begin(
        "vmxscope_source_info",
        "gauge",
        "Who counts the exits: kvm itself, or vmx_exits beside it.",
    )?;
    for view in views {
        if let Some(counter) = view.counted_by {
            metrics.sample(&[("vm", &view.vm), ("source", counter.symbol())], "1")?;
        }
    }
    let timed: Vec<(&View, &Row)> = rows()
        .filter(|(view, row)| view.tsc_khz != 0 && !row.histogram.is_empty())
        .collect();
    if timed.is_empty() {
        return Ok(());
    }
    metrics.begin(
        "vmxscope_exit_handling_seconds",
        "histogram",
        "Handling time of one VM exit.",
    )?;
    for (view, row) in timed {
        histogram(&mut metrics, view, row)?;
    }
    Ok(())
}

fn labels<'a>(view: &'a View, row: &'a Row, number: &'a str) -> [Label<'a>; 3] {
    [
        ("vm", &view.vm),
        ("reason", &row.symbol),
        ("number", number),
    ]
}

/// Writes every bucket, empty ones too. A bucket of cycles counts as its upper end, so a
/// quantile is never below the true one.
fn histogram(metrics: &mut Metrics<'_>, view: &View, row: &Row) -> io::Result<()> {
    let number = row.reason.to_string();
    let labels = labels(view, row, &number);
    let end = |log2: u32| 2f64.powi(log2 as i32 + 1) * 1e6 / f64::from(view.tsc_khz);
    let all: u64 = row.histogram.iter().map(|bucket| bucket.exits).sum();
    for limit in BUCKET_ENDS {
        let below = row
            .histogram
            .iter()
            .filter(|bucket| end(bucket.log2) <= limit as f64)
            .map(|bucket| bucket.exits)
            .sum::<u64>();
        let le = (limit as f64 / 1e9).to_string();
        let with_end = [&labels[..], &[("le", le.as_str())]].concat();
        metrics.part("_bucket", &with_end, &below.to_string())?;
    }
    let with_end = [&labels[..], &[("le", "+Inf")]].concat();
    metrics.part("_bucket", &with_end, &all.to_string())?;
    metrics.part(
        "_sum",
        &labels,
        &seconds(view, row.cycles).unwrap_or_default(),
    )?;
    metrics.part("_count", &labels, &all.to_string())
}
