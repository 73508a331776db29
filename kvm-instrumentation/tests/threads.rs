// SPDX-License-Identifier: GPL-2.0
//! Expect that readers on other threads never see a torn or a lost figure.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use exit_stats::abi;
use exit_stats::clock::{Armed, Vcpu};
use exit_stats::counters::{Counters, Figure, Scope};
use exit_stats::reason;

/// A time whose multiples have no half of 32 bits in common with their neighbours.
const CYCLES: u64 = 0x1_0000_0001 * 0xff;
const EXITS: u64 = 4_000_000;

fn get(counters: &Counters, number: u32, figure: Figure) -> u64 {
    let scope = Scope::from_number(number).unwrap();
    counters.value(None, scope, figure).unwrap()
}

#[test]
fn readers_see_whole_words_that_only_grow_and_snapshots_that_add_up() {
    let armed = Armed::new();
    let numbers: Vec<u32> = reason::all()
        .map(|r| r.number.into())
        .chain([300])
        .collect();
    let record = |vcpu: &Vcpu, n: u64| {
        let number = numbers[n as usize % numbers.len()];
        vcpu.exit(number, n % 2 == 0, 1);
        vcpu.handled(&armed, None, 1 + CYCLES);
    };
    let vcpus = [Vcpu::default(), Vcpu::default()];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = vcpus
            .iter()
            .map(|vcpu| scope.spawn(|| (0..EXITS).for_each(|n| record(vcpu, n))))
            .collect();
        let reader = scope.spawn(|| {
            let (mut last, mut rounds) = ((0, 0), 0);
            while !done.load(SeqCst) || rounds == 0 {
                for vcpu in &vcpus {
                    let cycles = get(vcpu.counters(), 10, Figure::Cycles);
                    assert_eq!(cycles % CYCLES, 0, "torn: {cycles:#x}");
                }
                let snapshot = Counters::default();
                snapshot.begin_snapshot();
                vcpus
                    .iter()
                    .for_each(|vcpu| snapshot.merge(vcpu.counters()));
                let total = [Figure::Exits, Figure::Cycles].map(|figure| {
                    let of = |number| get(&snapshot, number, figure);
                    let sum = reason::all().map(|r| of(r.number.into())).sum::<u64>();
                    assert_eq!(sum + of(abi::BEYOND), of(abi::TOTAL));
                    of(abi::TOTAL)
                });
                assert_eq!(total[1] % CYCLES, 0, "torn");
                assert!(total[0] >= last.0 && total[1] >= last.1, "went back");
                last = (total[0], total[1]);
                rounds += 1;
            }
            rounds
        });
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        done.store(true, SeqCst);
        assert!(reader.join().unwrap() > 0);
    });
    for vcpu in &vcpus {
        let total = |figure| get(vcpu.counters(), abi::TOTAL, figure);
        assert_eq!(total(Figure::Exits), EXITS);
        assert_eq!(total(Figure::Cycles), EXITS * CYCLES);
        assert_eq!(total(Figure::L2), EXITS / 2);
    }
}
