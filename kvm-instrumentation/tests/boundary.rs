// SPDX-License-Identifier: GPL-2.0
//! Expect that C gets through the boundary what the pure part says.

use std::mem::MaybeUninit;
use std::ptr::null;

use exit_stats::abi::{self, Regs};
use exit_stats::answer::Config;
use exit_stats::boundary::*;
use exit_stats::clock::event;
use exit_stats::counters::Set;
use exit_stats::hist::Hist;
use exit_stats::reason::Vendor;

/// What C allocates: a set and its histograms, zeroed.
#[repr(C)]
struct Block {
    set: Set,
    hist: Hist,
}

/// Where the header has the pointer to the histograms.
const HIST: usize = 32;

fn zeroed() -> Box<Block> {
    // SAFETY: The types that C allocates are valid when zeroed.
    let mut block = Box::new(unsafe { MaybeUninit::<Block>::zeroed().assume_init() });
    let hist: *mut Hist = &mut block.hist;
    let set: *mut u8 = (&raw mut block.set).cast();
    // SAFETY: The pointer is there, as the drift test has it.
    unsafe { set.add(HIST).cast::<*mut Hist>().write(hist) };
    block
}

fn exit(block: &mut Block, reason: u32, l2: bool, start: u64, end: u64) {
    block.set.exit(reason, l2, start);
    // SAFETY: Both are valid, and only this thread has them.
    unsafe { exit_stats_handled(&mut block.set, &mut block.hist, end) };
}

fn value(block: &Block, reason: u32, field: u32) -> u64 {
    // SAFETY: The set is valid, and so are its histograms.
    unsafe { exit_stats_value(&block.set, reason, field) }
}

#[test]
fn what_is_recorded_in_zeroed_memory_is_answered() {
    let mut block = zeroed();
    exit(&mut block, 0x0800_000a, true, 100, 350);
    exit(&mut block, 12, false, 1000, 1010);
    // SAFETY: The set is valid, and only this thread has it.
    unsafe {
        exit_stats_event(&mut block.set, event::BLOCK_BEGIN, 1020);
        exit_stats_event(&mut block.set, event::BLOCK_END, 2020);
        exit_stats_event(&mut block.set, event::ENTRY_FAILED, 0);
        exit_stats_event(&mut block.set, 10, 0);
        exit_stats_event(&mut block.set, u32::MAX, 0);
    }
    let get = |reason, field| value(&block, reason, field);
    assert_eq!(
        [abi::EXITS, abi::L2, abi::CYCLES].map(|field| get(10, field)),
        [1, 1, 250]
    );
    assert_eq!(get(10, abi::BUCKET + 7), 1);
    assert_eq!(get(12, abi::BLOCKED), 1000);
    assert_eq!(get(abi::TOTAL, abi::CYCLES), 260);
    assert_eq!(get(abi::FAILED, abi::EXITS), 1);
    for (reason, field) in [
        (abi::FAILED, abi::CYCLES),
        (35, abi::EXITS),
        (10, abi::STATE),
    ] {
        assert_eq!(get(reason, field), 0, "there is no such figure");
    }
}

#[test]
fn a_leaf_is_answered_by_one_set_after_the_other() {
    let mut block = zeroed();
    exit(&mut block, 10, false, 100, 350);
    let config = Config::default();
    let ask = |leaf, ecx, sets: &[*const Set]| {
        let mut regs = Regs::default();
        // SAFETY: All pointers are valid, or null for no set.
        let answer = |&set: &_| unsafe { exit_stats_answer(&config, leaf, ecx, set, &mut regs) };
        let served = sets.iter().all(answer);
        (served, regs)
    };
    let set: *const Set = &block.set;
    let (served, regs) = ask(0x4fff_ffff, 0, &[set, set]);
    assert_eq!((served, regs.exits(), regs.cycles()), (true, 2, 500));
    assert_eq!(ask(0x4fff_fffd, 35, &[set, set]), (true, Regs::UNDEFINED));
    assert!(!ask(7, 0, &[set]).0);
    let snapshot = (abi::SNAPSHOT << 16) | (1 << 31);
    assert_eq!(
        ask(abi::EXTENSION, snapshot, &[null()]),
        (true, Regs::UNDEFINED)
    );
    assert_eq!(
        ask(abi::EXTENSION, snapshot, &[set]),
        (true, Regs::default())
    );
}

#[test]
fn sets_are_cleared_added_and_subtracted() {
    let (mut block, mut sum) = (zeroed(), zeroed());
    exit(&mut block, 10, false, 100, 350);
    for generation in 1..4 {
        // SAFETY: Both are valid.
        unsafe {
            exit_stats_clear(&mut sum.set);
            exit_stats_add(&mut sum.set, &block.set);
        }
        assert_eq!(sum.set.generation(), generation);
        assert_eq!(value(&sum, 10, abi::EXITS), 1);
        assert_eq!(value(&sum, 10, abi::BUCKET + 7), 1);
    }
    // SAFETY: Both are valid.
    unsafe { exit_stats_subtract(&mut sum.set, &block.set) };
    assert_eq!(value(&sum, abi::TOTAL, abi::EXITS), 0);
}

#[test]
fn the_reasons_of_a_vendor_are_told_in_order() {
    let numbers = |vendor| {
        let told = (0..300).map(move |n| exit_stats_reason(vendor, n));
        told.take_while(|&number| number != abi::TOTAL)
            .collect::<Vec<_>>()
    };
    for (vendor, named) in [Vendor::Vmx, Vendor::Svm].into_iter().enumerate() {
        let named = named.reasons().iter().map(|reason| reason.number.into());
        assert_eq!(numbers(vendor as u32), named.collect::<Vec<u32>>());
    }
    assert_eq!(numbers(2), []);
}
