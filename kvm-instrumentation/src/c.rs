// SPDX-License-Identifier: GPL-2.0

//! The types that the header declares, by the header's names.
//!
//! A test puts bindgen's reading of the header in the place of this file, and so
//! holds each signature, layout and number of ours against it.

pub(crate) use crate::abi::Regs as exit_stats_regs;
pub(crate) use crate::answer::Config as exit_stats_config;
pub(crate) use crate::causes::Head as exit_stats_causes;
pub(crate) use crate::clock::Vcpu as exit_stats_vcpu;
pub(crate) use crate::counters::Set as exit_stats;
pub(crate) use crate::hist::Hist as exit_stats_hist;

/// What the header asserts of its structures.
const _: () = {
    use core::mem::{offset_of, size_of};

    assert!(size_of::<exit_stats_vcpu>() == 80);
    assert!(size_of::<exit_stats>() == 3456);
    assert!(offset_of!(exit_stats, rows) == 256);
    assert!(size_of::<exit_stats_hist>() == 12800);
    assert!(size_of::<exit_stats_causes>() == 320);
    assert!(size_of::<exit_stats_config>() == 48);
    assert!(size_of::<exit_stats_regs>() == 16);
};
