// SPDX-License-Identifier: GPL-2.0
//! What it costs to read: a sum over so many vCPUs' full tables and histograms.
//!
//! `cold` are histograms of which nothing is in the caches, as is so with tables that are
//! read now and then: with few vCPUs the others find theirs there from the round before.
//! Times are the thread's: a reading of many milliseconds is interrupted by what else runs.
//! After each, the least of all readings is printed too.

use std::arch::x86_64::{_mm_clflush, _mm_mfence, _mm_prefetch, _MM_HINT_T0};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use exit_stats::clock::Vcpu;
use exit_stats::counters::{Set, View};
use exit_stats::hist::Hist;
use exit_stats::reason::Vendor;
use rustix::time::{clock_gettime, ClockId};

// A_VCPU of scripts/vmxlab/bench/why.py.
const _: () = assert!(size_of::<Set>() == 3_456 && size_of::<Hist>() == 12_800);

type Counted = (Box<Set>, Box<Hist>);

fn view((set, hist): &Counted) -> View<'_> {
    View {
        set,
        hist: Some(hist),
    }
}

fn without(counted: &Counted) -> View<'_> {
    View {
        hist: None,
        ..view(counted)
    }
}

/// A vCPU that has taken exits of as many reasons as it has rows for, in three octaves each.
fn vcpu() -> Counted {
    let (counted, vcpu) = (Counted::default(), Vcpu::default());
    for reason in Vendor::Vmx.reasons().iter().take(49) {
        for bucket in [8, 11, 17] {
            vcpu.exit(reason.number.into(), false, 1);
            vcpu.handled(view(&counted), 1 + (1 << bucket));
        }
    }
    counted
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
fn prefetched(sets: &[Counted], sum: &Counted) {
    view(sum).clear();
    for (index, set) in sets.iter().enumerate() {
        let (next, next_hist) = sets.get(index + 1).unwrap_or(&sets[0]);
        for line in lines(&**next).chain(lines(&**next_hist)) {
            // SAFETY: A prefetch harms nothing, wherever it goes.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
        }
        view(sum).add(view(set));
    }
}

/// Puts a value out of all caches.
fn flush<T>(value: &T) {
    for line in lines(value) {
        // SAFETY: The address is within the value, which is valid.
        unsafe { _mm_clflush(line) };
    }
}

/// Reads all sets once.
fn sum_up(sets: &[Counted], sum: &Counted, of: fn(&Counted) -> View<'_>) {
    of(sum).clear();
    for set in sets {
        of(sum).add(of(set));
    }
}

/// Puts all sets out of all caches.
fn flush_all(sets: &[Counted]) {
    for (set, hist) in sets {
        flush(&**set);
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
    let sum = Counted::default();
    for vcpus in [1, 64, 1024, 4096] {
        let sets: Vec<_> = (0..vcpus).map(|_| vcpu()).collect();
        for name in ["counters", "histograms", "cold"] {
            let mut least = Duration::MAX;
            let mut once = || {
                if name == "cold" {
                    flush_all(&sets);
                }
                let start = time();
                let of = if name == "counters" { without } else { view };
                sum_up(&sets, &sum, of);
                let took = time() - start;
                least = least.min(took);
                took
            };
            group.bench_function(BenchmarkId::new(name, vcpus), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| once()).sum());
            });
            println!("read {name} vcpus {vcpus} least {}", least.as_nanos());
        }
        let one = |_| {
            flush_all(&sets);
            let start = time();
            prefetched(&sets, &sum);
            time() - start
        };
        let least = (0..10).map(one).min().unwrap_or_default();
        println!(
            "read_design prefetched vcpus {vcpus} least {}",
            least.as_nanos()
        );
    }
    group.finish();
}

/// Nanoseconds an exit of a vCPU whose exits follow each other at once: the least of many.
fn exits(to: View<'_>) -> f64 {
    let vcpu = Vcpu::default();
    let once = || {
        let start = Instant::now();
        for number in [30, 10, 30, 1, 12, 32, 30, 48].repeat(1000) {
            vcpu.exit(number, false, clock());
            vcpu.handled(to, clock());
        }
        start.elapsed().as_nanos() as f64 / 8000.0
    };
    (0..200).map(|_| once()).fold(f64::MAX, f64::min)
}

/// What it costs a vCPU's exits that another of 64 reads without a pause: one figure of
/// all vCPUs, or a snapshot. Each reading of a guest's is an exit of its own besides.
fn disturb() {
    let Some(cores) = core_affinity::get_core_ids().filter(|cores| cores.len() > 1) else {
        return println!("disturb: there are fewer than 2 CPUs");
    };
    let sets: Vec<_> = (0..64).map(|_| vcpu()).collect();
    let sum = Counted::default();
    let figure = || {
        let one = |set| black_box(view(set).value(48, 0));
        sets.iter().for_each(|set| _ = one(set));
    };
    let readers: [(&str, &(dyn Fn() + Sync)); 2] = [
        ("figure", &figure),
        ("snapshot", &|| sum_up(&sets, &sum, view)),
    ];
    core_affinity::set_for_current(cores[0]);
    for (name, read) in readers {
        let alone = exits(view(&sets[0]));
        let done = AtomicBool::new(false);
        let beside = std::thread::scope(|scope| {
            scope.spawn(|| {
                core_affinity::set_for_current(cores[1]);
                while !done.load(SeqCst) {
                    read();
                }
            });
            let beside = exits(view(&sets[0]));
            done.store(true, SeqCst);
            beside
        });
        println!(
            "disturb {name} alone {alone:.2} beside {beside:.2} ratio {:.3}",
            beside / alone
        );
    }
}

fn clock() -> u64 {
    // SAFETY: Every x86-64 CPU has RDTSC, and no kernel forbids it here.
    unsafe { std::arch::x86_64::_rdtsc() }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    disturb();
    read(&mut criterion);
    criterion.final_summary();
}
