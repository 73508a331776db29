// SPDX-License-Identifier: GPL-2.0
//! How the live screen looks: a head, a sparkline, the table, a histogram, a foot.

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell};
use ratatui::widgets::{Clear, Paragraph, Row, Sparkline, Table, TableState};
use ratatui::Frame;

use crate::table::{self, figures, words, Column};
use crate::units::{grouped, percent, time};
use crate::view::Sort;
use crate::view::{Bucket, Scope};
use crate::watch::causes;
use crate::watch::keys::HELP;
use crate::watch::model::{Entry, Model};

/// Rows of the histogram, at most, and the least height at which it is shown.
const HISTOGRAM: u16 = 10;
const TALL: u16 = 20;
/// The place of the reason's name, to how many columns it may be cut where there is little
/// room, and the width of the longest bar.
const NAME: usize = 1;
/// The place of the comparison with a baseline.
const NORMAL: usize = 4;
const SHORT_NAME: usize = 18;
const LONGEST_BAR: usize = 30;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    let lines = model.lines();
    let chosen = model.chosen(&lines);
    let instead = model.table.vcpus().is_some() || model.table.causes().is_some();
    let buckets = if instead {
        Vec::new()
    } else {
        buckets(model, &lines, chosen)
    };
    let below = match area.height {
        TALL.. if !buckets.is_empty() => buckets.len() as u16 + 1,
        _ => 0,
    };
    let spark = if area.height >= 12 { 2 } else { 0 };
    let [head, rates, table, histogram, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(spark),
        Constraint::Min(2),
        Constraint::Length(below),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, model);
    draw_rates(frame, rates, model);
    match (model.table.vcpus(), model.table.causes()) {
        (Some(vcpus), _) => vcpus.draw(frame, table, model.now()),
        (None, Some(Some(problem))) => causes::draw_problem(frame, table, problem),
        (None, Some(None)) => {
            if let Some(names) = model.table.names() {
                causes::draw(frame, table, model.step(), names, model.filter().0);
            }
        }
        (None, None) => {
            draw_table(frame, table, model, &lines, chosen);
            draw_histogram(frame, histogram, &lines, chosen, buckets);
        }
    }
    draw_foot(frame, foot, model);
    if model.help() {
        draw_help(frame, area);
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn whole(value: f64) -> String {
    grouped(value.round() as u64)
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let view = model.now();
    let mut first = vec![
        Span::styled(format!("vmxscope  {}", view.vm), bold()),
        Span::raw(format!("  {} exits/s", whole(model.rate()))),
    ];
    if let Some(load) = model.load() {
        first.push(Span::raw(format!(
            "  handling {:.1}% of a CPU",
            load * 100.0
        )));
    }
    if model.is_paused() {
        first.push(Span::styled(
            "  PAUSED",
            bold().add_modifier(Modifier::REVERSED),
        ));
    }
    let mut second = format!("{} exits counted", grouped(model.added().total.exits));
    if let Some(counter) = view.counted_by.filter(|_| view.kind != Scope::Guest) {
        second += &format!(" by {counter}");
    }
    if model.own_rate() > 0.0 {
        second += &format!(", {}/s by this program", whole(model.own_rate()));
    }
    second += &format!(", every {}", time(model.interval().as_secs_f64() * 1e9));
    if let Some(baseline) = model.baseline() {
        second += &format!(", normal is {baseline}");
    }
    if model.restarts() != 0 {
        second += &format!(", started anew {} times", model.restarts());
    }
    let text = vec![Line::from(first), Line::styled(second, dim())];
    frame.render_widget(Paragraph::new(text), area);
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let mut newest: Vec<u64> = model.rates().rev().take(area.width.into()).collect();
    newest.reverse();
    frame.render_widget(Sparkline::default().data(newest), area);
}

/// The columns of the table; the bar takes what is left.
fn columns(sort: Sort, baseline: bool) -> Vec<Column> {
    let of = match sort {
        Sort::Time => "of time",
        Sort::Count | Sort::Number => "of exits",
    };
    let mut columns = vec![
        figures("no.", 5),
        words("reason"),
        figures("exits", 2),
        figures("exits/s", 0),
        figures("time", 3),
        figures("average", 4),
        figures(of, 1),
    ];
    if baseline {
        columns.insert(NORMAL, figures("normal", 0));
    }
    columns
}

fn cells(model: &Model, line: &Entry) -> Vec<String> {
    let (row, view) = (&line.row, model.now());
    let clock = |cycles| view.nanoseconds(cycles).map_or_else(|| "-".into(), time);
    let mut cells = vec![
        row.reason.to_string(),
        row.name.to_string(),
        grouped(row.exits),
        whole(line.rate),
        clock(row.cycles),
        row.average().map_or_else(|| "-".into(), clock),
        format!("{:.0}%", line.share * 100.0),
    ];
    if model.baseline().is_some() {
        cells.insert(
            NORMAL,
            line.off.map_or(String::new(), |off| off.to_string()),
        );
    }
    cells
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, model: &Model, lines: &[Entry], chosen: usize) {
    let columns = columns(model.sort(), model.baseline().is_some());
    let rows: Vec<Vec<String>> = lines.iter().map(|line| cells(model, line)).collect();
    let room = usize::from(area.width);
    // A figure is shown whole or not at all; only names may be cut.
    let mut widths = table::widths(&columns, &rows);
    let name = widths[NAME];
    widths[NAME] = name.min(SHORT_NAME);
    let shown = table::that_fit(&columns, &widths, Some(room));
    let taken: usize = shown.iter().map(|&place| widths[place] + table::GAP).sum();
    widths[NAME] = name.min(widths[NAME] + room.saturating_sub(taken.saturating_sub(table::GAP)));
    let taken: usize = shown.iter().map(|&place| widths[place] + table::GAP).sum();
    let bar_width = room.saturating_sub(taken).min(LONGEST_BAR);
    let aligned = |place: usize, text: String| {
        if columns[place].left {
            Line::from(text)
        } else {
            Line::from(text).right_aligned()
        }
    };
    let cells = rows.iter().zip(lines).map(|(cells, line)| {
        let filled = (line.share * bar_width as f64).round() as usize;
        let bar = Cell::from("\u{2588}".repeat(filled.min(bar_width)));
        let figures = shown
            .iter()
            .map(|&place| Cell::from(aligned(place, cells[place].clone())));
        Row::new(figures.chain((bar_width != 0).then_some(bar)))
    });
    let head = shown
        .iter()
        .map(|&place| Cell::from(aligned(place, columns[place].title.into())));
    let limits = shown
        .iter()
        .map(|&place| Constraint::Length(widths[place] as u16))
        // A column of no width would still take a gap, and cut a figure.
        .chain((bar_width != 0).then_some(Constraint::Length(bar_width as u16)));
    let table = Table::new(cells, limits)
        .header(Row::new(head).style(bold()))
        .column_spacing(table::GAP as u16)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected((!lines.is_empty()).then_some(chosen));
    frame.render_stateful_widget(table, area, &mut state);
    // A reversed bar would look like none.
    let bar = Rect {
        x: area.x + taken.min(room) as u16,
        y: area.y + 1 + chosen.saturating_sub(state.offset()) as u16,
        width: bar_width as u16,
        height: 1,
    };
    let plain = Style::new().remove_modifier(Modifier::REVERSED);
    frame.buffer_mut().set_style(bar.intersection(area), plain);
}

/// The buckets of the chosen reason that there is room for: those with the most.
fn buckets(model: &Model, lines: &[Entry], chosen: usize) -> Vec<(Bucket, String)> {
    let Some(line) = lines.get(chosen) else {
        return Vec::new();
    };
    let Some(row) = model.histogram_of(line.row.reason) else {
        return Vec::new();
    };
    let view = model.now();
    let edge = |log2: u32| {
        let cycles = 2f64.powi(log2 as i32);
        match view.tsc_khz {
            0 => format!("2^{log2}"),
            khz => time(cycles * 1e6 / f64::from(khz)),
        }
    };
    let mut shown = row.histogram.clone();
    shown.sort_by_key(|bucket| std::cmp::Reverse(bucket.exits));
    shown.truncate(usize::from(HISTOGRAM - 2));
    shown.sort_by_key(|bucket| bucket.log2);
    let labelled = shown.into_iter().map(|bucket| {
        let label = format!("{:>8} to {:>8}", edge(bucket.log2), edge(bucket.log2 + 1));
        (bucket, label)
    });
    labelled.collect()
}

fn draw_histogram(
    frame: &mut Frame<'_>,
    area: Rect,
    lines: &[Entry],
    chosen: usize,
    buckets: Vec<(Bucket, String)>,
) {
    let (Some(line), true) = (lines.get(chosen), area.height > 1) else {
        return;
    };
    let all: u64 = buckets.iter().map(|(bucket, _)| bucket.exits).sum();
    let most = buckets
        .iter()
        .map(|(bucket, _)| bucket.exits)
        .max()
        .unwrap_or(1)
        .max(1);
    let room = f64::from(area.width.saturating_sub(46).max(8));
    let mut text = vec![Line::styled(
        format!(
            "{}: handling time of one exit, since the VM was made",
            line.row.name
        ),
        bold(),
    )];
    for (bucket, label) in buckets {
        let width = (bucket.exits as f64 / most as f64 * room).ceil() as usize;
        let (exits, share) = (grouped(bucket.exits), percent(bucket.exits, all));
        let bar = "\u{2588}".repeat(width);
        text.push(Line::raw(format!("{label} {exits:>14} {share:>6}  {bar}")));
    }
    frame.render_widget(Paragraph::new(text), area);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let (filter, typing) = model.filter();
    let text = match (filter, typing) {
        (filter, true) => format!("filter: {filter}_   Enter: done   Esc: all reasons"),
        ("", false) => {
            "q end  ? help  s sort  v vCPUs  c causes  p pause  r reset  / filter  + -".into()
        }
        (filter, false) => format!("only reasons with {filter:?} in their name   Esc: all reasons"),
    };
    frame.render_widget(Paragraph::new(text).style(dim()), area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let width = area.width.min(76);
    let height = area.height.min(HELP.len() as u16 + 2);
    let place = Rect {
        x: area.width.saturating_sub(width) / 2,
        y: area.height.saturating_sub(height) / 2,
        width,
        height,
    };
    let lines = HELP.iter().map(|(keys, what)| {
        Line::from(vec![
            Span::styled(format!("{keys:>10}  "), bold()),
            Span::raw(*what),
        ])
    });
    frame.render_widget(Clear, place);
    let text = Paragraph::new(lines.collect::<Vec<Line<'_>>>());
    frame.render_widget(text.block(Block::bordered().title(" keys ")), place);
}
