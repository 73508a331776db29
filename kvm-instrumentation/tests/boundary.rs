// SPDX-License-Identifier: GPL-2.0
//! Expect that C gets through the boundary what the pure part says.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr::{from_ref, null, null_mut};

use exit_stats::abi::{self, Regs};
use exit_stats::answer::{Config, Query, Step};
use exit_stats::boundary::*;
use exit_stats::clock::{Event, Vcpu};
use exit_stats::counters::Counters;
use exit_stats::hist::Hist;

/// A vCPU in zeroed memory, as C allocates it.
fn zeroed<T>() -> Box<T> {
    // SAFETY: The types that C allocates are valid when zeroed.
    Box::new(unsafe { MaybeUninit::<T>::zeroed().assume_init() })
}

fn exit(vcpu: &mut Vcpu, reason: u32, l2: bool, start: u64, end: u64) {
    exit_with(vcpu, null_mut(), reason, l2, start, end);
}

fn exit_with(vcpu: &mut Vcpu, hist: *mut Hist, reason: u32, l2: bool, start: u64, end: u64) {
    vcpu.exit(reason, l2, start);
    // SAFETY: The vCPU is valid, the histograms are or null, and only this thread has them.
    unsafe { exit_stats_handled(vcpu, hist, end) };
}

fn value(counters: *const Counters, hist: *const Hist, reason: u32, field: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: The callers' pointers are valid, or null for no histograms.
    unsafe { exit_stats_value(counters, hist, reason, field, &mut value) }.then_some(value)
}

#[test]
fn what_is_recorded_in_zeroed_memory_is_answered() {
    let mut vcpu = zeroed::<Vcpu>();
    exit(&mut vcpu, 0x0800_000a, true, 100, 350);
    exit(&mut vcpu, 12, false, 1000, 1010);
    // SAFETY: The vCPU is valid, and only this thread has it.
    unsafe {
        exit_stats_event(&mut *vcpu, Event::BlockBegin as u32, 1020);
        exit_stats_event(&mut *vcpu, Event::BlockEnd as u32, 2020);
        exit_stats_event(&mut *vcpu, Event::EntryFailed as u32, 0);
        exit_stats_event(&mut *vcpu, 8, 0);
        exit_stats_event(&mut *vcpu, u32::MAX, 0);
    }
    let counters = from_ref(vcpu.counters());
    let get = |reason, field| value(counters, null(), reason, field);
    assert_eq!(get(10, abi::EXITS), Some(1));
    assert_eq!(get(10, abi::L2), Some(1));
    assert_eq!(get(10, abi::CYCLES), Some(250));
    assert_eq!(get(12, abi::BLOCKED), Some(1000));
    assert_eq!(get(abi::TOTAL, abi::CYCLES), Some(260));
    assert_eq!(get(abi::FAILED, abi::EXITS), Some(1));
    assert_eq!(get(abi::FAILED, abi::CYCLES), None);
    assert_eq!(get(35, abi::EXITS), None);
    assert_eq!(get(10, abi::STATE), None);
    assert_eq!(get(10, abi::BUCKET + 7), None, "there are no histograms");

    let mut column = [u64::MAX; 90];
    for (field, expected) in [(abi::EXITS, 1), (abi::CYCLES, 10), (abi::STATE, 0)] {
        // SAFETY: Both are valid, and the column is that long.
        unsafe { exit_stats_column(counters, field, column.as_mut_ptr(), 90) };
        assert_eq!(column[12], expected);
        assert_eq!(column[86..], [0; 4]);
    }
    // SAFETY: Nothing is written.
    unsafe { exit_stats_column(counters, abi::EXITS, column.as_mut_ptr(), 0) };
}

#[test]
fn a_query_goes_from_begin_to_end() {
    let mut vcpu = zeroed::<Vcpu>();
    exit(&mut vcpu, 10, false, 100, 350);
    let config = Config {
        enabled: [!0, !0],
        ..Config::default()
    };
    let ask = |leaf, ecx, add: &[*const Counters]| {
        let (mut query, mut regs) = (Query::default(), Regs::default());
        // SAFETY: All pointers are valid.
        unsafe {
            let step = exit_stats_query_begin(&mut query, &config, leaf, ecx);
            for &counters in add {
                exit_stats_query_add(&mut query, counters, null());
            }
            exit_stats_query_end(&query, &mut regs);
            (step, regs)
        }
    };
    let counters = from_ref(vcpu.counters());
    let (step, regs) = ask(0x4fff_ffff, 0, &[counters, counters]);
    assert_eq!(step, Step::AddLive as u32);
    assert_eq!((regs.exits(), regs.cycles()), (2, 500));
    assert_eq!(ask(0x4fff_fffd, 10, &[]), (2, Regs::UNDEFINED));
    assert_eq!(ask(0x4fff_fffd, 35, &[]), (1, Regs::UNDEFINED));
    assert_eq!(ask(7, 0, &[]).0, Step::NotServed as u32);
    assert_eq!(
        ask(abi::EXTENSION, 0x7fff_0000, &[]).0,
        Step::TakeSnapshot as u32
    );
    assert_eq!(
        ask(abi::EXTENSION, 0xffff_0000, &[]).0,
        Step::AddSnapshot as u32
    );
}

#[test]
fn the_histograms_that_are_handed_over_are_recorded_to() {
    let (mut vcpu, mut hist) = (zeroed::<Vcpu>(), zeroed::<Hist>());
    for l2 in [false, true] {
        exit_with(&mut vcpu, &mut *hist, 10, l2, 100, 350);
    }
    let counters = from_ref(vcpu.counters());
    assert_eq!(value(counters, &*hist, 10, abi::BUCKET + 7), Some(2));
    assert_eq!(value(counters, &*hist, 10, abi::L2), Some(1));
}

#[test]
fn sets_are_taken_merged_and_subtracted() {
    let mut vcpu = zeroed::<Vcpu>();
    exit(&mut vcpu, 10, false, 100, 350);
    let (mut snapshot, mut hist) = (zeroed::<Counters>(), zeroed::<Hist>());
    let counters = from_ref(vcpu.counters());
    for generation in 1..4 {
        // SAFETY: All pointers are valid, or null for histograms.
        unsafe {
            exit_stats_snapshot_begin(&mut *snapshot, &mut *hist);
            exit_stats_merge(&mut *snapshot, &mut *hist, counters, null());
        }
        assert_eq!(snapshot.generation(), generation);
        assert_eq!(value(&*snapshot, null(), 10, abi::EXITS), Some(1));
        assert_eq!(
            value(&*snapshot, &*hist, 10, abi::BUCKET + 7),
            None,
            "not known"
        );
        assert_eq!(value(&*snapshot, &*hist, 11, abi::BUCKET + 7), Some(0));
    }
    let mut live = zeroed::<Hist>();
    for count in 1..3 {
        // SAFETY: All pointers are valid.
        unsafe {
            exit_stats_merge(&mut *snapshot, &mut *live, counters, &*hist);
            exit_stats_snapshot_begin(&mut *snapshot, &mut *hist);
            exit_stats_merge(&mut *snapshot, null_mut(), counters, null());
        }
        assert_eq!(snapshot.generation(), 3 + count);
        assert_eq!(
            value(&*snapshot, &*hist, 10, abi::BUCKET + 7),
            Some(0),
            "cleared"
        );
    }
    // SAFETY: All pointers are valid, or null for histograms.
    unsafe { exit_stats_subtract(&mut *snapshot, null_mut(), counters, null()) };
    assert_eq!(value(&*snapshot, null(), abi::TOTAL, abi::EXITS), Some(0));
    assert_eq!(snapshot.generation(), 5);
}

#[test]
fn names_are_c_strings_or_null() {
    let named = |reason| {
        // SAFETY: Always safe to call.
        let (name, symbol) = unsafe {
            (
                exit_stats_reason_name(reason),
                exit_stats_reason_symbol(reason),
            )
        };
        assert_eq!(name.is_null(), symbol.is_null());
        // SAFETY: What is not null is a C string that lives forever.
        (!name.is_null()).then(|| unsafe { (CStr::from_ptr(name), CStr::from_ptr(symbol)) })
    };
    assert_eq!(named(48), Some((c"EPT violation", c"EPT_VIOLATION")));
    assert_eq!(named(0xffff), Some((c"All exits", c"TOTAL")));
    for unnamed in [35, 86, 0xfffb, 0x1_0000, u32::MAX] {
        assert_eq!(named(unnamed), None);
    }
}
