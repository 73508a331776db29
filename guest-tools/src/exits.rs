// SPDX-License-Identifier: GPL-2.0
//! `vmxscope exits`: the table of reasons.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use exit_stats::abi;
use exit_stats::reason::Vendor;

use crate::args::ExitsArgs;
use crate::baseline::{Baseline, Off};
use crate::causes::{self, Beside};
use crate::error::Result;
use crate::format;
use crate::guest::Wanted;
use crate::input::read;
use crate::names;
use crate::output::Output;
use crate::processor::{Counted, Processor};
use crate::source::Source;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, percent, time};
use crate::view::Sort;
use crate::view::{Availability, Row, Scope, View};

/// Runs the command.
pub fn run(args: &ExitsArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<()> {
    let wants = Wanted {
        extras: true,
        histograms: true,
        states: args.all || args.form.json,
        causes: args.causes,
    };
    if let Some(file) = &args.from {
        let views = View::parse(&read(file)?, &file.display().to_string())?;
        return show(&views, args, out);
    }
    let cpu = Counted::new(processor);
    if args.source.host && (args.ftrace || causes::has_only_ftrace(&args.source, &cpu)) {
        return causes::by_reason(args, out);
    }
    let views = match Source::open(&args.source, &cpu)? {
        Source::Qmp(qmp) if args.per_vcpu => qmp.read_each()?,
        source => vec![source.read(wants)?],
    };
    show(&views, args, out)
}

/// Prints views, of which each is another vCPU's if there are several; only some
/// reasons if any are wanted.
fn show(views: &[View], args: &ExitsArgs, out: &mut Output<'_>) -> Result<()> {
    let vendor = views.first().map_or(Vendor::Vmx, |view| view.vendor);
    let wanted = args
        .reason
        .iter()
        .map(|text| names::number(vendor, text))
        .collect::<Result<Vec<u32>>>()?;
    let wanted = wanted.as_slice();
    let baseline = args.baseline.as_deref().map(Baseline::open).transpose()?;
    let mut chosen: Vec<View> = views
        .iter()
        .map(|view| of_rows(view, args, wanted))
        .collect();
    if args.form.json {
        return match chosen.len() {
            1 if !args.per_vcpu => chosen.pop().map_or(Ok(()), |view| out.json(&view)),
            _ => out.json(&chosen),
        };
    }
    let own = args.from.is_none() && args.source.is_this_guest();
    let causes = args.causes.then(|| Beside::new(own)).transpose()?;
    if args.form.prometheus {
        format::prometheus(out, &chosen)?;
        let mut views = views.iter().zip(&causes);
        return views.try_for_each(|(view, causes)| causes.metrics(view, None, out));
    }
    if args.form.csv {
        return format::csv(out, &chosen);
    }
    for (place, (chosen, view)) in chosen.iter().zip(views).enumerate() {
        if args.per_vcpu || views.len() > 1 {
            if place != 0 {
                writeln!(out)?;
            }
            let title = out.look.bold(&format!("{}:", chosen.vm));
            writeln!(out, "{title}")?;
        }
        let off = baseline
            .as_ref()
            .and_then(|baseline| baseline.compare(view, None));
        print_table(chosen, args.sort, off.as_ref(), out)?;
        if wanted.is_empty() {
            left_out(chosen, out)?;
        } else {
            for row in &chosen.reasons {
                crate::bars::print(chosen, row, out)?;
            }
            writeln!(out)?;
        }
        if let Some(baseline) = &baseline {
            writeln!(out, "{}", baseline.words(view, None))?;
        }
        notes(chosen, out)?;
        if let Some(causes) = &causes {
            writeln!(out)?;
            causes.tables(view, None, out)?;
        }
    }
    Ok(())
}

/// The view with the chosen rows only. It keeps the number of the others.
fn of_rows(view: &View, args: &ExitsArgs, wanted: &[u32]) -> View {
    let reasons: Vec<Row> = selected(view, args, wanted).into_iter().cloned().collect();
    let occurred = |rows: &[Row]| rows.iter().filter(|row| !row.is_empty()).count();
    View {
        left_out: view.left_out + occurred(&view.reasons) - occurred(&reasons),
        reasons,
        ..view.clone()
    }
}

/// Says how many reasons are not in the table.
fn left_out(view: &View, out: &mut Output<'_>) -> Result<()> {
    if view.left_out != 0 {
        let shown = view.reasons.iter().filter(|row| !row.is_empty()).count();
        let all = shown + view.left_out;
        writeln!(out, "{shown} of {all} reasons that occurred are shown.")?;
    }
    Ok(())
}

fn selected<'v>(view: &'v View, args: &ExitsArgs, wanted: &[u32]) -> Vec<&'v Row> {
    let mut rows: Vec<&Row> = view
        .reasons
        .iter()
        .filter(|row| match wanted {
            // A metric that begins at 0 shows its first increase.
            [] => args.all || args.form.json || args.form.prometheus || !row.is_empty(),
            _ => wanted.contains(&row.reason),
        })
        .collect();
    sort(&mut rows, args.sort);
    rows.truncate(args.top.unwrap_or(usize::MAX));
    rows
}

/// Sorts rows; equal ones by their number.
pub fn sort(rows: &mut [&Row], by: Sort) {
    rows.sort_by_key(|row| {
        let key = match by {
            Sort::Time => (row.cycles, row.exits),
            Sort::Count => (row.exits, row.cycles),
            Sort::Number => (0, 0),
        };
        (Reverse(key), row.reason)
    });
}

const COLUMNS: [Column; 11] = [
    figures("no.", 0),
    words("reason"),
    figures("exits", 0),
    figures("share", 0),
    figures("cycles", 8),
    figures("time", 0),
    figures("average", 1),
    figures("p50<=", 4),
    figures("p99<=", 3),
    figures("blocked", 5),
    figures("userspace", 6),
];

/// The first column that is empty where only counts and cycles are known.
const FIRST_UNKNOWN: usize = 7;

/// How far each reason is off a baseline; its place is behind the exits.
const NORMAL: (usize, Column) = (3, figures("normal", 2));

/// Prints the table of the rows, with the total of all.
fn print_table(
    view: &View,
    by: Sort,
    off: Option<&BTreeMap<u32, Off>>,
    out: &mut Output<'_>,
) -> Result<()> {
    let mut columns = COLUMNS.to_vec();
    columns[3].title = match by {
        Sort::Time => "of time",
        Sort::Count | Sort::Number => "of exits",
    };
    let mut lines: Vec<Vec<String>> = view
        .reasons
        .iter()
        .map(|row| cells(view, row, by))
        .collect();
    lines.push(cells(view, &view.total, by));
    let known = if view.counts_only {
        FIRST_UNKNOWN
    } else {
        columns.len()
    };
    columns.truncate(known);
    lines.iter_mut().for_each(|line| line.truncate(known));
    if let Some(off) = off {
        let (place, column) = NORMAL;
        columns.insert(place, column);
        let rows = view.reasons.iter().chain([&view.total]);
        for (line, row) in lines.iter_mut().zip(rows) {
            let off = off.get(&row.reason);
            line.insert(place, off.map_or(String::new(), Off::to_string));
        }
    }
    table::print(out, &columns, &lines, 1)
}

fn cells(view: &View, row: &Row, by: Sort) -> Vec<String> {
    let clock = |cycles| match view.nanoseconds(cycles) {
        Some(ns) => time(ns),
        None => "-".into(),
    };
    let known = |cycles: Option<u64>| cycles.map_or("-".into(), clock);
    vec![
        match row.reason {
            abi::BEYOND | abi::TOTAL => String::new(),
            number => number.to_string(),
        },
        match row.state {
            Some(Availability::NotEnabled) => format!("{} (not enabled)", row.name),
            _ => row.name.to_string(),
        },
        grouped(row.exits),
        match by {
            Sort::Time => percent(row.cycles, view.total.cycles),
            Sort::Count | Sort::Number => percent(row.exits, view.total.exits),
        },
        grouped(row.cycles),
        clock(row.cycles),
        known(row.average()),
        known(row.quantile(0.5)),
        known(row.quantile(0.99)),
        clock(row.blocked),
        clock(row.userspace),
    ]
}

/// What a reader has to know about the figures.
fn notes(view: &View, out: &mut Output<'_>) -> Result<()> {
    if let Some(shares) = view.shares() {
        writeln!(out, "The vCPUs' time: {shares}.")?;
    }
    let entries = (
        view.failed_entries.unwrap_or(0),
        view.emulated_entries.unwrap_or(0),
    );
    if entries != (0, 0) {
        let (failed, emulated) = (grouped(entries.0), grouped(entries.1));
        writeln!(
            out,
            "Entries that failed: {failed}; that KVM emulated: {emulated}. They are no exits."
        )?;
    }
    if view.total.nested != 0 {
        let nested = grouped(view.total.nested);
        writeln!(out, "{nested} of the exits were taken from nested guests.")?;
    }
    if view.total.dropped != 0 {
        let dropped = grouped(view.total.dropped);
        writeln!(
            out,
            "{dropped} exits have no time: the host's clock went backwards."
        )?;
    }
    if view.host_scope {
        writeln!(
            out,
            "These are the exits of all VMs of the host (kvm.exit_stats_guest=host)."
        )?;
    }
    if let Some(counter) = view.counted_by.filter(|_| view.kind != Scope::Guest) {
        writeln!(out, "Counted by {counter}.")?;
    }
    let look = out.look;
    if view.kind == Scope::Guest {
        let text = format!(
            "{} of the CPUID exits are this program's own; reading the figures took it {}.",
            grouped(view.own_exits),
            grouped(view.read_exits)
        );
        writeln!(out, "{}", look.dim(&text))?;
    }
    if !view.consistent {
        writeln!(
            out,
            "The figures were read one after the other, while the guest ran: they need not add up."
        )?;
    }
    if view.tsc_khz == 0 {
        writeln!(
            out,
            "The host does not tell its clock's frequency, so times are in cycles only."
        )?;
    }
    Ok(())
}
