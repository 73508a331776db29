// SPDX-License-Identifier: GPL-2.0
//! Where the time of the vCPUs went.

use super::{Row, View};
use crate::units::percent;

/// The parts of a vCPU's time, which add up to all of it, by their names.
const PARTS: [(&str, fn(&Row) -> u64); 6] = [
    ("in the guest", |row| row.guest),
    ("handling", |row| row.cycles),
    ("blocked", |row| row.blocked),
    ("userspace", |row| row.userspace),
    ("scheduled out", |row| row.scheduled_out),
    ("entry", |row| row.entry),
];

impl View {
    /// How long the vCPUs have been there, all together, in seconds: by the parts of their
    /// time, or by how many they are if this is a difference of so many `seconds`.
    pub fn vcpu_seconds(&self, seconds: Option<f64>) -> Option<f64> {
        if self.total.guest != 0 && self.tsc_khz != 0 {
            let parts = PARTS.iter().map(|(_, cycles)| cycles(&self.total) as f64);
            return Some(parts.sum::<f64>() / (f64::from(self.tsc_khz) * 1e3));
        }
        Some(seconds? * self.vcpus? as f64).filter(|seconds| *seconds > 0.0)
    }

    /// The shares of each part of the vCPUs' time; `None` if the host does not tell them
    /// all. Time that a vCPU spends in its present state is not in it yet.
    pub fn shares(&self) -> Option<String> {
        let parts = PARTS.map(|(name, cycles)| (name, cycles(&self.total)));
        let all = parts
            .iter()
            .fold(0u64, |sum, (_, cycles)| sum.saturating_add(*cycles));
        if self.total.guest == 0 {
            return None;
        }
        let parts = parts.iter().filter(|(_, cycles)| *cycles != 0);
        let words: Vec<String> = parts
            .map(|(name, cycles)| format!("{} {name}", percent(*cycles, all)))
            .collect();
        Some(words.join(", "))
    }
}
