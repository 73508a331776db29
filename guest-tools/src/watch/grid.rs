// SPDX-License-Identifier: GPL-2.0
//! A table of figures and words on the screen.

use ratatui::layout::Constraint;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Row, Table};

use crate::table::{self, Column};

/// Makes a table of these rows, with the columns at the places that are `shown`.
pub(super) fn grid(
    columns: &[Column],
    rows: &[Vec<String>],
    widths: &[usize],
    shown: &[usize],
) -> Table<'static> {
    let aligned = |place: usize, text: String| {
        if columns[place].left {
            Line::from(text)
        } else {
            Line::from(text).right_aligned()
        }
    };
    let line = |text: &dyn Fn(usize) -> String| {
        let cells = shown.iter().map(|&place| aligned(place, text(place)));
        Row::new(cells.collect::<Vec<Line<'static>>>())
    };
    let lines: Vec<Row<'static>> = rows
        .iter()
        .map(|cells| line(&|place| cells[place].clone()))
        .collect();
    let limits = shown
        .iter()
        .map(|&place| Constraint::Length(widths[place] as u16));
    let titles = line(&|place| columns[place].title.into());
    Table::new(lines, limits)
        .header(titles.style(Style::new().add_modifier(Modifier::BOLD)))
        .column_spacing(table::GAP as u16)
}
