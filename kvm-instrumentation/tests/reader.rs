// SPDX-License-Identifier: GPL-2.0
//! Expect that a guest's reader decodes what the host encodes.

mod vm;

use std::cell::Cell;

use exit_stats::abi::{self, Layout, Regs, Role, State};
use exit_stats::counters::slot;
use exit_stats::reader::{CpuidReader, ProbeError, Reader};
use exit_stats::reason::Vendor;
use vm::{regs, Vm};

#[test]
fn a_reader_finds_the_interface_or_says_why_not() {
    struct Haswell;
    impl CpuidReader for Haswell {
        fn cpuid(&self, _: u32, _: u32) -> Regs {
            regs(7, 0x340, 0x340, 0)
        }
    }
    assert_eq!(Reader::probe(Haswell).err(), Some(ProbeError::Absent));
    struct Fixed(u32);
    impl CpuidReader for Fixed {
        fn cpuid(&self, _: u32, _: u32) -> Regs {
            let [ebx, ecx, edx] = abi::SIGNATURE;
            regs(self.0, ebx, ecx, edx)
        }
    }
    assert_eq!(Reader::probe(Fixed(2)).err(), Some(ProbeError::Version(2)));
    assert_eq!(
        Reader::probe(Fixed(0x301)).err(),
        Some(ProbeError::Layout(3))
    );
    assert_eq!(
        Reader::probe(Fixed(0x20_0001)).err(),
        Some(ProbeError::Vendor(2))
    );
    let mut vm = Vm::new(1, true);
    vm.config.layout = 2;
    let reader = Reader::probe(&vm).unwrap();
    let interface = reader.interface();
    assert_eq!(interface.layout, Layout::Combined);
    assert_eq!((interface.reasons, interface.buckets), (86, 24));
    assert_eq!(reader.instance(), 0x1234_5678_9abc_def0);
    assert_eq!(reader.leaf(Role::Cycles, 1), None);
}

#[test]
fn a_reader_gets_a_snapshot_that_does_not_change_while_it_reads() {
    let mut vm = Vm::new(2, true);
    // Another exit before each CPUID, as of the CPUID itself.
    let count = Cell::new(0);
    vm.meanwhile = Box::new(move |vm| {
        count.set(count.get() + 1);
        let n: u64 = count.get();
        vm.exit((n % 2) as usize, 33 + (n % 57) as u32, n % 7 == 0, n);
    });
    vm.config.enabled = [!(1 << 20), !0, !0];
    let reader = Reader::probe(&vm).unwrap();
    let mut last = 0;
    for taken in 1..20 {
        let snapshot = reader.snapshot(1).unwrap();
        assert_eq!(snapshot.generation, taken);
        let all = snapshot
            .reasons
            .iter()
            .flatten()
            .map(|(_, figures)| figures);
        let (mut exits, mut cycles) = (snapshot.beyond.exits, snapshot.beyond.cycles);
        for figures in all {
            exits += figures.exits;
            cycles += figures.cycles;
        }
        assert_eq!(
            (exits, cycles),
            (snapshot.total.exits, snapshot.total.cycles)
        );
        assert!(exits > last, "reading makes exits");
        last = exits;
        assert_eq!(snapshot.reasons[20].unwrap().0, State::NotEnabled);
        assert_eq!(snapshot.reasons[35], None);
        let buckets = reader.histogram(abi::TOTAL, true);
        assert_eq!(buckets.iter().flatten().sum::<u64>(), exits);
    }
}

#[test]
fn a_reader_on_amd_reads_svms_codes() {
    let vm = Vm::of(Vendor::Svm, 2, true);
    vm.exit(0, 0x400, false, 10);
    vm.exit(1, 0x72, false, 20);
    vm.exit(1, 0xfff2, false, 30);
    let reader = Reader::probe(&vm).unwrap();
    assert_eq!(reader.interface().vendor, Vendor::Svm);
    let snapshot = reader.snapshot(1).unwrap();
    let cycles = |number| snapshot.reasons[slot(number)].unwrap().1.cycles;
    assert_eq!([0x400, 0x72, 0xfff2, 0x7b].map(cycles), [10, 20, 30, 0]);
    assert_eq!(snapshot.total.cycles, 60);
    assert_eq!(reader.times(abi::TOTAL, true).unwrap().guest, 14);
    assert_eq!(
        snapshot.reasons.iter().flatten().count(),
        Vendor::Svm.reasons().len()
    );
}

/// What a reader of version 1 knows: its fields, and up to 64 buckets.
#[test]
fn a_reader_of_version_1_goes_on_working() {
    let vm = Vm::new(1, true);
    vm.exit(0, 10, false, 100);
    let discovery = vm.serve(abi::DISCOVERY, 0).unwrap();
    assert_eq!(discovery.eax & 0x1_00ff, 1, "version 1, of this VM");
    let size = vm.serve(abi::DISCOVERY, 1).unwrap();
    assert_eq!((size.eax, size.ecx & 0x1ff), (86, 0x1ff));
    assert!((1..=64).contains(&size.edx));
    for field in 0..9 {
        assert_ne!(vm.select(10, field, false), Regs::UNDEFINED);
    }
}

#[test]
fn a_reader_starts_again_when_somebody_else_takes_a_snapshot() {
    let mut vm = Vm::new(1, false);
    let calls = Cell::new(0);
    vm.meanwhile = Box::new(move |vm| {
        calls.set(calls.get() + 1);
        if calls.get() == 100 {
            vm.select(0, abi::SNAPSHOT, false);
        }
    });
    let reader = Reader::probe(&vm).unwrap();
    assert_eq!(reader.snapshot(1), None);
    assert_eq!(reader.snapshot(2).unwrap().generation, 3);
}

#[test]
fn without_memory_a_snapshot_is_answered_as_an_undefined_selector() {
    let vm = Vm::new(1, false);
    vm.memory.set(false);
    assert_eq!(vm.select(0, abi::SNAPSHOT, false), Regs::UNDEFINED);
    assert_eq!(vm.select(0, abi::SNAPSHOT, true), Regs::UNDEFINED);
    assert_eq!(Reader::probe(&vm).unwrap().snapshot(3), None);
    vm.memory.set(true);
    assert_eq!(vm.select(0, abi::SNAPSHOT, false).value(), 1);
    assert_eq!(vm.select(0, abi::SNAPSHOT, true).value(), 1);
}
