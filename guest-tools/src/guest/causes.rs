// SPDX-License-Identifier: GPL-2.0
//! What made this guest's own exits, where the host keeps that.

use exit_stats::reader::causes::Entry;

use super::{pin_to, release, Guest, How, Wanted, ATTEMPTS};
use crate::error::{Error, Result};
use crate::view::View;

/// More of a reason than exits and cycles, but no histograms.
const FIGURES: Wanted = Wanted {
    extras: true,
    histograms: false,
    states: false,
};

/// Causes and figures of one instant.
pub struct Snapshot {
    /// The entries that the host has.
    pub entries: Vec<Entry>,
    /// The figures by reason.
    pub view: View,
}

impl Guest<'_> {
    /// Reads the causes.
    ///
    /// # Errors
    ///
    /// That the host keeps none; that others take snapshots all the while.
    pub fn read_causes(&self) -> Result<Snapshot> {
        let How::Discovered(reader) = &self.how else {
            return Err(no_causes());
        };
        if !reader.interface().causes {
            return Err(no_causes());
        }
        pin_to(self.cpu, Some(self.at))?;
        for _ in 0..ATTEMPTS {
            let own = self.cpu.executed();
            let Some(taken) = reader.take() else {
                return Err(Error::Unstable(
                    "the host has no memory for a snapshot of the causes: try again later".into(),
                ));
            };
            let entries = (0..).map_while(|number| reader.cause(number)).collect();
            let read = self.figures(reader, true, FIGURES);
            if let (Some(mut view), true) = (read, reader.generation() == Some(taken)) {
                view.own_exits = own;
                release(self.cpu)?;
                return Ok(Snapshot { entries, view });
            }
        }
        Err(Error::Unstable(format!(
            "{ATTEMPTS} snapshots in turn were replaced while they were read: another program on \
             this CPU reads them too.\nUse another CPU, or end the other reader."
        )))
    }
}

fn no_causes() -> Error {
    Error::NoStatistics(
        "this guest's host keeps no causes of exits.\nOn the host, load kvm with \
         exit_stats_causes=1, or vmx_exits with causes=1, before the VM is started; or count \
         there, by `vmxscope causes --host`."
            .into(),
    )
}
