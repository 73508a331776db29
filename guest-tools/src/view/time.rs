// SPDX-License-Identifier: GPL-2.0
//! Where the time of the vCPUs went.

use super::View;
use crate::units::percent;

impl View {
    /// The parts of the vCPUs' time in cycles, which add up to all of it.
    fn parts(&self) -> [(&'static str, u64); 6] {
        let total = &self.total;
        [
            ("in the guest", total.guest),
            ("handling", total.cycles),
            ("blocked", total.blocked),
            ("userspace", total.userspace),
            ("scheduled out", total.scheduled_out),
            ("entry", total.entry),
        ]
    }

    /// How long the vCPUs have been there, all together, in seconds: by the parts of their
    /// time, or by how many they are if this is a difference of so many `seconds`.
    pub fn vcpu_seconds(&self, seconds: Option<f64>) -> Option<f64> {
        if self.total.guest != 0 && self.tsc_khz != 0 {
            let parts = self.parts().map(|(_, cycles)| cycles as f64);
            return Some(parts.iter().sum::<f64>() / (f64::from(self.tsc_khz) * 1e3));
        }
        Some(seconds? * self.vcpus? as f64).filter(|seconds| *seconds > 0.0)
    }

    /// The shares of each part of the vCPUs' time; `None` if the host does not tell them
    /// all. Time that a vCPU spends in its present state is not in it yet.
    pub fn shares(&self) -> Option<String> {
        let parts = self.parts();
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
