// SPDX-License-Identifier: GPL-2.0
//! A histogram in text.

use crate::error::Result;
use crate::output::Output;
use crate::units::{grouped, percent, time};
use crate::view::{Bucket, Row, View};

/// Characters of the longest bar.
const LONGEST: u64 = 40;

/// Prints the histogram of a row, with the empty buckets between others.
pub fn print(view: &View, row: &Row, out: &mut Output<'_>) -> Result<()> {
    let look = out.look;
    let (Some(first), Some(last)) = (row.histogram.first(), row.histogram.last()) else {
        return Ok(());
    };
    let all: u64 = row.histogram.iter().map(|bucket| bucket.exits).sum();
    let most = row
        .histogram
        .iter()
        .map(|bucket| bucket.exits)
        .max()
        .unwrap_or(1)
        .max(1);
    writeln!(
        out,
        "\n{}",
        look.bold(&format!("{}: handling time of one exit", row.name))
    )?;
    for log2 in first.log2..=last.log2 {
        let found = row.histogram.iter().find(|bucket| bucket.log2 == log2);
        let exits = found.map_or(0, |Bucket { exits, .. }| *exits);
        let bar = (u128::from(exits) * u128::from(LONGEST)).div_ceil(u128::from(most)) as usize;
        let text = format!(
            "{:>8} to {:>8}  {:>14}  {:>6}  {}",
            edge(view, log2),
            edge(view, log2 + 1),
            grouped(exits),
            percent(exits, all),
            "#".repeat(bar)
        );
        writeln!(out, "{}", text.trim_end())?;
    }
    let clock = |cycles| {
        view.nanoseconds(cycles)
            .map_or_else(|| grouped(cycles), time)
    };
    let (min, max) = (clock(row.min), clock(row.max));
    writeln!(out, "shortest {min}, longest {max}")?;
    Ok(())
}

fn edge(view: &View, log2: u32) -> String {
    let cycles = 2f64.powi(log2 as i32);
    match view.tsc_khz {
        0 => format!("2^{log2}"),
        khz => time(cycles * 1e6 / f64::from(khz)),
    }
}
