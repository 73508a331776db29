// SPDX-License-Identifier: GPL-2.0
//! What made the exits of the last interval.

use ratatui::layout::Rect;
use ratatui::widgets::{Paragraph, Wrap};
use ratatui::Frame;

use crate::causes::model::Causes;
use crate::causes::names::{action, key, Names};
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, percent, time};
use crate::view::View;
use crate::watch::grid::grid;

const COLUMNS: [Column; 7] = [
    figures("exits/s", 0),
    figures("of exits", 2),
    figures("time", 1),
    words("what"),
    words("key"),
    words("name"),
    words("where"),
];
/// Names may be cut, and no figure.
const NAMES: [usize; 2] = [5, 6];
/// The least that is left of one.
const SHORT: usize = 8;

/// Draws the causes that a view of so many seconds has, and in whose line the filter is.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    step: Option<(&View, f64)>,
    names: &Names,
    filter: &str,
) {
    let Some((view, seconds)) = step.filter(|(view, _)| view.causes.is_some()) else {
        frame.render_widget(Paragraph::new("The next interval shows them."), area);
        return;
    };
    let all = view.total.exits;
    let rows = Causes::each(view).into_iter().map(|cause| {
        let cycles = cause.cycles.and_then(|cycles| view.nanoseconds(cycles));
        let place = cause
            .rip
            .map(|rip| names.function(rip).unwrap_or(format!("{rip:#x}")));
        let what = match cause.key {
            Some(_) => action(cause.kind).to_string(),
            None => cause.reason.map_or_else(String::new, |reason| {
                let symbol = view.vendor.symbol(reason);
                symbol.map_or(reason.to_string(), |symbol| symbol.to_string_lossy().into())
            }),
        };
        vec![
            grouped((cause.exits as f64 / seconds).round() as u64),
            percent(cause.exits, all),
            cycles.map_or("-".into(), time),
            what,
            cause.key.map_or(String::new(), |_| key(&cause)),
            names.of(&cause).unwrap_or_default(),
            place.unwrap_or_default(),
        ]
    });
    let filter = filter.to_lowercase();
    let fits = |row: &Vec<String>| row.iter().any(|cell| cell.to_lowercase().contains(&filter));
    let rows: Vec<Vec<String>> = rows.filter(fits).collect();
    let mut widths = table::widths(&COLUMNS, &rows);
    let longest = NAMES.map(|place| widths[place]);
    for place in NAMES {
        widths[place] = widths[place].min(SHORT);
    }
    let room = usize::from(area.width);
    let shown = table::that_fit(&COLUMNS, &widths, Some(room));
    let taken: usize = shown.iter().map(|&place| widths[place] + table::GAP).sum();
    let mut left = (room + table::GAP).saturating_sub(taken);
    for (place, longest) in NAMES.into_iter().zip(longest) {
        let more = left.min(longest - widths[place]);
        widths[place] += more;
        left -= more;
    }
    frame.render_widget(grid(&COLUMNS, &rows, &widths, &shown), area);
}

/// Draws why there are none.
pub(super) fn draw_problem(frame: &mut Frame<'_>, area: Rect, problem: &str) {
    let text = Paragraph::new(problem.to_string()).wrap(Wrap { trim: true });
    frame.render_widget(text, area);
}
