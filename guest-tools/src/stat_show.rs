// SPDX-License-Identifier: GPL-2.0
//! What `vmxscope stat` measured, in its forms.

use std::io::Write;

use serde::Serialize;

use crate::args::{Sort, StatArgs};
use crate::error::Result;
use crate::format;
use crate::output::Output;
use crate::stat::{Period, Stat, CPUID};
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, time};
use crate::view::{Row, View};

/// One reason, averaged over the runs.
#[derive(Debug, Clone, Serialize)]
struct Line {
    reason: u32,
    symbol: String,
    name: String,
    /// All exits of the guest while the command ran.
    exits: f64,
    /// The standard deviation of that between the runs.
    deviation: f64,
    /// Those by which this program read.
    own: f64,
    /// Those that an idle guest has in such a time.
    idle: f64,
    /// What is left; not below 0.
    net: f64,
    handling_seconds: Option<f64>,
    cycles: f64,
    blocked_cycles: f64,
    userspace_cycles: f64,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    stat: &'a Stat,
    average: Vec<Line>,
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count().max(1) as f64
}

fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let mean = mean(values.clone());
    let degrees = values.clone().count().saturating_sub(1).max(1) as f64;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / degrees).sqrt()
}

/// Averages one row of each period: a reason's, or the total's. `own` is how many of
/// its exits are this program's own.
fn averaged<'s>(
    stat: &'s Stat,
    named: Row,
    row: impl Fn(&'s Period) -> Option<&'s Row>,
    own: impl Fn(&Period) -> u64,
) -> Line {
    let of = |figure: fn(&Row) -> u64| {
        stat.runs
            .iter()
            .map(|run| row(run).map_or(0, figure) as f64)
            .collect::<Vec<f64>>()
    };
    let average = |figure| mean(of(figure).into_iter());
    let exits = average(|row| row.exits);
    let cycles = average(|row| row.cycles);
    let mean_own = mean(stat.runs.iter().map(|run| own(run) as f64));
    let idle = stat.idle.as_ref().map_or(0.0, |idle| {
        let exits = row(idle).map_or(0, |row| row.exits);
        let others = exits.saturating_sub(own(idle)) as f64;
        others / idle.seconds.max(1e-9) * mean_seconds(stat)
    });
    let tsc_khz = stat.runs.first().map_or(0, |run| run.added.tsc_khz);
    Line {
        reason: named.reason,
        symbol: named.symbol.into(),
        name: named.name.into(),
        exits,
        deviation: deviation(of(|row| row.exits).into_iter()),
        own: mean_own,
        idle,
        net: (exits - mean_own - idle).max(0.0),
        handling_seconds: (tsc_khz != 0).then(|| cycles / (f64::from(tsc_khz) * 1e3)),
        cycles,
        blocked_cycles: average(|row| row.blocked),
        userspace_cycles: average(|row| row.userspace),
    }
}

fn mean_seconds(stat: &Stat) -> f64 {
    mean(stat.runs.iter().map(|run| run.seconds))
}

fn line(stat: &Stat, number: u32) -> Line {
    let own = |period: &Period| match number {
        CPUID => period.added.own_exits,
        _ => 0,
    };
    averaged(
        stat,
        Row::named(number),
        |period| period.added.row(number),
        own,
    )
}

/// The total of all reasons, shown or not.
fn total(stat: &Stat) -> Line {
    let named = Row::named(exit_stats::abi::TOTAL);
    let own = |period: &Period| period.added.own_exits;
    averaged(stat, named, |period| Some(&period.added.total), own)
}

/// A line for every reason that occurred, in the order that was asked for.
fn lines(stat: &Stat, args: &StatArgs) -> Vec<Line> {
    let rows = stat.runs.iter().flat_map(|run| &run.added.reasons);
    let mut numbers: Vec<u32> = rows
        .filter(|row| !row.is_empty())
        .map(|row| row.reason)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut lines: Vec<Line> = numbers
        .into_iter()
        .map(|number| line(stat, number))
        .collect();
    let key = |line: &Line| match args.sort {
        Sort::Time => line.cycles,
        Sort::Count => line.net,
        Sort::Number => 0.0,
    };
    lines.sort_by(|a, b| key(b).total_cmp(&key(a)));
    lines.truncate(args.top.unwrap_or(usize::MAX));
    lines
}

/// Prints it.
pub fn show(stat: &Stat, args: &StatArgs, out: &mut Output<'_>) -> Result<()> {
    let average = lines(stat, args);
    if args.form.json {
        return format::json(out, &Whole { stat, average });
    }
    if args.form.csv {
        let mut csv = csv::Writer::from_writer(out);
        for line in &average {
            csv.serialize(line).map_err(format::csv_error)?;
        }
        return Ok(csv.flush()?);
    }
    if args.form.prometheus {
        return prometheus(&average, out);
    }
    text(stat, &average, out)
}

fn prometheus(lines: &[Line], out: &mut Output<'_>) -> Result<()> {
    type Value = fn(&Line) -> Option<f64>;
    let metrics: [(&str, &str, Value); 3] = [
        (
            "vmxscope_command_exits",
            "VM exits while the command ran.",
            |line| Some(line.exits),
        ),
        (
            "vmxscope_command_net_exits",
            "Those less this program's own and the idle guest's.",
            |line| Some(line.net),
        ),
        (
            "vmxscope_command_handling_seconds",
            "Time in which KVM handled them.",
            |line| line.handling_seconds,
        ),
    ];
    for (name, help, value) in metrics {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge")?;
        for line in lines {
            if let Some(value) = value(line) {
                let (symbol, number) = (&line.symbol, line.reason);
                writeln!(
                    out,
                    "{name}{{reason=\"{symbol}\",number=\"{number}\"}} {value}"
                )?;
            }
        }
    }
    Ok(())
}

const COLUMNS: [Column; 10] = [
    figures("no.", 0),
    words("reason"),
    figures("exits", 0),
    figures("+-", 3),
    figures("own", 2),
    figures("idle", 1),
    figures("net", 0),
    figures("time", 0),
    figures("average", 4),
    figures("userspace", 5),
];

fn text(stat: &Stat, lines: &[Line], out: &mut Output<'_>) -> Result<()> {
    let several = stat.runs.len() > 1;
    let look = out.look;
    let command = stat.command.join(" ");
    writeln!(
        out,
        "\n{}\n",
        look.bold(&format!("VM exits while it ran: {command}"))
    )?;
    let total = total(stat);
    let mut rows: Vec<Vec<String>> = lines.iter().map(|line| cells(stat, line)).collect();
    rows.push(cells(stat, &total));
    let counts_only = stat.runs.iter().any(|run| run.added.counts_only);
    let keep = |place: usize| match COLUMNS[place].title {
        "+-" => several,
        "userspace" => !counts_only,
        _ => true,
    };
    let columns: Vec<Column> = (0..COLUMNS.len())
        .filter(|&n| keep(n))
        .map(|n| COLUMNS[n])
        .collect();
    for row in &mut rows {
        let mut place = 0;
        row.retain(|_| {
            place += 1;
            keep(place - 1)
        });
    }
    table::print(out, &columns, &rows, 1)?;
    notes(stat, &total, out)
}

fn cells(stat: &Stat, line: &Line) -> Vec<String> {
    let whole = |value: f64| grouped(value.round() as u64);
    let view: Option<&View> = stat.runs.first().map(|run| &run.added);
    let clock = |cycles: f64| {
        let ns = view.and_then(|view| view.nanoseconds(cycles.round() as u64));
        ns.map_or("-".into(), time)
    };
    vec![
        match line.reason {
            exit_stats::abi::TOTAL | exit_stats::abi::BEYOND => String::new(),
            number => number.to_string(),
        },
        line.name.clone(),
        whole(line.exits),
        match line.exits {
            0.0 => "0".into(),
            exits => format!("{:.1}%", line.deviation / exits * 100.0),
        },
        whole(line.own),
        whole(line.idle),
        whole(line.net),
        clock(line.cycles),
        match line.exits {
            0.0 => "-".into(),
            exits => clock(line.cycles / exits),
        },
        clock(line.userspace_cycles),
    ]
}

fn notes(stat: &Stat, total: &Line, out: &mut Output<'_>) -> Result<()> {
    let seconds = mean_seconds(stat);
    let elapsed = time(seconds * 1e9);
    match stat.runs.len() {
        1 => writeln!(out, "\n{elapsed} elapsed")?,
        runs => {
            let spread = deviation(stat.runs.iter().map(|run| run.seconds)) / seconds.max(1e-9);
            writeln!(
                out,
                "\n{elapsed} elapsed, +- {:.1}% over {runs} runs",
                spread * 100.0
            )?;
        }
    }
    if let Some(handling) = total.handling_seconds {
        let share = handling / seconds.max(1e-9) * 100.0;
        let handling = time(handling * 1e9);
        writeln!(
            out,
            "{handling} of it the host handled exits: {share:.2}% of one CPU's time"
        )?;
    }
    match &stat.idle {
        None => writeln!(
            out,
            "The idle guest was not measured: net has its exits, too."
        )?,
        Some(idle) => {
            let others = idle.added.total.exits.saturating_sub(idle.added.own_exits);
            let rate = grouped((others as f64 / idle.seconds.max(1e-9)).round() as u64);
            writeln!(
                out,
                "idle: {rate} exits a second, measured for {:.1}s before",
                idle.seconds
            )?;
        }
    }
    let failures: Vec<u8> = stat
        .runs
        .iter()
        .filter_map(|run| run.status)
        .filter(|s| *s != 0)
        .collect();
    if let Some(status) = failures.first() {
        let look = out.look;
        let text = format!(
            "The command failed: exit status {status}, in {} of {} runs.",
            failures.len(),
            stat.runs.len()
        );
        writeln!(out, "{}", look.bad(&text))?;
    }
    if stat.runs.iter().any(|run| !run.added.consistent) {
        writeln!(
            out,
            "The figures were read one after the other: they need not add up."
        )?;
    }
    Ok(())
}
