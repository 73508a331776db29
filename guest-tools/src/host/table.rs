// SPDX-License-Identifier: GPL-2.0
//! KVM's tables in debugfs: a line of headings, and lines of cells between tabs.

use std::ffi::CStr;
use std::str::FromStr;

use exit_stats::abi;
use exit_stats::reason::Vendor;

use crate::error::{Error, Result};
use crate::view::{Bucket, Row, View};

/// A line of a table, whose cells are found by the headings.
pub(super) struct RawRow<'t> {
    file: &'t str,
    number: usize,
    head: &'t [&'t str],
    cells: Vec<&'t str>,
}

impl<'t> RawRow<'t> {
    /// The cell below a heading; nothing if the line is too short.
    pub(super) fn cell(&self, column: &str) -> Result<&'t str> {
        let place = self.head.iter().position(|title| *title == column);
        let problem = || Error::input(self.file, 1, format!("there is no column {column:?}"));
        let cell = self.cells.get(place.ok_or_else(problem)?);
        Ok(cell.copied().unwrap_or(""))
    }

    /// The number below a heading.
    pub(super) fn number<N: FromStr>(&self, column: &str) -> Result<N> {
        let cell = self.cell(column)?;
        cell.parse()
            .map_err(|_| self.wrong(format!("no number in column {column:?}: {cell:?}")))
    }

    /// The figures of a row but its histogram.
    pub(super) fn figures(&self, named: Row) -> Result<Row> {
        Ok(Row {
            exits: self.number("exits")?,
            cycles: self.number("cycles")?,
            min: self.number("min")?,
            max: self.number("max")?,
            blocked: self.number("blocked")?,
            userspace: self.number("user")?,
            scheduled_out: self.number("away")?,
            entry: self.number("entry")?,
            guest: self.number("guest")?,
            nested: self.number("l2")?,
            dropped: self.number("dropped")?,
            ..named
        })
    }

    pub(super) fn wrong(&self, problem: String) -> Error {
        Error::input(self.file, self.number, problem)
    }
}

/// The headings of a table.
pub(super) fn head(text: &str) -> Vec<&str> {
    text.lines().next().unwrap_or("").split('\t').collect()
}

/// The lines below the headings.
pub(super) fn lines<'t>(
    text: &'t str,
    head: &'t [&'t str],
    file: &'t str,
) -> impl Iterator<Item = RawRow<'t>> {
    text.lines()
        .enumerate()
        .skip(1)
        .map(move |(place, line)| RawRow {
            file,
            number: place + 1,
            head,
            cells: line.split('\t').collect(),
        })
}

/// Reads a table of reasons into a view. What is of the whole table is in lines of a word
/// and a number.
pub fn parse(text: &str, file: &str, mut view: View) -> Result<View> {
    let head = head(text);
    let mut whole = false;
    for line in lines(text, &head, file) {
        if let [word, value] = line.cells[..] {
            let problem = |_| line.wrong(format!("no number: {value:?}"));
            match word {
                "tsc_khz" => view.tsc_khz = value.parse().map_err(problem)?,
                "monotonic_ns" => view.monotonic_ns = Some(value.parse().map_err(problem)?),
                // Of a newer kernel.
                _ => (),
            }
            continue;
        }
        let reason = line.number("reason")?;
        if view.reasons.is_empty() {
            view.vendor = vendor_of(reason, line.cell("symbol")?);
        }
        let mut row = line.figures(Row::named(view.vendor, reason))?;
        row.histogram = histogram(line.cell("buckets")?)
            .ok_or_else(|| line.wrong("no histogram in column \"buckets\"".into()))?;
        match reason {
            abi::TOTAL => {
                view.total = row;
                whole = true;
            }
            abi::FAILED => view.failed_entries = Some(row.exits),
            abi::EMULATED => view.emulated_entries = Some(row.exits),
            abi::BEYOND if row.exits == 0 => (),
            _ => view.reasons.push(row),
        }
    }
    // The total is in the last line.
    if !whole || !text.ends_with('\n') {
        let problem = format!(
            "the table is cut off: line {} is not the whole of the total's",
            text.lines().count()
        );
        return Err(Error::input(file, 0, problem));
    }
    view.check()
        .map_err(|problem| Error::input(file, 0, problem))?;
    if view.total.histogram.is_empty() {
        view.add_up_histograms();
    }
    Ok(view)
}

/// Whose reason of this number the table calls so. KVM writes SVM's in small letters.
fn vendor_of(reason: u32, symbol: &str) -> Vendor {
    let called = |vendor: &Vendor| {
        let own = vendor.symbol(reason).map(CStr::to_bytes);
        own.is_some_and(|own| own.eq_ignore_ascii_case(symbol.as_bytes()))
    };
    let vendors = [Vendor::Vmx, Vendor::Svm];
    vendors.into_iter().find(called).unwrap_or_default()
}

/// `10:3,11:200`, or `-` for none.
fn histogram(text: &str) -> Option<Vec<Bucket>> {
    if text == "-" {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|bucket| {
            let (log2, exits) = bucket.split_once(':')?;
            let log2 = log2.parse().ok().filter(|log2| *log2 < abi::BUCKETS)?;
            Some(Bucket {
                log2,
                exits: exits.parse().ok()?,
            })
        })
        .collect()
}
