// SPDX-License-Identifier: GPL-2.0
//! The exits by reason, as ftrace counted them.

use serde::Serialize;

use super::model::{Causes, Source};
use super::show::{head, notes, rate};
use crate::error::Result;
use crate::output::Output;
use crate::prometheus::Metrics;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, percent};

const REASONS: [Column; 5] = [
    figures("no.", 0),
    words("reason"),
    figures("exits", 0),
    figures("share", 0),
    figures("per second", 1),
];

/// Prints the exits by reason as metrics.
pub(super) fn prometheus(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    let mut write = || {
        let mut metrics = Metrics::new(out.to);
        metrics.begin(
            "vmxscope_measured_seconds",
            "gauge",
            "For how long exits were counted.",
        )?;
        let by = match causes.source {
            Source::Ftrace => "ftrace",
            Source::Kept => "host",
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
pub(super) fn table(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
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
pub(super) fn csv(causes: &Causes, out: &mut Output<'_>) -> Result<()> {
    out.csv(causes.reasons.iter().map(|cause| ReasonRow {
        reason: cause.reason,
        symbol: causes.symbol(cause.reason.unwrap_or_default()),
        exits: cause.exits,
        per_second: causes.rate(cause.exits),
    }))
}
