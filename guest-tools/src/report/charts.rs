// SPDX-License-Identifier: GPL-2.0
//! Charts as inline SVG. The page's style sheet gives the colours of text and lines,
//! so that a chart suits the light and the dark page.

use maud::html;
use plotters::prelude::*;

use crate::report::facts::Facts;
use crate::units::{grouped, time};
use crate::view::{Row, View};

/// The colours of series: told apart by people who see colours in any usual way.
pub const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xd5, 0x5e, 0x00),
];

/// What the style sheet replaces: the colour of text and axes.
const INK: RGBColor = RGBColor(1, 1, 1);
/// The colour of the grid.
const GRID: RGBColor = RGBColor(2, 2, 2);

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// `#0072b2`.
pub fn css(color: RGBColor) -> String {
    format!("#{:02x}{:02x}{:02x}", color.0, color.1, color.2)
}

fn svg(
    size: (u32, u32),
    label: &str,
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Drawn,
) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        // A string cannot fail to be written.
        let _ = draw(&area).and_then(|()| area.present());
    }
    let label = html! { (label) }.into_string();
    let open = format!("<svg role=\"img\" aria-label=\"{label}\" ");
    text.replacen("<svg ", &open, 1)
}

fn whole(value: &f64) -> String {
    grouped(value.round() as u64)
}

/// Exits a second over time: all, and the reasons with the most.
pub fn rates(facts: &Facts) -> Option<String> {
    if facts.full_steps().count() < 2 {
        return None;
    }
    let rate = |exits: u64, seconds: f64| exits as f64 / seconds.max(1e-3);
    let points = |of: &dyn Fn(&View) -> u64| -> Vec<(f64, f64)> {
        facts
            .full_steps()
            .map(|step| (step.at, rate(of(&step.added), step.seconds)))
            .collect()
    };
    let all = points(&|view| view.total.exits);
    let highest = all.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let end = all.last().map_or(1.0, |(at, _)| *at).max(0.001);
    Some(svg((900, 320), "Exits a second over time", |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end, 0.0..highest * 1.05)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(("sans-serif", 13).into_font().color(&INK))
            .y_label_formatter(&whole)
            .x_desc("seconds")
            .y_desc("exits a second")
            .draw()?;
        chart.draw_series(LineSeries::new(all, INK.stroke_width(2)))?;
        for (row, color) in facts.most(|row| row.exits).into_iter().zip(SERIES) {
            let reason = row.reason;
            let line = points(&|view| view.row(reason).map_or(0, |row| row.exits));
            chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
        }
        Ok(())
    }))
}

/// The histogram of one reason's handling time.
pub fn histogram(view: &View, row: &Row) -> Option<String> {
    // With an empty bucket on each side a single one is no wall.
    let first = row.histogram.first()?.log2.saturating_sub(1);
    let last = row.histogram.last()?.log2 + 1;
    let most = row.histogram.iter().map(|bucket| bucket.exits).max()? as f64;
    let label = format!("Handling time of one exit by {}", row.name);
    let edge = |log2: &f64| {
        let cycles = 2f64.powf(log2.round());
        match view.tsc_khz {
            0 => format!("2^{log2:.0}"),
            khz => time(cycles * 1e6 / f64::from(khz)),
        }
    };
    Some(svg((320, 190), &label, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(30)
            .y_label_area_size(62)
            .build_cartesian_2d(f64::from(first)..f64::from(last + 1), 0.0..most * 1.05)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_labels((last - first + 2).min(6) as usize)
            .y_labels(5)
            .y_label_formatter(&whole)
            .x_label_formatter(&edge)
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .draw()?;
        chart.draw_series(row.histogram.iter().map(|bucket| {
            let (left, right) = (f64::from(bucket.log2), f64::from(bucket.log2 + 1));
            let mut bar = Rectangle::new(
                [(left, 0.0), (right, bucket.exits as f64)],
                SERIES[0].filled(),
            );
            bar.set_margin(0, 0, 1, 1);
            bar
        }))?;
        Ok(())
    }))
}
