// SPDX-License-Identifier: GPL-2.0
//! A second reading of counts and cycles, with a few exits.

use exit_stats::abi::{self, Selector};
use exit_stats::reader::{CpuidReader, Reader};

use crate::view::{Availability, Row, View};

/// Fills a view from a snapshot by asking only for the reasons of which the view
/// before had exits. The sums tell whether these are all still: `None` if another
/// reason has occurred since, and all have to be asked.
pub(super) fn read<T: CpuidReader>(
    reader: &Reader<T>,
    last: &View,
    mut view: View,
) -> Option<View> {
    let ask = |reason, field| {
        reader.select(Selector {
            reason,
            field,
            snapshot: true,
        })
    };
    view.total = Row::named(view.vendor, abi::TOTAL);
    view.total.exits = ask(abi::TOTAL, abi::EXITS)?;
    view.total.cycles = ask(abi::TOTAL, abi::CYCLES)?;
    for before in &last.reasons {
        let mut row = Row::named(view.vendor, before.reason);
        row.state = before
            .state
            .filter(|state| *state == Availability::NotEnabled);
        if before.exits != 0 {
            row.state = Some(Availability::Enabled);
            row.exits = ask(row.reason, abi::EXITS)?;
            row.cycles = if row.exits == before.exits {
                before.cycles
            } else {
                ask(row.reason, abi::CYCLES)?
            };
        }
        view.reasons.push(row);
    }
    let sum = |figure: fn(&Row) -> u64| view.reasons.iter().map(figure).sum::<u64>();
    if sum(|row| row.exits) != view.total.exits || sum(|row| row.cycles) != view.total.cycles {
        return None;
    }
    view.failed_entries = ask(abi::FAILED, abi::EXITS);
    view.emulated_entries = ask(abi::EMULATED, abi::EXITS);
    Some(view)
}
