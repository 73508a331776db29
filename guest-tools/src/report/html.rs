// SPDX-License-Identifier: GPL-2.0
//! The page: one file, without scripts, in light and dark, and on paper.

use std::fmt::Write;

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
h3 { font-size: 1rem; margin: 0 0 .2rem; font-weight: 600; }
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

/// Text that is no markup.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The page of one or more recordings.
pub fn page(all: &[Facts]) -> String {
    let mut page = String::new();
    let title = match all {
        [one] => format!("VM exits of {}", one.added.vm),
        _ => "VM exits, compared".into(),
    };
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{0}</title>\n<style>{STYLE}</style></head>\n<body>\n<header><h1>{0}</h1>\n",
        escape(&title)
    );
    for facts in all {
        let _ = writeln!(page, "<p class=\"dim\">{}</p>", escape(&about(facts)));
    }
    page += "</header>\n";
    if all.len() > 1 {
        page += &compared(all);
    }
    for facts in all {
        page += &single(facts, all.len() > 1);
    }
    let _ = writeln!(
        page,
        "<p class=\"dim\">Made by vmxscope {}. Times are of the host's clock; handling is from the exit \
         to the return of KVM's handler. Blocked is how long the guest slept afterwards, userspace how \
         long the VMM worked for it.</p>\n</body></html>",
        env!("CARGO_PKG_VERSION")
    );
    page
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

fn single(facts: &Facts, named: bool) -> String {
    let mut text = String::new();
    let suffix = match named {
        true => format!(": {}", escape(&facts.name)),
        false => String::new(),
    };
    let _ = writeln!(text, "<section><h2>In words{suffix}</h2>\n<dl>");
    for (question, answer) in facts.answers() {
        let _ = writeln!(text, "<dt>{question}</dt><dd>{}</dd>", escape(&answer));
    }
    text += "</dl></section>\n";
    let view = &facts.added;
    text += &bars(
        &format!("The most frequent reasons{suffix}"),
        facts,
        |row| row.exits,
        &|_, row| grouped(row.exits),
    );
    text += &bars(
        &format!("The reasons that took the most time{suffix}"),
        facts,
        |row| row.cycles,
        &|view, row| clock(view, row.cycles),
    );
    if let Some(chart) = charts::rates(facts) {
        let _ = writeln!(text, "<section><h2>Exits a second{suffix}</h2>\n<p class=\"key\"><span><b style=\"background:var(--ink)\"></b>All exits</span>");
        for (row, color) in facts.most(|row| row.exits).iter().zip(SERIES) {
            let _ = write!(
                text,
                "<span><b style=\"background:{}\"></b>{}</span>",
                css(color),
                escape(&row.name)
            );
        }
        let _ = writeln!(text, "</p>\n{chart}</section>");
    }
    let drawn: Vec<String> = facts
        .most(|row| row.cycles)
        .into_iter()
        .filter_map(|row| {
            let chart = charts::histogram(view, row)?;
            Some(format!(
                "<div class=\"card\"><h3>{}</h3>{chart}</div>",
                escape(&row.name)
            ))
        })
        .take(HISTOGRAMS)
        .collect();
    if !drawn.is_empty() {
        let cards = drawn.join("\n");
        let _ = writeln!(
            text,
            "<section><h2>How long one exit took{suffix}</h2>\n<p class=\"dim\">Exits by handling time, of the reasons that took the most.</p>\n<div class=\"cards\">{cards}</div></section>"
        );
    }
    text + &table(facts, &suffix)
}

fn clock(view: &View, cycles: u64) -> String {
    view.nanoseconds(cycles)
        .map_or_else(|| format!("{} cycles", grouped(cycles)), time)
}

type Shown<'a> = &'a dyn Fn(&View, &Row) -> String;

fn bars(title: &str, facts: &Facts, key: fn(&Row) -> u64, shown: Shown<'_>) -> String {
    let rows = facts.most(key);
    let Some(most) = rows.first().map(|row| key(row)) else {
        return String::new();
    };
    let whole = key(&facts.added.total);
    let mut text = format!("<section><h2>{title}</h2>\n<table class=\"bars\">\n");
    for row in rows.iter().take(BARS) {
        let width = key(row) as f64 / most as f64 * 100.0;
        let _ = writeln!(
            text,
            "<tr><td class=\"w\">{}</td><td class=\"b\"><i style=\"width:{width:.2}%\"></i></td><td>{}</td><td>{}</td></tr>",
            escape(&row.name),
            shown(&facts.added, row),
            escape(&percent(key(row), whole))
        );
    }
    text + "</table></section>\n"
}

fn table(facts: &Facts, suffix: &str) -> String {
    let view = &facts.added;
    let mut text = format!(
        "<section><h2>All reasons that occurred{suffix}</h2>\n<div class=\"scroll\"><table>\n<tr><th>no.</th>\
         <th class=\"w\">reason</th><th>exits</th><th>share</th><th>time</th><th>average</th><th>p50 &le;</th>\
         <th>p99 &le;</th><th>blocked</th><th>userspace</th></tr>\n"
    );
    let mut line = |row: &Row, class: &str, number: String| {
        let known = |cycles: Option<u64>| cycles.map_or("-".into(), |cycles| clock(view, cycles));
        let _ = writeln!(
            text,
            "<tr{class}><td>{number}</td><td class=\"w\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&row.name),
            grouped(row.exits),
            escape(&percent(row.exits, view.total.exits)),
            clock(view, row.cycles),
            known(row.average()),
            known(row.quantile(0.5)),
            known(row.quantile(0.99)),
            known((!view.counts_only).then_some(row.blocked)),
            known((!view.counts_only).then_some(row.userspace)),
        );
    };
    for row in facts.most(|row| row.exits) {
        line(row, "", row.reason.to_string());
    }
    line(&view.total, " class=\"sum\"", String::new());
    text + "</table></div></section>\n"
}

/// Side by side: counts, rates, and how they relate to the first.
fn compared(all: &[Facts]) -> String {
    let mut numbers: Vec<u32> = all
        .iter()
        .flat_map(|facts| facts.most(|row| row.exits))
        .map(|row| row.reason)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let exits = |facts: &Facts, number: u32| facts.added.row(number).map_or(0, |row| row.exits);
    let most = |number: &u32| {
        all.iter()
            .map(|facts| exits(facts, *number))
            .max()
            .unwrap_or(0)
    };
    numbers.sort_by_key(|number| std::cmp::Reverse(most(number)));
    let mut text = "<section><h2>Side by side</h2>\n<p class=\"dim\">The changes are of the exits a second.</p>\n<div class=\"scroll\"><table>\n<tr><th>no.</th><th class=\"w\">reason</th>".to_string();
    for (place, facts) in all.iter().enumerate() {
        let _ = write!(text, "<th>{}</th><th>time</th>", escape(&facts.name));
        if place != 0 {
            text += "<th>change</th>";
        }
    }
    text += "</tr>\n";
    for number in numbers {
        let name = Row::named(number).name;
        let _ = write!(
            text,
            "<tr><td>{number}</td><td class=\"w\">{}</td>",
            escape(&name)
        );
        for (place, facts) in all.iter().enumerate() {
            let cycles = facts.added.row(number).map_or(0, |row| row.cycles);
            let _ = write!(
                text,
                "<td>{}</td><td>{}</td>",
                grouped(exits(facts, number)),
                clock(&facts.added, cycles)
            );
            if place != 0 {
                let _ = write!(
                    text,
                    "<td>{}</td>",
                    changed(&all[0], facts, |facts| exits(facts, number))
                );
            }
        }
        text += "</tr>\n";
    }
    text += "<tr class=\"sum\"><td></td><td class=\"w\">All exits</td>";
    for (place, facts) in all.iter().enumerate() {
        let total = &facts.added.total;
        let _ = write!(
            text,
            "<td>{}</td><td>{}</td>",
            grouped(total.exits),
            clock(&facts.added, total.cycles)
        );
        if place != 0 {
            let _ = write!(
                text,
                "<td>{}</td>",
                changed(&all[0], facts, |facts| facts.added.total.exits)
            );
        }
    }
    text + "</tr>\n</table></div></section>\n"
}

fn changed(first: &Facts, other: &Facts, exits: impl Fn(&Facts) -> u64) -> String {
    escape(&change((first, exits(first)), (other, exits(other))))
}
