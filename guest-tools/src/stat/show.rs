// SPDX-License-Identifier: GPL-2.0
//! What `vmxscope stat` measured, in its forms.

use std::io;

use exit_stats::abi;
use serde::Serialize;

use super::model::{deviation, NetRow, Spread, Stat};
use crate::args::StatArgs;
use crate::causes::Beside;
use crate::error::Result;
use crate::output::Output;
use crate::prometheus::Metrics;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, time};

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    stat: &'a Stat,
    elapsed: Spread,
    net_exits: Spread,
    average: Vec<NetRow>,
}

/// One of several commands.
#[derive(Serialize)]
struct Compared {
    command: String,
    runs: usize,
    min_seconds: f64,
    median_seconds: f64,
    max_seconds: f64,
    min_net_exits: f64,
    median_net_exits: f64,
    max_net_exits: f64,
    net_handling_seconds: Option<f64>,
}

/// Prints it: a table of one command, or several side by side.
pub(super) fn show(
    stats: &[Stat],
    args: &StatArgs,
    causes: Option<&Beside>,
    out: &mut Output<'_>,
) -> Result<()> {
    if args.form.json {
        let mut all: Vec<Whole<'_>> = stats.iter().map(|stat| whole(stat, args)).collect();
        return match all.len() {
            1 => all.pop().map_or(Ok(()), |one| out.json(&one)),
            _ => out.json(&all),
        };
    }
    let [stat] = stats else {
        side_by_side(stats, args, out)?;
        return match args.form.csv {
            true => Ok(()),
            false => show_causes(stats, causes, out),
        };
    };
    let all = stat.lines(args.sort);
    let total = stat.total(&all);
    let shown = &all[..args.top.unwrap_or(all.len()).min(all.len())];
    if args.form.csv {
        return out.csv(shown);
    }
    if args.form.prometheus {
        let result = prometheus(shown, &mut Metrics::new(out.to));
        out.told(result)?;
        let mut together = stat.together().into_iter().zip(causes);
        return together
            .try_for_each(|((view, seconds), causes)| causes.metrics(&view, Some(seconds), out));
    }
    text(stat, shown, &total, out)?;
    show_causes(stats, causes, out)
}

/// Prints what made the exits of each command, in all its runs.
fn show_causes(stats: &[Stat], causes: Option<&Beside>, out: &mut Output<'_>) -> Result<()> {
    let Some(causes) = causes else {
        return Ok(());
    };
    for stat in stats {
        writeln!(out)?;
        if stats.len() > 1 {
            let title = out.look.bold(&format!("{}:", stat.command.join(" ")));
            writeln!(out, "{title}")?;
        }
        if let Some((view, seconds)) = stat.together() {
            causes.tables(&view, Some(seconds), out)?;
        }
    }
    Ok(())
}

fn whole<'a>(stat: &'a Stat, args: &StatArgs) -> Whole<'a> {
    let mut average = stat.lines(args.sort);
    average.truncate(args.top.unwrap_or(usize::MAX));
    Whole {
        elapsed: stat.elapsed(),
        net_exits: stat.net_exits(),
        average,
        stat,
    }
}

fn prometheus(lines: &[NetRow], metrics: &mut Metrics<'_>) -> io::Result<()> {
    type Value = fn(&NetRow) -> Option<f64>;
    let all: [(&str, &str, Value); 3] = [
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
            "vmxscope_command_net_handling_seconds",
            "Time in which KVM handled the net exits.",
            |line| line.net_seconds,
        ),
    ];
    for (name, help, value) in all {
        metrics.begin(name, "gauge", help)?;
        for line in lines {
            if let Some(value) = value(line) {
                let number = line.reason.to_string();
                let labels = [("reason", line.symbol.as_str()), ("number", &number)];
                metrics.sample(&labels, &value.to_string())?;
            }
        }
    }
    Ok(())
}

fn whole_number(value: f64) -> String {
    grouped(value.round() as u64)
}

const COMPARED: [Column; 9] = [
    words("command"),
    figures("runs", 4),
    figures("min", 2),
    figures("median", 0),
    figures("max", 2),
    figures("net exits", 0),
    figures("min", 3),
    figures("max", 3),
    figures("net time", 0),
];

fn side_by_side(stats: &[Stat], args: &StatArgs, out: &mut Output<'_>) -> Result<()> {
    let all: Vec<Compared> = stats.iter().map(|stat| compared(stat, args)).collect();
    if args.form.csv {
        return out.csv(&all);
    }
    let clock = |seconds: f64| time(seconds * 1e9);
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            vec![
                one.command.clone(),
                one.runs.to_string(),
                clock(one.min_seconds),
                clock(one.median_seconds),
                clock(one.max_seconds),
                whole_number(one.median_net_exits),
                whole_number(one.min_net_exits),
                whole_number(one.max_net_exits),
                one.net_handling_seconds.map_or("-".into(), clock),
            ]
        })
        .collect();
    table::print(out, &COMPARED, &rows, 0)?;
    writeln!(
        out,
        "min, median and max are of the elapsed time; then net exits are given as the median, with \
         their min and max."
    )?;
    stats.iter().try_for_each(|stat| failures(stat, out))
}

fn compared(stat: &Stat, args: &StatArgs) -> Compared {
    let (elapsed, net) = (stat.elapsed(), stat.net_exits());
    Compared {
        command: stat.command.join(" "),
        runs: stat.runs.len(),
        min_seconds: elapsed.min,
        median_seconds: elapsed.median,
        max_seconds: elapsed.max,
        min_net_exits: net.min,
        median_net_exits: net.median,
        max_net_exits: net.max,
        net_handling_seconds: stat.total(&stat.lines(args.sort)).net_seconds,
    }
}

const COLUMNS: [Column; 10] = [
    figures("no.", 0),
    words("reason"),
    figures("exits", 0),
    figures("+-", 3),
    figures("own", 2),
    figures("idle", 1),
    figures("net", 0),
    figures("net time", 0),
    figures("average", 4),
    figures("userspace", 5),
];

fn text(stat: &Stat, lines: &[NetRow], total: &NetRow, out: &mut Output<'_>) -> Result<()> {
    let title = match stat.command.as_slice() {
        [] => "VM exits meanwhile".into(),
        words => format!("VM exits while it ran: {}", words.join(" ")),
    };
    let title = out.look.bold(&title);
    writeln!(out, "\n{title}\n")?;
    let counts_only = stat.runs.iter().any(|run| run.added.counts_only);
    let kept: Vec<usize> = (0..COLUMNS.len())
        .filter(|&place| match COLUMNS[place].title {
            "+-" => stat.runs.len() > 1,
            "userspace" => !counts_only,
            _ => true,
        })
        .collect();
    let columns: Vec<Column> = kept.iter().map(|&place| COLUMNS[place]).collect();
    let rows: Vec<Vec<String>> = lines
        .iter()
        .chain([total])
        .map(|line| {
            let cells = cells(stat, line);
            kept.iter().map(|&place| cells[place].clone()).collect()
        })
        .collect();
    table::print(out, &columns, &rows, 1)?;
    notes(stat, total, out)
}

fn cells(stat: &Stat, line: &NetRow) -> Vec<String> {
    let clock = |cycles: f64| {
        let view = stat.runs.first().map(|run| &run.added);
        let ns = view.and_then(|view| view.nanoseconds(cycles.round() as u64));
        ns.map_or("-".into(), time)
    };
    vec![
        match line.reason {
            abi::TOTAL | abi::BEYOND => String::new(),
            number => number.to_string(),
        },
        line.name.clone(),
        whole_number(line.exits),
        match line.exits {
            0.0 => "0".into(),
            exits => format!("{:.1}%", line.deviation / exits * 100.0),
        },
        whole_number(line.own),
        whole_number(line.idle),
        whole_number(line.net),
        clock(line.net_cycles),
        match line.exits {
            0.0 => "-".into(),
            exits => clock(line.cycles / exits),
        },
        line.userspace_cycles.map_or("-".into(), clock),
    ]
}

fn notes(stat: &Stat, total: &NetRow, out: &mut Output<'_>) -> Result<()> {
    let seconds = stat.seconds();
    let elapsed = time(seconds * 1e9);
    match stat.runs.len() {
        1 => writeln!(out, "\n{elapsed} elapsed")?,
        runs => {
            let spread = deviation(stat.runs.iter().map(|run| run.seconds)) / seconds.max(1e-9);
            let Spread { min, median, max } = stat.elapsed();
            let clock = |seconds: f64| time(seconds * 1e9);
            writeln!(
                out,
                "\n{elapsed} elapsed, +- {:.1}% over {runs} runs (min {}, median {}, max {})",
                spread * 100.0,
                clock(min),
                clock(median),
                clock(max)
            )?;
            let Spread { min, median, max } = stat.net_exits();
            let [min, median, max] = [min, median, max].map(whole_number);
            writeln!(out, "net exits: min {min}, median {median}, max {max}")?;
        }
    }
    if let Some(handling) = total.net_seconds {
        let share = handling / seconds.max(1e-9) * 100.0;
        let handling = time(handling * 1e9);
        writeln!(
            out,
            "{handling} of it the host handled the net exits: {share:.2}% of one CPU's time"
        )?;
    }
    if let [run] = stat.runs.as_slice() {
        if let Some(shares) = run.added.shares() {
            writeln!(out, "The vCPUs' time: {shares}.")?;
        }
    }
    match &stat.idle {
        None if stat.command.is_empty() => (),
        None => writeln!(
            out,
            "The idle guest was not measured, so net includes its exits."
        )?,
        Some(idle) => {
            let rate = whole_number(stat.idle_rate());
            writeln!(
                out,
                "idle: {rate} exits a second, measured for {:.1}s before",
                idle.seconds
            )?;
        }
    }
    failures(stat, out)?;
    if stat.runs.iter().any(|run| !run.added.consistent) {
        writeln!(
            out,
            "The figures were read one after the other: they need not add up."
        )?;
    }
    Ok(())
}

fn failures(stat: &Stat, out: &mut Output<'_>) -> Result<()> {
    let failed = |status: &u8| *status != 0;
    let all = || stat.runs.iter().filter_map(|run| run.status).filter(failed);
    if let Some(status) = all().next() {
        let text = format!(
            "The command failed: exit status {status}, in {} of {} runs.",
            all().count(),
            stat.runs.len()
        );
        let text = out.look.bad(&text);
        writeln!(out, "{text}")?;
    }
    Ok(())
}
