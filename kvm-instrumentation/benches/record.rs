// SPDX-License-Identifier: GPL-2.0
//! What it costs to account for one exit, by design, with one thread.

mod designs;

use std::time::Duration;

use criterion::{Criterion, Throughput};
use designs::{Place, Shared, ALL};

const EXITS: u64 = 1000;

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(EXITS));
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(1500));
    for (name, run) in ALL {
        let (mut place, table) = (Place::default(), Shared::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| run(&mut place, &table, EXITS));
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    record(&mut criterion);
    criterion.final_summary();
}
