// SPDX-License-Identifier: GPL-2.0
//! Expect that C gets through the boundary what the pure part says.

use std::mem::{offset_of, MaybeUninit};
use std::ptr::null;

use exit_stats::abi::{self, Regs};
use exit_stats::answer::Config;
use exit_stats::boundary::*;
use exit_stats::clock::{event, Vcpu};
use exit_stats::counters::Set;
use exit_stats::hist::Hist;
use exit_stats::reason::Vendor;

/// A vCPU, and what C allocates for it: a set and its histograms.
#[repr(C)]
struct Block {
    vcpu: Vcpu,
    set: Set,
    hist: Hist,
}

/// Where the header has the pointer to the histograms, and that to the set.
const HIST: usize = offset_of!(Block, set);
const SET: usize = offset_of!(Block, vcpu) + 40;

/// A block as C has it: by its address, and never borrowed as a whole.
struct Owned(*mut Block);

impl Owned {
    fn vcpu(&self) -> *mut Vcpu {
        // SAFETY: The block is valid.
        unsafe { &raw mut (*self.0).vcpu }
    }

    fn set(&self) -> *mut Set {
        // SAFETY: The block is valid.
        unsafe { &raw mut (*self.0).set }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: It came from a box.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

fn block() -> Owned {
    // SAFETY: The types that C allocates may be zero.
    let block = Box::new(unsafe { MaybeUninit::<Block>::zeroed().assume_init() });
    let block = Owned(Box::into_raw(block));
    let start: *mut u8 = block.0.cast();
    // SAFETY: The pointers are there, as the drift test has it, and the set is valid.
    unsafe {
        let hist = &raw mut (*block.0).hist;
        start.add(HIST).cast::<*mut Hist>().write(hist);
        start.add(SET).cast::<*mut Set>().write(block.set());
        exit_stats_clear(block.set());
    }
    block
}

/// An exit that begins now, by the clock of the boundary.
fn exit(block: &Owned, reason: u32, l2: bool) {
    // SAFETY: It is valid, and only this thread has it.
    unsafe {
        (*block.vcpu()).exit(reason, l2, clock());
        exit_stats_handled(block.vcpu());
    }
}

fn value(block: &Owned, reason: u32, field: u32) -> u64 {
    // SAFETY: The set is valid, and so are its histograms.
    unsafe { exit_stats_value(block.set(), reason, field) }
}

#[test]
fn what_is_recorded_is_answered() {
    let block = block();
    // SAFETY: The vCPU is valid, and only this thread has it.
    unsafe { exit_stats_event(block.vcpu(), event::USER_END) };
    exit(&block, 0x0800_000a, true);
    exit(&block, 12, false);
    // SAFETY: The vCPU is valid, and only this thread has it.
    unsafe {
        exit_stats_event(block.vcpu(), event::BLOCK_BEGIN);
        exit_stats_event(block.vcpu(), event::BLOCK_END);
        exit_stats_event(block.vcpu(), event::ENTRY_FAILED);
        exit_stats_event(block.vcpu(), 10);
        exit_stats_event(block.vcpu(), u32::MAX);
    }
    let get = |reason, field| value(&block, reason, field);
    assert_eq!([abi::EXITS, abi::L2].map(|field| get(10, field)), [1, 1]);
    let [cycles, blocked] = [get(10, abi::CYCLES), get(12, abi::BLOCKED)];
    assert!(cycles > 0 && blocked > 0, "{cycles} {blocked}");
    assert_eq!(get(10, abi::BUCKET + cycles.ilog2().min(23)), 1);
    assert_eq!(get(abi::TOTAL, abi::CYCLES), cycles + get(12, abi::CYCLES));
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
fn a_vcpu_without_counters_does_nothing() {
    let mut vcpu = Vcpu::default();
    vcpu.exit(10, false, 100);
    // SAFETY: The vCPU is valid, and only this thread has it.
    unsafe {
        exit_stats_event(&mut vcpu, event::USER_END);
        exit_stats_handled(&mut vcpu);
    }
    assert_eq!(vcpu.life(), (0, 0));
}

#[test]
fn a_leaf_is_answered_by_one_set_after_the_other() {
    let block = block();
    exit(&block, 10, false);
    let cycles = value(&block, 10, abi::CYCLES);
    let config = Config::default();
    let ask = |leaf, ecx, sets: &[*const Set]| {
        let mut regs = Regs::default();
        // SAFETY: All pointers are valid, or null for no set.
        let answer = |&set: &_| unsafe { exit_stats_answer(&config, leaf, ecx, set, &mut regs) };
        let served = sets.iter().all(answer);
        (served, regs)
    };
    let set: *const Set = block.set();
    let (served, regs) = ask(0x4fff_ffff, 0, &[set, set]);
    assert_eq!((served, regs.exits(), regs.cycles()), (true, 2, 2 * cycles));
    assert_eq!(ask(0x4fff_fffd, 35, &[set, set]), (true, Regs::UNDEFINED));
    assert!(!ask(7, 0, &[set]).0);
    let snapshot = (abi::SNAPSHOT << 16) | (1 << 31);
    assert_eq!(
        ask(abi::EXTENSION, snapshot, &[null()]),
        (true, Regs::UNDEFINED)
    );
    assert_eq!(
        ask(abi::EXTENSION, snapshot, &[set]),
        (true, Regs::from_value(1))
    );
}

#[test]
fn sets_are_cleared_and_added() {
    let (block, sum) = (self::block(), self::block());
    exit(&block, 10, false);
    let bucket = abi::BUCKET + value(&block, 10, abi::CYCLES).ilog2().min(23);
    for generation in 2..5 {
        // SAFETY: Both are valid.
        unsafe {
            exit_stats_clear(sum.set());
            exit_stats_add(sum.set(), block.set());
            assert_eq!((*sum.set()).generation(), generation);
        }
        assert_eq!(value(&sum, 10, abi::EXITS), 1);
        assert_eq!(value(&sum, 10, bucket), 1);
    }
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
