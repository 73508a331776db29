// SPDX-License-Identifier: GPL-2.0
//! `vmxscope diff`: two recordings, or two saved views, side by side.

use exit_stats::abi;
use serde::Serialize;

use crate::args::DiffArgs;
use crate::error::{Error, Result};
use crate::output::Output;
use crate::recording;
use crate::report::facts::{change, Facts};
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, time};
use crate::view::Sort;
use crate::view::{Row, View};

const COLUMNS: [Column; 8] = [
    figures("no.", 3),
    words("reason"),
    figures("a", 0),
    figures("b", 0),
    figures("change", 0),
    figures("a average", 2),
    figures("b average", 2),
    figures("b time", 1),
];

/// A reason of both; rates are a second, or of single views all there were.
#[derive(Serialize)]
struct DiffRow {
    reason: u32,
    symbol: String,
    name: String,
    a_exits: f64,
    b_exits: f64,
    a_cycles: f64,
    b_cycles: f64,
    change: String,
    a_average_cycles: Option<u64>,
    b_average_cycles: Option<u64>,
}

/// Runs the command.
pub fn run(args: &DiffArgs, out: &mut Output<'_>) -> Result<()> {
    let open = |path| {
        let recording = recording::open(path)?;
        let problem = "its views do not follow one another";
        Facts::of(&recording).ok_or_else(|| Error::input(&recording.name, 0, problem))
    };
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let mut lines = lines(&a, &b);
    let key = |line: &DiffRow| match args.sort {
        Sort::Time => line.a_cycles.max(line.b_cycles),
        Sort::Count => line.a_exits.max(line.b_exits),
        Sort::Number => 0.0,
    };
    lines.sort_by(|one, other| key(other).total_cmp(&key(one)));
    lines.truncate(args.top.unwrap_or(usize::MAX));
    if args.form.json {
        return out.json(&lines);
    }
    if args.form.csv {
        return out.csv(&lines);
    }
    lines.push(line(&a, &b, &a.added.total, &b.added.total));
    let rows: Vec<Vec<String>> = lines.iter().map(|line| cells(line, &a, &b)).collect();
    writeln!(out, "a: {}\nb: {}\n", a.name, b.name)?;
    table::print(out, &COLUMNS, &rows, 1)?;
    if a.seconds > 0.0 && b.seconds > 0.0 {
        writeln!(out, "Exits and time are of a second.")
    } else {
        writeln!(
            out,
            "All exits are compared: a saved view does not tell in what time they were."
        )
    }
}

fn lines(a: &Facts, b: &Facts) -> Vec<DiffRow> {
    let occurred = |facts: &Facts| {
        facts
            .most(|row| row.exits)
            .into_iter()
            .map(|row| row.reason)
            .collect()
    };
    let mut numbers: Vec<u32> = occurred(a);
    numbers.extend::<Vec<u32>>(occurred(b));
    numbers.sort_unstable();
    numbers.dedup();
    numbers
        .into_iter()
        .map(|number| {
            let row = |view: &View| {
                let found = view.row(number).cloned();
                found.unwrap_or(Row::named(view.vendor, number))
            };
            line(a, b, &row(&a.added), &row(&b.added))
        })
        .collect()
}

fn line(a: &Facts, b: &Facts, of_a: &Row, of_b: &Row) -> DiffRow {
    let by_rate = a.seconds > 0.0 && b.seconds > 0.0;
    let rate = |figure: u64, facts: &Facts| {
        if by_rate {
            figure as f64 / facts.seconds
        } else {
            figure as f64
        }
    };
    DiffRow {
        reason: of_a.reason,
        symbol: of_a.symbol.clone().into(),
        name: of_a.name.clone().into(),
        a_exits: rate(of_a.exits, a),
        b_exits: rate(of_b.exits, b),
        a_cycles: rate(of_a.cycles, a),
        b_cycles: rate(of_b.cycles, b),
        change: change((a, of_a.exits), (b, of_b.exits)),
        a_average_cycles: of_a.average(),
        b_average_cycles: of_b.average(),
    }
}

fn cells(line: &DiffRow, a: &Facts, b: &Facts) -> Vec<String> {
    let whole = |value: f64| grouped(value.round() as u64);
    let clock = |facts: &Facts, cycles: Option<u64>| {
        let nanoseconds = cycles.and_then(|cycles| facts.added.nanoseconds(cycles));
        nanoseconds.map_or("-".into(), time)
    };
    vec![
        match line.reason {
            abi::TOTAL | abi::BEYOND => String::new(),
            number => number.to_string(),
        },
        line.name.clone(),
        whole(line.a_exits),
        whole(line.b_exits),
        line.change.clone(),
        clock(a, line.a_average_cycles),
        clock(b, line.b_average_cycles),
        clock(b, Some(line.b_cycles.round() as u64)),
    ]
}
