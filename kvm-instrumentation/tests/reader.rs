// SPDX-License-Identifier: GPL-2.0
//! Expect that a guest's reader decodes what the host encodes.

mod vm;

use std::cell::Cell;

use exit_stats::abi::{self, Layout, Regs, Role, State};
use exit_stats::reader::{CpuidReader, ProbeError, Reader};
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
    let mut vm = Vm::new(1, true);
    vm.config.layout = 2;
    let reader = Reader::probe(&vm).unwrap();
    let interface = reader.interface();
    assert_eq!(interface.layout, Layout::Combined);
    assert_eq!((interface.reasons, interface.buckets), (86, 64));
    assert_eq!(reader.leaf(Role::Cycles, 1), None);
}

#[test]
fn a_reader_gets_a_snapshot_that_does_not_change_while_it_reads() {
    let mut vm = Vm::new(2, true);
    // Another exit before each CPUID, as of the CPUID itself.
    let time = Cell::new(0);
    vm.meanwhile = Box::new(move |vm| {
        time.set(time.get() + 1000);
        let n = time.get() / 1000;
        vm.exit((n % 2) as usize, (n % 90) as u32, n % 7 == 0, time.get(), n);
    });
    vm.config.enabled = [!(1 << 20), !0];
    let reader = Reader::probe(&vm).unwrap();
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
        assert!(exits > 0);
        assert_eq!(snapshot.reasons[20].unwrap().0, State::NotEnabled);
        assert_eq!(snapshot.reasons[35], None);
        let buckets = reader.histogram(abi::TOTAL, true);
        assert_eq!(buckets.iter().flatten().sum::<u64>(), exits);
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
