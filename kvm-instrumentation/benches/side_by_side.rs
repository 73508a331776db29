// SPDX-License-Identifier: GPL-2.0
//! The designs side by side: in turn, for a fraction of a millisecond each, many times,
//! so that what else the machine does strikes them alike. A design's ratio is the
//! median of its ratios to the floor in the same round.
//!
//! `--only DESIGN EXITS` runs one of them alone, to count its instructions.

mod designs;

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use designs::{Place, Run, Shared, ALL};

const EXITS: u64 = 10_000;

/// Nanoseconds an exit, by design.
type Round = [f64; ALL.len()];

/// Where threads wait for each other without going to sleep: all start at once.
#[derive(Default)]
struct Gate(AtomicUsize);

impl Gate {
    fn wait(&self, threads: usize) {
        let arrived = self.0.fetch_add(1, SeqCst);
        let whole = (arrived / threads + 1) * threads;
        while self.0.load(SeqCst) < whole {
            spin_loop();
        }
    }
}

/// What one thread measures, while the others do the same.
fn measure(gate: &Gate, threads: usize, table: &Shared, rounds: usize, exits: u64) -> Vec<Round> {
    let mut place = Box::<Place>::default();
    let once = |run: Run, place: &mut Place| {
        run(place, table, exits / 10);
        gate.wait(threads);
        let start = Instant::now();
        run(place, table, exits);
        start.elapsed().as_nanos() as f64 / exits as f64
    };
    (0..rounds)
        .map(|_| ALL.map(|(_, run)| once(run, &mut place)))
        .collect()
}

/// The slower thread's figures, if there is a CPU for each.
fn all_threads(threads: usize, rounds: usize, exits: u64) -> Option<Vec<Round>> {
    let cores = core_affinity::get_core_ids()?;
    let cores = cores.get(..threads)?;
    let (gate, table) = (Gate::default(), Shared::default());
    let of_each: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = cores
            .iter()
            .map(|core| {
                let (gate, table) = (&gate, &table);
                scope.spawn(move || {
                    core_affinity::set_for_current(*core);
                    measure(gate, threads, table, rounds, exits)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("no design panics"))
            .collect()
    });
    let slower = |a: Round, b: &Round| std::array::from_fn(|i| f64::max(a[i], b[i]));
    let first = of_each.first()?.clone();
    Some(of_each.iter().fold(first, |worst, of_one| {
        let pairs = worst.into_iter().zip(of_one);
        pairs.map(|(a, b)| slower(a, b)).collect()
    }))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(threads: usize, rounds: usize, exits: u64) {
    let Some(rounds) = all_threads(threads, rounds, exits) else {
        println!("side_by_side threads {threads}: there are fewer CPUs");
        return;
    };
    for (index, (name, _)) in ALL.iter().enumerate() {
        let nanoseconds = rounds.iter().map(|round| round[index]);
        let ratios = rounds.iter().map(|round| round[index] / round[0]);
        println!(
            "side_by_side threads {threads} design {name} ns {:.2} ratio {:.3}",
            median(nanoseconds.collect()),
            median(ratios.collect())
        );
    }
}

fn only(name: &str, exits: u64) {
    let found: Option<&(&str, Run)> = ALL.iter().find(|(known, _)| *known == name);
    let Some((_, run)) = found else {
        eprintln!(
            "side_by_side: no design '{name}'; there are {:?}",
            ALL.map(|(known, _)| known)
        );
        std::process::exit(64);
    };
    run(&mut Place::default(), &Shared::default(), exits);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, name, exits] = arguments.as_slice() {
        if option == "--only" {
            return only(name, exits.parse().unwrap_or(EXITS));
        }
    }
    let test = arguments.iter().any(|argument| argument == "--test");
    let (rounds, exits) = if test { (1, 10) } else { (301, EXITS) };
    for threads in [1, 2] {
        compare(threads, rounds, exits);
    }
}
