// SPDX-License-Identifier: GPL-2.0
//! The page: one file, without scripts, in light and dark, and on paper.

use maud::{html, Markup, PreEscaped, DOCTYPE};

use crate::report::causes;
use crate::report::charts::{self, css, SERIES};
use crate::report::facts::{change, Facts};
use crate::units::{grouped, percent, time};
use crate::view::{Row, View};

/// How many reasons a chart of bars has.
const BARS: usize = 12;
/// How many histograms are drawn.
const HISTOGRAMS: usize = 6;

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c2024; --dim: #62686f; --paper: #ffffff; --card: #f5f6f8;\
 --line: #d9dce1; --bar: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --dim: #9aa1a9; --paper: #14171a;\
 --card: #1d2125; --line: #353b42; --bar: #56b4e9; } }
@media print { :root { --ink: #000; --dim: #444; --paper: #fff; --card: #fff; --line: #bbb; --bar: #0072b2; }\
 section { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 62rem; background: var(--paper);\
 color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .2rem; font-weight: 600; } section > h3 { margin-top: 1.2rem; }
.dim { color: var(--dim); } .scroll { overflow-x: auto; }
dt { font-weight: 600; margin-top: .7rem; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th.w, td.w { text-align: left; } tr.sum td { font-weight: 600; border-bottom: 0; }
.bars td { border: 0; padding: .12rem .5rem; } .bars td.w { width: 30%; } .bars td.b { width: 50%; }
.bars i { display: block; height: .8rem; min-width: 1px; border-radius: 2px; background: var(--bar);\
 print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; }
.key span { display: inline-block; margin-right: 1.2rem; }
.key b { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .35rem; }
svg { width: 100%; height: auto; display: block; }
svg [fill=\"#010101\"] { fill: var(--ink); } svg [stroke=\"#010101\"] { stroke: var(--ink); }
.card svg [fill=\"#0072B2\"] { fill: var(--bar); }
svg [fill=\"#020202\"] { fill: var(--line); } svg [stroke=\"#020202\"] { stroke: var(--line); }
";

/// The page of one or more recordings.
pub fn page(all: &[Facts]) -> String {
    let title = match all {
        [one] => format!("VM exits of {}", one.added.vm),
        _ => "VM exits, compared".into(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    @for facts in all {
                        p.dim { (about(facts)) }
                    }
                }
                @if all.len() > 1 {
                    (compared(all))
                }
                @for facts in all {
                    (single(facts, all.len() > 1))
                }
                p.dim {
                    "Made by vmxscope " (version) ". Times are of the host's clock. Handling is from the \
                     exit to the return of KVM's handler, blocked is how long the guest slept afterwards, \
                     and userspace how long the VMM worked for it."
                }
            }
        }
    };
    markup.into_string() + "\n"
}

fn about(facts: &Facts) -> String {
    let mut text = format!("{}: VM {}, ", facts.name, facts.added.vm);
    text += &match (&facts.command, facts.steps.is_empty()) {
        (Some(command), _) => format!("while it ran `{command}`, "),
        (None, false) => String::new(),
        (None, true) => "all since the VM was made, ".into(),
    };
    if facts.seconds > 0.0 {
        text += &format!("{}, ", time(facts.seconds * 1e9));
    }
    text += &format!("{} exits", grouped(facts.added.total.exits));
    if facts.added.own_exits != 0 {
        let own = grouped(facts.added.own_exits);
        text += &format!(", {own} of them (CPUID) by this program's reading");
    }
    if facts.restarts != 0 {
        text += &format!(
            "; the counters started anew {} times meanwhile",
            facts.restarts
        );
    }
    text
}

fn single(facts: &Facts, named: bool) -> Markup {
    let suffix = if named {
        format!(": {}", facts.name)
    } else {
        String::new()
    };
    let view = &facts.added;
    let histograms = facts.most(|row| row.cycles).into_iter();
    let histograms: Vec<(&Row, String)> = histograms
        .filter_map(|row| Some((row, charts::histogram(view, row)?)))
        .take(HISTOGRAMS)
        .collect();
    html! {
        section {
            h2 { "In words" (suffix) }
            dl {
                @for (question, answer) in facts.answers() {
                    dt { (question) }
                    dd { (answer) }
                }
            }
        }
        (bars("The most frequent reasons", &suffix, facts, |row| row.exits, &|_, row| grouped(row.exits)))
        (bars(
            "The reasons that took the most time",
            &suffix,
            facts,
            |row| row.cycles,
            &|view, row| clock(view, row.cycles),
        ))
        @if let Some(chart) = charts::rates(facts) {
            section {
                h2 { "Exits a second" (suffix) }
                p.key {
                    span { b style="background:var(--ink)" {} "All exits" }
                    @for (row, color) in facts.most(|row| row.exits).iter().zip(SERIES) {
                        span { b style={ "background:" (css(color)) } {} (row.name) }
                    }
                }
                (PreEscaped(chart))
            }
        }
        @if !histograms.is_empty() {
            section {
                h2 { "How long one exit took" (suffix) }
                p.dim { "Exits by handling time, of the reasons that took the most." }
                .cards {
                    @for (row, chart) in &histograms {
                        .card { h3 { (row.name) } (PreEscaped(chart)) }
                    }
                }
            }
        }
        (table(facts, &suffix))
        (causes::section(facts, &suffix))
    }
}

fn clock(view: &View, cycles: u64) -> String {
    view.nanoseconds(cycles)
        .map_or_else(|| format!("{} cycles", grouped(cycles)), time)
}

type Shown<'a> = &'a dyn Fn(&View, &Row) -> String;

fn bars(
    title: &str,
    suffix: &str,
    facts: &Facts,
    key: fn(&Row) -> u64,
    shown: Shown<'_>,
) -> Markup {
    let rows = facts.most(key);
    let most = rows.first().map_or(1, |row| key(row));
    let whole = key(&facts.added.total);
    let width = |row: &Row| format!("width:{:.2}%", key(row) as f64 / most as f64 * 100.0);
    html! {
        @if !rows.is_empty() {
            section {
                h2 { (title) (suffix) }
                table.bars {
                    @for row in rows.iter().take(BARS) {
                        tr {
                            td.w { (row.name) }
                            td.b { i style=(width(row)) {} }
                            td { (shown(&facts.added, row)) }
                            td { (percent(key(row), whole)) }
                        }
                    }
                }
            }
        }
    }
}

fn table(facts: &Facts, suffix: &str) -> Markup {
    let heads = [
        "exits",
        "share",
        "time",
        "average",
        "p50 \u{2264}",
        "p99 \u{2264}",
        "blocked",
        "userspace",
    ];
    html! {
        section {
            h2 { "All reasons that occurred" (suffix) }
            .scroll {
                table {
                    tr {
                        th { "no." }
                        th.w { "reason" }
                        @for head in heads { th { (head) } }
                    }
                    @for row in facts.most(|row| row.exits) {
                        tr { td { (row.reason) } (cells(&facts.added, row)) }
                    }
                    tr.sum { td {} (cells(&facts.added, &facts.added.total)) }
                }
            }
        }
    }
}

fn cells(view: &View, row: &Row) -> Markup {
    let known = |cycles: Option<u64>| cycles.map_or("-".into(), |cycles| clock(view, cycles));
    let more = |cycles: u64| known((!view.counts_only).then_some(cycles));
    html! {
        td.w { (row.name) }
        td { (grouped(row.exits)) }
        td { (percent(row.exits, view.total.exits)) }
        td { (clock(view, row.cycles)) }
        td { (known(row.average())) }
        td { (known(row.quantile(0.5))) }
        td { (known(row.quantile(0.99))) }
        td { (more(row.blocked)) }
        td { (more(row.userspace)) }
    }
}

/// Side by side: counts, times, and how the rates relate to the first.
fn compared(all: &[Facts]) -> Markup {
    let mut numbers: Vec<u32> = all
        .iter()
        .flat_map(|facts| facts.most(|row| row.exits))
        .map(|row| row.reason)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let exits = |facts: &Facts, number: u32| facts.added.row(number).map_or(0, |row| row.exits);
    let most = |number: &u32| all.iter().map(|facts| exits(facts, *number)).max();
    numbers.sort_by_key(|number| std::cmp::Reverse(most(number)));
    html! {
        section {
            h2 { "Side by side" }
            p.dim { "The changes are of the exits a second." }
            .scroll {
                table {
                    tr {
                        th { "no." }
                        th.w { "reason" }
                        @for (place, facts) in all.iter().enumerate() {
                            th { (facts.name) }
                            th { "time" }
                            @if place != 0 { th { "change" } }
                        }
                    }
                    @for number in numbers {
                        tr {
                            td { (number) }
                            td.w { (Row::named(all[0].added.vendor, number).name) }
                            (pairs(all, |facts| facts.added.row(number)))
                        }
                    }
                    tr.sum {
                        td {}
                        td.w { "All exits" }
                        (pairs(all, |facts| Some(&facts.added.total)))
                    }
                }
            }
        }
    }
}

fn pairs<'f>(all: &'f [Facts], row: impl Fn(&'f Facts) -> Option<&'f Row>) -> Markup {
    let figures = |facts| row(facts).map_or((0, 0), |row| (row.exits, row.cycles));
    html! {
        @for (place, facts) in all.iter().enumerate() {
            @let (exits, cycles) = figures(facts);
            td { (grouped(exits)) }
            td { (clock(&facts.added, cycles)) }
            @if place != 0 {
                td { (change((&all[0], figures(&all[0]).0), (facts, exits))) }
            }
        }
    }
}
