// SPDX-License-Identifier: GPL-2.0
//! Expect that readers on other threads never see a torn or a lost figure.

mod vm;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;

use exit_stats::abi::{self, BUCKET, CYCLES, DROPPED, EXITS, L2};
use exit_stats::reason::{self, Vendor};
use vm::{many, Counted};

/// Ends the other threads also when the one that holds it panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A time whose multiples have no half of 32 bits in common with their neighbours.
const LONG: u64 = 0x1_0000_0001 * 0xff;
const LEAST: u64 = many(4_000_000, 100);
const ROUNDS: u32 = many(20, 2);

fn numbers() -> Vec<u32> {
    let some = reason::all().step_by(2).map(|r| r.number.into());
    some.chain([300]).collect()
}

#[test]
fn readers_see_whole_words_that_only_grow_and_snapshots_that_add_up() {
    let numbers = numbers();
    let vcpus = [Counted::vmx(), Counted::vmx()];
    let record = |vcpu: &Counted, n: u64| {
        let number = numbers[n as usize % numbers.len()];
        vcpu.exit(number, n % 2 == 0, n * (LONG + 1) + 1, LONG);
    };
    let (done, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    // They write until they have been read often enough meanwhile.
    let write = |vcpu: &Counted| {
        let mut n = 0;
        while (n < LEAST || rounds.load(SeqCst) < ROUNDS) && !done.load(SeqCst) {
            record(vcpu, n);
            n += 1;
        }
        n
    };
    let written: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = vcpus
            .iter()
            .map(|vcpu| scope.spawn(|| write(vcpu)))
            .collect();
        scope.spawn(|| {
            let _ends = Ends(&done);
            let mut last = [0, 0];
            while !done.load(SeqCst) {
                for vcpu in &vcpus {
                    let cycles = vcpu.value(10, CYCLES).unwrap();
                    assert_eq!(cycles % LONG, 0, "torn: {cycles:#x}");
                }
                let snapshot = Counted::vmx();
                vcpus
                    .iter()
                    .for_each(|vcpu| snapshot.view().add(vcpu.view()));
                let total = [EXITS, CYCLES].map(|field| {
                    let of = |number| snapshot.value(number, field).unwrap();
                    let sum = reason::all().map(|r| of(r.number.into())).sum::<u64>();
                    assert_eq!(sum + of(abi::BEYOND), of(abi::TOTAL));
                    of(abi::TOTAL)
                });
                assert_eq!(total[1] % LONG, 0, "torn");
                assert!(total[0] >= last[0] && total[1] >= last[1], "went back");
                last = total;
                rounds.fetch_add(1, SeqCst);
            }
        });
        let written = writers.into_iter().map(|writer| writer.join().unwrap());
        let written = written.collect();
        done.store(true, SeqCst);
        written
    });
    for (vcpu, n) in vcpus.iter().zip(written) {
        assert_eq!(
            vcpu.fields(abi::TOTAL, [EXITS, CYCLES, L2]),
            [n, n * LONG, n.div_ceil(2)]
        );
    }
}

/// Finding 8: in each of 100,000 snapshots no reason has more times than exits, and each
/// exit has its time but for the one that was being recorded when its row was copied.
#[test]
fn snapshots_hold_whole_exits_while_another_vcpu_exits_each_microsecond() {
    const SNAPSHOTS: u32 = many(100_000, 10);
    let vcpu = Counted::vmx();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let numbers = [30, 10, 30, 1, 12, 32, 30, 48];
            let mut tsc = 1;
            while !done.load(SeqCst) {
                for number in numbers {
                    vcpu.exit(number, false, tsc, 100 + tsc % 5000);
                    tsc += 10_000;
                    // About a microsecond.
                    (0..300).for_each(|n| {
                        std::hint::black_box(n);
                    });
                }
            }
        });
        let _ends = Ends(&done);
        let snapshot = Counted::vmx();
        let mut whole = 0;
        for _ in 0..SNAPSHOTS {
            snapshot.view().clear();
            snapshot.view().add(vcpu.view());
            let mut missing = 0;
            for number in [1, 10, 12, 30, 32, 48] {
                let [exits, dropped] = snapshot.fields(number, [EXITS, DROPPED]);
                let timed = (0..abi::BUCKETS)
                    .map(|k| snapshot.value(number, BUCKET + k).unwrap())
                    .sum::<u64>();
                assert!(timed <= exits - dropped, "{number}: {timed} of {exits}");
                let without = exits - dropped - timed;
                assert!(without <= 1, "{number}: {without} exits without a time");
                missing += without;
            }
            whole += u32::from(missing == 0);
        }
        // The rest: the writing thread was scheduled out in the middle, as Miri often does.
        assert!(cfg!(miri) || whole > SNAPSHOTS / 2, "{whole}");
    });
}

/// VMs come and go while their sum is read: each is there as a whole or not at all.
#[test]
fn the_sum_over_sets_that_end_meanwhile_is_of_those_that_are_there() {
    use std::sync::RwLock;
    const VMS: usize = many(50, 4);
    let new = |n: usize| {
        let vcpu = Counted::new(Vendor::Vmx, n % 2 == 0);
        (0..10).for_each(|k| vcpu.exit(10, false, k * 100 + 1, 10));
        vcpu
    };
    let vms = RwLock::new((0..VMS).map(new).collect::<Vec<_>>());
    thread::scope(|scope| {
        for _ in 0..many(16, 2) {
            scope.spawn(|| {
                for _ in 0..many(200, 4) {
                    let sum = Counted::vmx();
                    vms.read()
                        .unwrap()
                        .iter()
                        .for_each(|vm| sum.view().add(vm.view()));
                    let [exits, cycles] = sum.fields(10, [EXITS, CYCLES]);
                    assert_eq!((exits % 10, cycles), (0, exits * 10));
                }
            });
        }
        scope.spawn(|| {
            for n in 0..many(2000, 10) {
                let ended = vms.write().unwrap().swap_remove(n % VMS);
                drop(ended);
                vms.write().unwrap().push(new(n));
            }
        });
    });
}
