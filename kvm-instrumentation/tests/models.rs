// SPDX-License-Identifier: GPL-2.0
//! Expect in each order of what a vCPU and a reader do, and in each view of memory that
//! the orderings allow, as far as a minute goes, that the reader gets what it is promised.
//!
//! These run by `make loom` alone, which also makes an ordering weaker: then each has to
//! fail. A model has one vCPU's thread, which writes, and one that sums; the locks by which
//! C keeps a set until its last reader is gone are not in them.
#![cfg(loom)]

use std::time::Duration;

use exit_stats::abi::{self, BUCKET, CYCLES, DROPPED, EXITS};
use exit_stats::causes::Cause;
use exit_stats::clock::Vcpu;
use exit_stats::counters::{Set, View};
use exit_stats::hist::Hist;
use exit_stats::outside::Table;
use loom::sync::Arc;
use loom::thread;

/// Cycles of every exit, which is in bucket 6.
const TIME: u64 = 100;

/// A vCPU's counters, or a sum of them, with room for so many causes.
struct Counted<const N: usize> {
    vcpu: Vcpu,
    set: Set,
    hist: Hist,
    table: Table<N>,
}

impl<const N: usize> Counted<N> {
    fn new() -> Self {
        Self {
            vcpu: Vcpu::default(),
            set: Set::default(),
            hist: Hist::default(),
            table: Table::new(1),
        }
    }

    fn view(&self) -> View<'_> {
        View {
            set: &self.set,
            hist: Some(&self.hist),
            causes: Some(self.table.causes()),
        }
    }

    /// The n-th exit.
    fn exit(&self, n: u64, cause: Option<u64>) {
        let start = n * 1000 + 1;
        self.vcpu.exit(10, false, start);
        if let Some(key) = cause {
            let (id, rip) = (abi::CAUSE_HAS_KEY, key);
            self.vcpu.cause(Cause { id, key, rip });
        }
        self.vcpu.handled(self.view(), start + TIME);
    }
}

/// Exits, dropped ones, cycles, and those in the buckets.
fn figures(view: View<'_>) -> [u64; 4] {
    let of = |field| view.value(10, field).unwrap();
    let timed = (0..abi::BUCKETS).map(|k| of(BUCKET + k)).sum();
    [of(EXITS), of(DROPPED), of(CYCLES), timed]
}

/// Words of the stack of a thread on which sets are made.
const STACK: usize = 1 << 18;

/// Starts a thread on which sets can be made.
fn spawn(run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    let thread = thread::Builder::new().stack_size(STACK);
    thread.spawn(run).unwrap()
}

/// Tries for a minute the orders in which a thread is preempted at most so often. The vCPU runs on this
/// thread, which loom lets run first: the other way round it would take a vCPU's load of
/// what it writes next for the latest access, and forget the reader's.
fn model(preemptions: usize, write: fn(&Counted<1>), read: fn(&Counted<1>)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 100_000;
    // All of them take hours; what a weaker ordering does is found in the first second.
    model.max_duration = Some(Duration::from_secs(60));
    model.check(move || {
        let run = move || {
            let vcpu = Arc::new(Counted::<1>::new());
            let reader = {
                let vcpu = vcpu.clone();
                spawn(move || read(&vcpu))
            };
            write(&vcpu);
            reader.join().unwrap();
            read(&vcpu);
        };
        spawn(run).join().unwrap();
    });
}

/// A copy has no exit's time without the exit, and misses the time of one exit at most,
/// while two are recorded; and all of it once the vCPU has ended.
#[test]
#[cfg_attr(any(loom_weaker = "acquire", loom_weaker = "release"), should_panic)]
fn a_snapshot_misses_the_time_of_one_exit_at_most() {
    let write = |vcpu: &Counted<1>| (0..2).for_each(|n| vcpu.exit(n, None));
    model(2, write, |vcpu| {
        let sum = Counted::<2>::new();
        sum.view().add(vcpu.view());
        let [exits, dropped, _, timed] = figures(sum.view());
        assert!(timed + dropped <= exits, "{timed} times of {exits} exits");
        assert!(exits - timed - dropped <= 1, "{timed} times of {exits}");
        assert_eq!(sum.view().value(abi::TOTAL, EXITS), Some(exits));
    });
}

/// An entry that one cause takes over from another is copied as the one's or the other's.
#[test]
#[cfg_attr(any(loom_weaker = "acquire", loom_weaker = "release"), should_panic)]
fn an_entry_is_one_causes_or_the_others() {
    let write = |vcpu: &Counted<1>| (0..2).for_each(|n| vcpu.exit(n, Some(7 + n)));
    model(1, write, |vcpu| {
        let entry = |word| vcpu.view().cause(0, word);
        // Each word is of a copy of its own, so the entry is asked for by a sum of one.
        let sum = Table::<2>::new(1);
        let to = View {
            causes: Some(sum.causes()),
            hist: None,
            set: &Set::default(),
        };
        to.add(vcpu.view());
        let copied = |word| to.cause(0, word);
        if let Some(key) = copied(abi::CAUSE_KEY) {
            let of = |word| copied(word).unwrap();
            let [exits, error, cycles] =
                [abi::CAUSE_EXITS, abi::CAUSE_ERROR, abi::CAUSE_CYCLES].map(of);
            assert_eq!(of(abi::CAUSE_RIP), key, "the place is that of the key");
            match key {
                7 => assert!(error == 0 && exits <= 1, "{exits} exits, {error} too many"),
                8 => assert!(error == 1 && exits <= 2, "{exits} exits, {error} too many"),
                _ => panic!("no cause has the key {key}"),
            }
            assert!(cycles <= (exits - error) * TIME, "{cycles} of {exits}");
        }
        assert!(entry(abi::CAUSE_KEY).is_none_or(|key| key == 7 || key == 8));
    });
}
