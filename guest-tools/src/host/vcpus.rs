// SPDX-License-Identifier: GPL-2.0
//! What each vCPU of a VM does now, and where its time went.

use super::table;
use crate::error::{Error, Result};
use crate::text::harmless;
use crate::view::Row;

/// A vCPU. Times are in cycles of the host's TSC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vcpu {
    /// Its number.
    pub number: u32,
    /// What it does: `guest`, `handling`, `blocked`, `userspace`, or `new` before its first
    /// entry.
    pub phase: String,
    /// The reason of its last exit.
    pub reason: u32,
    /// That exit was taken from a nested guest.
    pub from_l2: bool,
    /// When this phase began.
    pub since: u64,
    /// When all before was added to the totals.
    pub mark: u64,
    /// When this was read.
    pub now: u64,
    /// Its totals since it was made.
    pub total: Row,
}

impl Vcpu {
    /// The totals with the time of the present phase, which is added at its end only.
    pub fn up_to_now(&self) -> Row {
        let mut total = self.total.clone();
        let phase = self.now.saturating_sub(self.since);
        match self.phase.as_str() {
            "guest" => total.guest = total.guest.saturating_add(phase),
            "handling" => {
                total.cycles = total.cycles.saturating_add(phase);
                let before = self.since.saturating_sub(self.mark);
                total.guest = total.guest.saturating_add(before);
            }
            "blocked" => total.blocked = total.blocked.saturating_add(phase),
            "userspace" => total.userspace = total.userspace.saturating_add(phase),
            _ => (),
        }
        total
    }
}

/// Reads the table of a VM's vCPUs.
///
/// # Errors
///
/// The line that is not understood, or that the table is cut off.
pub fn parse(text: &str, file: &str) -> Result<Vec<Vcpu>> {
    if !text.ends_with('\n') {
        return Err(Error::input(file, 0, "the table is cut off"));
    }
    let head = table::head(text);
    let vcpu = |line: table::RawRow<'_>| {
        Ok(Vcpu {
            number: line.number("vcpu")?,
            phase: harmless(line.cell("phase")?),
            reason: line.number("reason")?,
            from_l2: line.number::<u8>("from_l2")? != 0,
            since: line.number("since")?,
            mark: line.number("mark")?,
            now: line.number("now")?,
            total: line.figures(Row::default())?,
        })
    };
    table::lines(text, &head, file).map(vcpu).collect()
}
