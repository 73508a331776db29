// SPDX-License-Identifier: GPL-2.0
//! The vCPUs of a VM: where the time of each went in the last interval.

use ratatui::layout::Rect;
use ratatui::widgets::Paragraph;
use ratatui::Frame;

use crate::host::Vcpu;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, percent, time};
use crate::view::{Row, View};
use crate::watch::grid::grid;

const COLUMNS: [Column; 8] = [
    figures("vcpu", 0),
    figures("exits/s", 0),
    figures("in guest", 1),
    figures("handling", 2),
    figures("blocked", 3),
    figures("userspace", 4),
    figures("sched. out", 5),
    words("now"),
];

/// Two readings of all vCPUs; the earlier has none at first.
#[derive(Debug, Clone, Default)]
pub struct Vcpus {
    before: Vec<Vcpu>,
    now: Vec<Vcpu>,
}

impl Vcpus {
    /// Takes the next reading.
    pub fn update(&mut self, now: Vec<Vcpu>) {
        self.before = std::mem::replace(&mut self.now, now);
    }

    /// The cells of a vCPU; those of the last interval are empty before there is one.
    fn cells(&self, vcpu: &Vcpu, view: &View) -> Vec<String> {
        let clock = |cycles| view.nanoseconds(cycles).map_or("-".into(), time);
        let reason = Row::named(view.vendor, vcpu.reason);
        let long = clock(vcpu.now.saturating_sub(vcpu.since));
        let nested = if vcpu.from_l2 {
            " of a nested guest"
        } else {
            ""
        };
        let now = match vcpu.phase.as_str() {
            phase @ ("guest" | "new") => format!("{phase} {long}"),
            phase => format!("{phase} {long}: {}{nested}", reason.name),
        };
        let mut cells = vec![vcpu.number.to_string()];
        let before = self.before.iter().find(|old| old.number == vcpu.number);
        let Some(before) = before.filter(|old| old.now < vcpu.now) else {
            cells.extend(vec!["-".into(); COLUMNS.len() - 2]);
            cells.push(now);
            return cells;
        };
        let length = vcpu.now - before.now;
        let added = vcpu.up_to_now().since(&before.up_to_now());
        let rate = view
            .seconds(length)
            .map(|seconds| added.exits as f64 / seconds.max(1e-9));
        cells.push(rate.map_or("-".into(), |rate| grouped(rate.round() as u64)));
        cells.extend(
            [
                added.guest,
                added.cycles,
                added.blocked,
                added.userspace,
                added.scheduled_out,
            ]
            .map(|part| percent(part, length)),
        );
        cells.push(now);
        cells
    }

    /// Draws the table; `view` has the vendor and the clock.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, view: &View) {
        if self.now.is_empty() {
            let text = "Each vCPU is told of a VM of this host: vmxscope watch --vm NAME";
            frame.render_widget(Paragraph::new(text), area);
            return;
        }
        let rows: Vec<Vec<String>> = self.now.iter().map(|vcpu| self.cells(vcpu, view)).collect();
        let mut widths = table::widths(&COLUMNS, &rows);
        // What it does now may be cut, and no figure.
        let last = COLUMNS.len() - 1;
        let longest = std::mem::replace(&mut widths[last], 12);
        let room = usize::from(area.width);
        let shown = table::that_fit(&COLUMNS, &widths, Some(room));
        let taken: usize = shown.iter().map(|&place| widths[place] + table::GAP).sum();
        widths[last] = longest.min(widths[last] + (room + table::GAP).saturating_sub(taken));
        let table = grid(&COLUMNS, &rows, &widths, &shown);
        frame.render_widget(table, area);
    }
}
