// SPDX-License-Identifier: GPL-2.0
//! Expect of the causes what Space-Saving promises, against a map that has them all.

mod vm;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::channel;

use exit_stats::abi::{self, REST};
use exit_stats::causes::{Cause, ENTRIES, ROOM};
use exit_stats::counters::View;
use exit_stats::outside::Table;
use exit_stats::reason;
use proptest::prelude::*;
use vm::Counted;

/// Any odd number.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A vCPU that keeps its causes, and what it should have found.
struct Model {
    counted: Counted,
    exact: HashMap<Cause, (u64, u64)>,
    clock: u64,
}

/// An entry, as a leaf tells it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    exits: u64,
    cycles: u64,
    error: u64,
}

fn entries(view: View<'_>) -> HashMap<Cause, Entry> {
    let mut found = HashMap::new();
    for number in 0.. {
        let Some(id) = view.cause(number, abi::CAUSE_ID) else {
            break;
        };
        let word = |word| view.cause(number, word).unwrap();
        let (key, rip) = (word(abi::CAUSE_KEY), word(abi::CAUSE_RIP));
        let entry = Entry {
            exits: word(abi::CAUSE_EXITS),
            cycles: word(abi::CAUSE_CYCLES),
            error: word(abi::CAUSE_ERROR),
        };
        assert!(
            found.insert(Cause { id, key, rip }, entry).is_none(),
            "once only"
        );
        assert!(view.cause(number, 6).is_none());
    }
    found
}

/// Sums over the entries and the rest.
fn sums(view: View<'_>) -> [u64; 2] {
    let rest = |word| view.cause(REST, word).unwrap();
    let start = [rest(abi::CAUSE_EXITS), rest(abi::CAUSE_CYCLES)];
    entries(view)
        .values()
        .fold(start, |[exits, cycles], entry| {
            [exits + entry.exits, cycles + entry.cycles]
        })
}

fn totals(view: View<'_>) -> [u64; 2] {
    [abi::EXITS, abi::CYCLES].map(|field| view.value(abi::TOTAL, field).unwrap())
}

/// Expects of a set what it promises of what `exact` has.
fn check(view: View<'_>, exact: &HashMap<Cause, (u64, u64)>) {
    let (found, missed) = (entries(view), view.causes.unwrap().missed());
    assert!(found.len() <= ENTRIES);
    assert_eq!(sums(view), totals(view));
    let total: u64 = exact.values().map(|(exits, _)| exits).sum();
    assert_eq!(totals(view)[0], total);
    assert!(missed <= total / ENTRIES as u64, "{missed} of {total}");
    for (cause, entry) in &found {
        let (exits, cycles) = exact[cause];
        assert!(
            entry.exits >= exits && entry.exits - entry.error <= exits,
            "{entry:?}"
        );
        assert!(entry.exits >= missed && entry.error <= total / ENTRIES as u64);
        assert!(entry.cycles <= cycles);
    }
    for (cause, (exits, _)) in exact.iter().filter(|(cause, _)| !found.contains_key(cause)) {
        assert!(
            *exits <= missed,
            "{cause:?} has {exits}, {missed} were missed"
        );
    }
    if exact.len() <= ENTRIES {
        assert_eq!(missed, 0);
        for (cause, (exits, cycles)) in exact {
            let entry = found[cause];
            assert_eq!(
                (entry.exits, entry.cycles, entry.error),
                (*exits, *cycles, 0)
            );
        }
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut counted = Counted::vmx();
        counted.causes = Some(Box::new(Table::new(seed)));
        Self {
            counted,
            exact: HashMap::new(),
            clock: 1,
        }
    }

    /// An exit that takes so many cycles.
    fn exit(&mut self, reason: u32, key: u64, rip: u64, cycles: u64) {
        self.counted.vcpu.exit(reason, false, self.clock);
        let flags = abi::CAUSE_HAS_KEY | abi::CAUSE_HAS_RIP;
        self.counted.vcpu.cause(Cause {
            id: flags,
            key,
            rip,
        });
        self.counted.handled(self.clock + cycles);
        self.clock += cycles + 1;
        let id = flags | u64::from(reason);
        let exact = self.exact.entry(Cause { id, key, rip }).or_default();
        *exact = (exact.0 + 1, exact.1 + cycles);
    }

    /// The n-th of many causes, which differ in what they may.
    fn nth(&mut self, n: u64) {
        let reasons = [32, 30, 48, 10];
        self.exit(
            reasons[n as usize % 4],
            n / 4 % 7 * 4096,
            n / 28,
            n % 100 + 1,
        );
    }

    fn check(&self) {
        check(self.counted.view(), &self.exact);
    }
}

/// A sum, as of a snapshot.
fn sum_of(models: &[Model]) -> (Counted, Box<Table<ROOM>>) {
    let (sum, table) = (Counted::vmx(), Box::new(Table::new(SEED)));
    let to = View {
        causes: Some(table.causes()),
        ..sum.view()
    };
    to.clear();
    models.iter().for_each(|model| to.add(model.counted.view()));
    (sum, table)
}

/// Expects of the sum what a table promises, of the exits of all of them.
fn check_sum(models: &[Model]) {
    let mut exact: HashMap<Cause, (u64, u64)> = HashMap::new();
    for (cause, (exits, cycles)) in models.iter().flat_map(|model| &model.exact) {
        let both = exact.entry(*cause).or_default();
        *both = (both.0 + exits, both.1 + cycles);
    }
    let (sum, table) = sum_of(models);
    let view = View {
        causes: Some(table.causes()),
        ..sum.view()
    };
    check(view, &exact);
}

#[test]
fn what_fits_is_exact() {
    let mut model = Model::new(SEED);
    for round in 0..50 {
        for n in 0..ENTRIES as u64 {
            (0..=n % (round + 1)).for_each(|_| model.nth(n));
        }
    }
    model.check();
    assert_eq!(entries(model.counted.view()).len(), ENTRIES);
    let rest = |word| model.counted.view().cause(REST, word);
    assert_eq!(rest(abi::CAUSE_EXITS), Some(0));
    assert_eq!(rest(abi::CAUSE_CYCLES), Some(0));
    assert_eq!(rest(abi::CAUSE_KEY), None);
}

#[test]
fn causes_that_differ_in_one_thing_are_two() {
    let mut model = Model::new(SEED);
    model.exit(32, 1, 1, 5);
    model.exit(31, 1, 1, 5);
    model.exit(32, 2, 1, 5);
    model.exit(32, 1, 2, 5);
    model.check();
    assert_eq!(entries(model.counted.view()).len(), 4);
}

#[test]
fn exits_of_a_nested_guest_and_without_a_time_are_in() {
    let model = Model::new(SEED);
    let cause = Cause {
        id: abi::CAUSE_HAS_RIP | abi::CAUSE_CPL3,
        key: 0,
        rip: 0x1234,
    };
    for (l2, cycles) in [(true, 100), (false, 0), (false, 10)] {
        model.counted.vcpu.exit(400, l2, 50);
        model.counted.vcpu.cause(cause);
        model.counted.handled(50 + cycles);
    }
    let found = entries(model.counted.view());
    let of = |more| {
        found[&Cause {
            id: cause.id | 400 | more,
            ..cause
        }]
    };
    assert_eq!(
        (of(abi::CAUSE_L2).exits, of(abi::CAUSE_L2).cycles),
        (1, 100)
    );
    assert_eq!((of(0).exits, of(0).cycles), (2, 10));
    assert_eq!(sums(model.counted.view()), totals(model.counted.view()));
}

#[test]
fn what_was_not_caused_is_in_the_rest() {
    let mut model = Model::new(SEED);
    model.exit(32, 1, 1, 5);
    model.counted.exit(12, false, model.clock, 70);
    let rest = |word| model.counted.view().cause(REST, word);
    assert_eq!(rest(abi::CAUSE_EXITS), Some(1));
    assert_eq!(rest(abi::CAUSE_CYCLES), Some(70));
    assert_eq!(Counted::vmx().view().cause(REST, abi::CAUSE_EXITS), None);
}

/// What a guest that boots does: hundreds of causes, of which each phase has its own.
#[test]
fn a_recorded_boot_keeps_the_promises() {
    let text = include_str!("recordings/boot-6.12.txt");
    let (kinds, order) = text.split_once("\n\n").unwrap();
    let kinds: Vec<(u32, u64, u64)> = kinds
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let known = reason::all().find(|one| one.symbol.to_str() == Ok(words[0]));
            let number = |word: &str| u64::from_str_radix(&word[2..], 16).unwrap();
            let reason = u32::from(known.unwrap().number);
            (reason, number(words[1]), number(words[2]))
        })
        .collect();
    let order: Vec<usize> = order
        .split_ascii_whitespace()
        .map(|place| place.parse().unwrap())
        .collect();
    assert!(kinds.len() > 6 * ENTRIES && order.len() == 8000);
    let model = |part: &[usize]| {
        let mut model = Model::new(SEED);
        for (reason, rip, key) in part.iter().map(|place| kinds[*place]) {
            model.exit(reason, key, rip, 1_000);
        }
        model
    };
    model(&order).check();
    // As if each phase of it had been another vCPU.
    check_sum(&order.chunks(1_000).map(model).collect::<Vec<_>>());
}

/// All distinct; one more than there is room for, round robin; and one entry that has by
/// far the fewest exits, which each new cause takes over.
#[test]
fn what_an_adversary_does_keeps_the_promises() {
    for (kinds, seed) in [(u64::MAX, SEED), (ENTRIES as u64 + 1, SEED), (200, 0)] {
        let mut model = Model::new(seed);
        for n in 0..20_000 {
            model.nth(n % kinds);
        }
        model.check();
    }
    let mut model = Model::new(SEED);
    for n in 1..ENTRIES as u64 {
        (0..1000).for_each(|_| model.nth(n));
    }
    for n in 0..3000 {
        model.nth(1000 + n % 3);
    }
    model.check();
    assert!(
        entries(model.counted.view())
            .values()
            .filter(|e| e.error != 0)
            .count()
            <= 3
    );
}

#[test]
fn a_sum_of_many_vcpus_keeps_the_promises() {
    let of = |kinds: Range<u64>| {
        let mut model = Model::new(kinds.start + 1);
        (0..3000).for_each(|n| model.nth(kinds.start + n * n % (kinds.end - kinds.start)));
        model
    };
    // The same; none in common; some.
    check_sum(&[of(0..50), of(0..50)]);
    check_sum(&[of(0..123), of(500..623)]);
    check_sum(&[of(0..400), of(200..600), of(400..800), of(0..10)]);
    check_sum(&(0..40).map(|n| of(n * 20..n * 20 + 90)).collect::<Vec<_>>());
}

#[test]
fn a_sum_is_taken_anew() {
    let mut model = Model::new(SEED);
    (0..500).for_each(|n| model.nth(n % 150));
    let (sum, table) = sum_of(std::slice::from_ref(&model));
    let to = View {
        causes: Some(table.causes()),
        ..sum.view()
    };
    let before = entries(to).len();
    to.clear();
    assert_eq!((entries(to).len(), sums(to)), (0, [0, 0]));
    to.add(model.counted.view());
    assert_eq!(entries(to).len(), before);
    check(to, &model.exact);
}

/// Ends the other threads also when the one that holds it panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Two vCPUs take over entries all the while, and a third thread sums.
#[test]
fn a_sum_adds_up_while_vcpus_run() {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        for seed in [SEED, 1] {
            let (sender, done) = (sender.clone(), &done);
            scope.spawn(move || {
                let model = Box::new(Model::new(seed));
                // The counters are shared as those of a vCPU are, and never freed.
                let counted: &'static Counted = &Box::leak(model).counted;
                sender.send(counted).unwrap();
                let mut n = 0_u64;
                while !done.load(SeqCst) {
                    counted.vcpu.exit(32, false, n * 10 + 1);
                    let key = [n % 7, n % 1000][(n / 3 % 2) as usize];
                    counted.vcpu.cause(Cause { id: 0, key, rip: 0 });
                    counted.handled(n * 10 + 4);
                    n += 1;
                }
            });
        }
        let vcpus = [receiver.recv().unwrap(), receiver.recv().unwrap()];
        let (sum, table) = (Counted::vmx(), Box::new(Table::<ROOM>::new(SEED)));
        let to = View {
            causes: Some(table.causes()),
            ..sum.view()
        };
        let _ends = Ends(&done);
        for _ in 0..2000 {
            to.clear();
            vcpus.iter().for_each(|vcpu| to.add(vcpu.view()));
            let found = entries(to);
            let [exits, cycles] = totals(to);
            assert!(found.values().map(|entry| entry.exits).sum::<u64>() <= exits);
            assert!(found.values().map(|entry| entry.cycles).sum::<u64>() <= cycles);
            assert_eq!(sums(to), [exits, cycles]);
            assert!(found
                .values()
                .all(|entry| entry.exits > 0 && entry.exits >= entry.error));
        }
    });
}

/// Ranks of a Zipf distribution with exponent 1, from uniform numbers.
fn zipf(kinds: usize) -> impl Strategy<Value = u64> {
    let weights: Vec<f64> = (1..=kinds).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    (0.0..total).prop_map(move |mut at| {
        let place = weights.iter().position(|weight| {
            at -= weight;
            at < 0.0
        });
        place.unwrap_or(0) as u64
    })
}

/// What a guest may do: some causes often, and others in any order.
fn stream() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        proptest::collection::vec(zipf(1000), 1..4000),
        proptest::collection::vec(0..ENTRIES as u64 + 2, 1..4000),
        proptest::collection::vec(0..10_000_u64, 1..2000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_table_keeps_its_promises(seed: u64, stream in stream()) {
        let mut model = Model::new(seed);
        stream.iter().for_each(|n| model.nth(*n));
        model.check();
    }

    #[test]
    fn a_sum_keeps_them(streams in proptest::collection::vec(stream(), 1..6)) {
        let models: Vec<Model> = (1..)
            .zip(&streams)
            .map(|(seed, stream)| {
                let mut model = Model::new(seed);
                stream.iter().for_each(|n| model.nth(*n));
                model
            })
            .collect();
        check_sum(&models);
    }
}
