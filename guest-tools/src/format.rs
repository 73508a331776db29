// SPDX-License-Identifier: GPL-2.0
//! Views for programs: JSON, comma-separated values, Prometheus' text format.

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::output::Output;
use crate::prometheus;
use crate::view::{Row, View};

/// The form of the output; a table without one.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Form")]
pub struct Form {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with a header line
    #[arg(long)]
    pub csv: bool,
    /// Print Prometheus' text format
    #[arg(long)]
    pub prometheus: bool,
}

/// The form of what is no metric.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Form")]
pub struct TableForm {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with a header line
    #[arg(long)]
    pub csv: bool,
}

/// Refuses `--prometheus` where there is nothing to be scraped.
pub fn no_metrics(form: &Form, what: &str) -> Result<()> {
    if form.prometheus {
        Err(Error::Usage(format!(
            "{what} are no metrics: --prometheus goes with exits, stat, vms, caps and caps common"
        )))
    } else {
        Ok(())
    }
}

#[derive(Serialize)]
struct ExitsRow<'a> {
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
    scheduled_out_cycles: Option<u64>,
    entry_cycles: Option<u64>,
    guest_cycles: Option<u64>,
    nested_exits: Option<u64>,
    dropped_timings: Option<u64>,
}

/// A figure, unless only counts and cycles are known.
fn more(view: &View, figure: u64) -> Option<u64> {
    (!view.counts_only).then_some(figure)
}

/// Prints a line for each row, after a line of headings.
pub fn csv(out: &mut Output<'_>, views: &[View]) -> Result<()> {
    let of_view = |view| move |row| line(view, row);
    out.csv(
        views
            .iter()
            .flat_map(|view| view.reasons.iter().map(of_view(view))),
    )
}

fn line<'a>(view: &'a View, row: &'a Row) -> ExitsRow<'a> {
    ExitsRow {
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
        scheduled_out_cycles: more(view, row.scheduled_out),
        entry_cycles: more(view, row.entry),
        guest_cycles: more(view, row.guest),
        nested_exits: more(view, row.nested),
        dropped_timings: more(view, row.dropped),
    }
}

/// Prints all views in Prometheus' text format.
pub fn prometheus(out: &mut Output<'_>, views: &[View]) -> Result<()> {
    let result = prometheus::views(out.to, views);
    out.told(result)
}
