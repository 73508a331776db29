// SPDX-License-Identifier: GPL-2.0
//! The frequency of the clock in whose cycles all times are.
//!
//! It is never measured: a measurement gives another number each time, and counters in
//! seconds that are made with it would go backwards.

use exit_stats::reader::CpuidReader;

/// The leaf that tells how the TSC relates to the crystal clock.
const TSC_LEAF: u32 = 0x15;

/// The frequency of this machine's TSC in kHz as CPUID tells it, or 0 if it does not.
/// The kernel knows it always: its table of exits has it in newer versions.
pub fn by_cpuid(cpu: &(impl CpuidReader + ?Sized)) -> u32 {
    if cpu.cpuid(0, 0).eax < TSC_LEAF {
        return 0;
    }
    let leaf = cpu.cpuid(TSC_LEAF, 0);
    let hertz = u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax.max(1));
    u32::try_from(hertz / 1000).unwrap_or(0)
}
