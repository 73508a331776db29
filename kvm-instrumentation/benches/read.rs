// SPDX-License-Identifier: GPL-2.0
//! What it costs to read: a sum over so many vCPUs' full tables and histograms.
//!
//! `cold` are histograms of which nothing is in the caches, as is so with tables that are
//! read now and then: with few vCPUs the others find theirs there from the round before.
//! Times are the thread's: a reading of many milliseconds is interrupted by what else runs.
//! After each, the least of all readings is printed too.

use std::arch::x86_64::{_mm_clflush, _mm_mfence, _mm_prefetch, _MM_HINT_T0};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use exit_stats::clock::{Armed, Vcpu};
use exit_stats::counters::Counters;
use exit_stats::hist::Hist;
use rustix::time::{clock_gettime, ClockId};

// A_VCPU of scripts/vmxlab/bench/why.py.
const _: () = assert!(size_of::<Counters>() == 5_632 && size_of::<Hist>() == 16_384);

type Set = (Box<Vcpu>, Box<Hist>);
type Design = fn(&[Set], &Counters, &Hist);

/// A vCPU that has taken exits of every reason, in three octaves each.
fn vcpu() -> Set {
    let (vcpu, hist, armed) = (Box::<Vcpu>::default(), Box::<Hist>::default(), Armed::new());
    for reason in 0..87 {
        for bucket in [8, 11, 17] {
            vcpu.exit(reason, false, 1);
            vcpu.handled(&armed, Some(&hist), 1 + (1 << bucket));
        }
    }
    (vcpu, hist)
}

/// For how long this thread has been running.
fn time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The addresses of a value's cache lines.
fn lines<T>(value: &T) -> impl Iterator<Item = *const u8> {
    let start: *const u8 = std::ptr::from_ref(value).cast();
    (0..size_of::<T>())
        .step_by(64)
        .map(move |at| start.wrapping_add(at))
}

/// A design that was tried: asks for the next set's lines while one is summed up.
fn prefetched(sets: &[Set], sum: &Counters, sum_hist: &Hist) {
    sum.begin_snapshot();
    sum_hist.clear();
    for (index, (vcpu, hist)) in sets.iter().enumerate() {
        let (next, next_hist) = sets.get(index + 1).unwrap_or(&sets[0]);
        for line in lines(&**next).chain(lines(&**next_hist)) {
            // SAFETY: A prefetch harms nothing, wherever it goes.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
        }
        sum.merge(vcpu.counters());
        sum_hist.merge(vcpu.counters(), Some(hist));
    }
}

/// Another: all counters first, then all histograms, so that each has one stream.
fn apart(sets: &[Set], sum: &Counters, sum_hist: &Hist) {
    sum_up(sets, sum, None);
    sum_hist.clear();
    for (vcpu, hist) in sets {
        sum_hist.merge(vcpu.counters(), Some(hist));
    }
}

/// Puts a value out of all caches.
fn flush<T>(value: &T) {
    for line in lines(value) {
        // SAFETY: The address is within the value, which is valid.
        unsafe { _mm_clflush(line) };
    }
}

/// What was tried, each with cold tables.
const DESIGNS: [(&str, Design); 2] = [("prefetched", prefetched), ("apart", apart)];

/// Reads all sets once.
fn sum_up(sets: &[Set], sum: &Counters, sum_hist: Option<&Hist>) {
    sum.begin_snapshot();
    sum_hist.inspect(|hist| hist.clear());
    for (vcpu, hist) in sets {
        sum.merge(vcpu.counters());
        sum_hist.inspect(|sum| sum.merge(vcpu.counters(), Some(hist)));
    }
}

/// Puts all sets out of all caches.
fn flush_all(sets: &[Set]) {
    for (vcpu, hist) in sets {
        flush(&**vcpu);
        flush(&**hist);
    }
    // SAFETY: Every x86-64 CPU has MFENCE.
    unsafe { _mm_mfence() };
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(1500));
    let (sum, sum_hist) = (Counters::default(), Box::<Hist>::default());
    for vcpus in [1, 64, 1024, 4096] {
        let sets: Vec<_> = (0..vcpus).map(|_| vcpu()).collect();
        for name in ["counters", "histograms", "cold"] {
            let mut least = Duration::MAX;
            let mut once = || {
                if name == "cold" {
                    flush_all(&sets);
                }
                let start = time();
                sum_up(&sets, &sum, (name != "counters").then_some(&sum_hist));
                let took = time() - start;
                least = least.min(took);
                took
            };
            group.bench_function(BenchmarkId::new(name, vcpus), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| once()).sum());
            });
            println!("read {name} vcpus {vcpus} least {}", least.as_nanos());
        }
        for (name, design) in DESIGNS {
            let one = |_| {
                flush_all(&sets);
                let start = time();
                design(&sets, &sum, &sum_hist);
                time() - start
            };
            let least = (0..10).map(one).min().unwrap_or_default();
            println!(
                "read_design {name} vcpus {vcpus} least {}",
                least.as_nanos()
            );
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    read(&mut criterion);
    criterion.final_summary();
}
