// SPDX-License-Identifier: GPL-2.0
//! A table in text: columns as wide as what is in them, and the least important
//! ones left out where the terminal is too narrow.

use unicode_width::UnicodeWidthStr;

use crate::error::Result;
use crate::output::Output;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading.
    pub title: &'static str,
    /// Flush left instead of right.
    pub left: bool,
    /// 0 is never left out; the column of the highest number is, first.
    pub expendable: u8,
}

/// A column of figures.
pub const fn figures(title: &'static str, expendable: u8) -> Column {
    Column {
        title,
        left: false,
        expendable,
    }
}

/// A column of text.
pub const fn words(title: &'static str) -> Column {
    Column {
        title,
        left: true,
        expendable: 0,
    }
}

/// Spaces between two columns.
pub const GAP: usize = 2;

/// Prints rows of as many cells as there are columns. The last `totals` rows are
/// in bold.
pub fn print(
    out: &mut Output<'_>,
    columns: &[Column],
    rows: &[Vec<String>],
    totals: usize,
) -> Result<()> {
    let widths = widths(columns, rows);
    let shown = that_fit(columns, &widths, out.look.width);
    let titles: Vec<String> = columns.iter().map(|column| column.title.into()).collect();
    let line = |cells: &[String]| {
        let mut text = String::new();
        for &place in &shown {
            let (cell, width) = (&cells[place], widths[place]);
            if !text.is_empty() {
                text.push_str(&" ".repeat(GAP));
            }
            let space = " ".repeat(width.saturating_sub(cell.width()));
            text += &if columns[place].left {
                format!("{cell}{space}")
            } else {
                format!("{space}{cell}")
            };
        }
        text.truncate(text.trim_end().len());
        text
    };
    let look = out.look;
    writeln!(out, "{}", look.bold(&line(&titles)))?;
    for (place, row) in rows.iter().enumerate() {
        let text = line(row);
        if place + totals >= rows.len() {
            writeln!(out, "{}", look.bold(&text))?;
        } else {
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}

/// How wide each column is with these rows.
pub fn widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |(place, column): (usize, &Column)| {
        let cells = rows.iter().map(|row| row[place].width());
        cells.max().unwrap_or(0).max(column.title.width())
    };
    columns.iter().enumerate().map(width).collect()
}

/// The places of the columns that there is room for.
pub fn that_fit(columns: &[Column], widths: &[usize], room: Option<usize>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let Some(room) = room else { return shown };
    let needed = |shown: &[usize]| {
        let cells: usize = shown.iter().map(|&place| widths[place] + GAP).sum();
        cells.saturating_sub(GAP)
    };
    while needed(&shown) > room {
        let least = shown
            .iter()
            .copied()
            .filter(|&place| columns[place].expendable != 0)
            .max_by_key(|&place| columns[place].expendable);
        match least {
            Some(least) => shown.retain(|&place| place != least),
            None => break,
        }
    }
    shown
}
