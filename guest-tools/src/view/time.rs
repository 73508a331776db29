// SPDX-License-Identifier: GPL-2.0
//! Where the time of the vCPUs went.

use super::View;
use crate::units::percent;

impl View {
    /// The shares of each part of the vCPUs' time; `None` if the host does not tell them
    /// all. Time that a vCPU spends in its present state is not in it yet.
    pub fn shares(&self) -> Option<String> {
        let total = &self.total;
        let parts = [
            ("in the guest", total.guest),
            ("handling", total.cycles),
            ("blocked", total.blocked),
            ("userspace", total.userspace),
            ("scheduled out", total.scheduled_out),
            ("entry", total.entry),
        ];
        let all = parts
            .iter()
            .fold(0u64, |sum, (_, cycles)| sum.saturating_add(*cycles));
        if total.guest == 0 {
            return None;
        }
        let parts = parts.iter().filter(|(_, cycles)| *cycles != 0);
        let words: Vec<String> = parts
            .map(|(name, cycles)| format!("{} {name}", percent(*cycles, all)))
            .collect();
        Some(words.join(", "))
    }
}
