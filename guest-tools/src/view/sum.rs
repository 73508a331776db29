// SPDX-License-Identifier: GPL-2.0
//! Several stretches of time as one.

use super::{cause, Row, View};

impl View {
    /// What the parts, which are differences of views of one VM, have together; without
    /// histograms. `None` of no parts.
    pub fn sum(parts: &[&View]) -> Option<View> {
        let mut view = (*parts.last()?).clone();
        view.counts_only = parts.iter().any(|part| part.counts_only);
        view.consistent = parts.iter().all(|part| part.consistent);
        view.own_exits = total(parts, |part| part.own_exits);
        view.total = sum_of(&view.total, parts, |part| Some(&part.total));
        for row in &mut view.reasons {
            let reason = row.reason;
            *row = sum_of(row, parts, |part| part.row(reason));
        }
        let causes: Option<Vec<_>> = parts.iter().map(|part| part.causes.as_ref()).collect();
        view.causes = causes.map(|causes| cause::sum(causes.into_iter().flatten()));
        Some(view)
    }
}

fn total(parts: &[&View], figure: impl Fn(&View) -> u64) -> u64 {
    parts
        .iter()
        .map(|part| figure(part))
        .fold(0, u64::saturating_add)
}

fn sum_of<'v>(named: &Row, parts: &[&'v View], of: impl Fn(&'v View) -> Option<&'v Row>) -> Row {
    let rows: Vec<&Row> = parts.iter().filter_map(|part| of(part)).collect();
    let total = |figure: fn(&Row) -> u64| {
        rows.iter()
            .map(|row| figure(row))
            .fold(0, u64::saturating_add)
    };
    Row {
        exits: total(|row| row.exits),
        cycles: total(|row| row.cycles),
        blocked: total(|row| row.blocked),
        userspace: total(|row| row.userspace),
        scheduled_out: total(|row| row.scheduled_out),
        entry: total(|row| row.entry),
        guest: total(|row| row.guest),
        nested: total(|row| row.nested),
        dropped: total(|row| row.dropped),
        histogram: Vec::new(),
        ..named.clone()
    }
}
