// SPDX-License-Identifier: GPL-2.0

//! The types that the header declares, by the header's names.
//!
//! A test puts bindgen's reading of the header in the place of this file, and so
//! holds each signature, layout and number of ours against it.

pub(crate) use core::ffi::c_char;

pub(crate) use crate::abi::Regs as exit_stats_regs;
pub(crate) use crate::answer::{Config as exit_stats_config, Query as exit_stats_query};
pub(crate) use crate::clock::Vcpu as exit_stats_vcpu;
pub(crate) use crate::counters::Counters as exit_stats_counters;
pub(crate) use crate::hist::Hist as exit_stats_hist;

/// What the header asserts of its structures.
const _: () = {
    use core::mem::{offset_of, size_of};

    use crate::clock::Clock;
    use crate::counters::Row;

    assert!(size_of::<Row>() == 64);
    assert!(size_of::<exit_stats_counters>() == 5632);
    assert!(offset_of!(exit_stats_counters, failed) == 5568);
    assert!(offset_of!(exit_stats_counters, emulated) == 5576);
    assert!(offset_of!(exit_stats_counters, generation) == 5584);
    assert!(size_of::<exit_stats_hist>() == 16384);
    assert!(offset_of!(exit_stats_hist, used) == 696);
    assert!(offset_of!(exit_stats_hist, lines) == 704);
    assert!(size_of::<Clock>() == 64);
    assert!(offset_of!(Clock, phase) == 12);
    assert!(offset_of!(Clock, hist) == 32);
    assert!(size_of::<exit_stats_vcpu>() == 5696);
    assert!(offset_of!(exit_stats_vcpu, clock) == 5632);
    assert!(size_of::<exit_stats_config>() == 32);
    assert!(offset_of!(exit_stats_config, host_scope) == 24);
    assert!(size_of::<exit_stats_query>() == 40);
    assert!(size_of::<exit_stats_regs>() == 16);
};
