// SPDX-License-Identifier: GPL-2.0
//! `vmxscope stat -I`: a line a reason for each interval, for other programs.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::args::StatArgs;
use crate::child::{Event, Events};
use crate::error::Result;
use crate::guest::Wanted;
use crate::output::Output;
use crate::source::Source;
use crate::view::View;

/// A reason in an interval.
#[derive(Serialize)]
struct IntervalRow<'a> {
    /// From the start to the end of the interval.
    seconds: f64,
    /// The interval's length.
    interval: f64,
    vm: &'a str,
    reason: u32,
    symbol: &'a str,
    exits: u64,
    exits_per_second: f64,
    cycles: u64,
    handling_seconds: Option<f64>,
    /// Exits by which this program itself read.
    own: u64,
    /// The other times, in cycles; nothing where only exits and cycles are known.
    blocked_cycles: Option<u64>,
    userspace_cycles: Option<u64>,
    scheduled_out_cycles: Option<u64>,
    entry_cycles: Option<u64>,
    guest_cycles: Option<u64>,
}

/// Prints until the command ends, the time is over, or a signal comes.
pub(super) fn run(
    source: &Source<'_>,
    events: &Events,
    args: &StatArgs,
    interval: Duration,
    out: &mut Output<'_>,
) -> Result<u8> {
    let mut before = source.read(Wanted::FIGURES)?;
    let command = args.commands().into_iter().next();
    let running = command.map(|words| events.start(&words)).transpose()?;
    let start = Instant::now();
    let end = args.duration.map(|duration| start + duration);
    let (mut next, mut last) = (start + interval, start);
    let (mut status, mut over, mut headed) = (0, false, args.form.json);
    while !over {
        let until = end.map_or(next, |end| end.min(next));
        match events.wait(Some(until.saturating_duration_since(Instant::now()))) {
            Some(Event::Ended(ended)) => {
                status = ended?.status;
                over = true;
            }
            Some(Event::Signal(signal)) => match running {
                Some(running) => {
                    running.pass_on(signal);
                    continue;
                }
                None => over = true,
            },
            None => over = end.is_some_and(|end| Instant::now() >= end),
        }
        let (view, now) = (source.read(Wanted::FIGURES)?, Instant::now());
        let (seconds, length) = (
            (now - start).as_secs_f64(),
            (now - last).as_secs_f64().max(1e-9),
        );
        let added = view.added_since(&before)?;
        print(&lines(&added, seconds, length), &mut headed, args, out)?;
        (before, last) = (view, now);
        // What was missed while the machine was busy is not made up for.
        while next <= now {
            next += interval;
        }
    }
    Ok(status)
}

fn lines(added: &View, seconds: f64, interval: f64) -> Vec<IntervalRow<'_>> {
    let rows = added.reasons.iter().filter(|row| !row.is_empty());
    let time = |cycles| (!added.counts_only).then_some(cycles);
    rows.map(|row| IntervalRow {
        seconds,
        interval,
        vm: &added.vm,
        reason: row.reason,
        symbol: &row.symbol,
        exits: row.exits,
        exits_per_second: row.exits as f64 / interval,
        cycles: row.cycles,
        handling_seconds: added.seconds(row.cycles),
        own: added.own_of(row.reason),
        blocked_cycles: time(row.blocked),
        userspace_cycles: time(row.userspace),
        scheduled_out_cycles: time(row.scheduled_out),
        entry_cycles: time(row.entry),
        guest_cycles: time(row.guest),
    })
    .collect()
}

/// Prints lines, with a line of headings before the first.
fn print(
    lines: &[IntervalRow<'_>],
    headed: &mut bool,
    args: &StatArgs,
    out: &mut Output<'_>,
) -> Result<()> {
    if args.form.json {
        for line in lines {
            let text = serde_json::to_string(line).unwrap_or_default();
            writeln!(out, "{text}")?;
        }
    } else if !lines.is_empty() {
        out.csv_part(lines, !*headed)?;
        *headed = true;
    }
    out.flush()
}
