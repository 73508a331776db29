// SPDX-License-Identifier: GPL-2.0
//! Expect that histograms are exact, and that sets of counters add and subtract.

use exit_stats::clock::{Armed, Event, Vcpu};
use exit_stats::counters::{Figure, Scope};
use exit_stats::hist::{bucket_of, Hist, LINES};
use exit_stats::reason;

fn scope(number: u32) -> Scope {
    Scope::from_number(number).unwrap()
}

fn value(vcpu: &Vcpu, number: u32, figure: Figure) -> u64 {
    vcpu.counters().value(None, scope(number), figure).unwrap()
}

/// The figures of a reason: exits, cycles, min, max, blocked, user, L2, dropped.
fn figures(vcpu: &Vcpu, number: u32) -> [u64; 8] {
    use Figure::*;
    [Exits, Cycles, Min, Max, Blocked, User, L2, Dropped].map(|f| value(vcpu, number, f))
}

#[test]
fn a_bucket_holds_its_octave_exactly() {
    for k in 0..64 {
        let low = 1_u64 << k;
        assert_eq!(bucket_of(low), k);
        assert_eq!(bucket_of(low | (low - 1)), k);
    }
    let (vcpu, armed, hist) = (Vcpu::default(), Armed::new(), Hist::default());
    for k in 0..64 {
        for _ in 0..=k {
            vcpu.exit(48, false, 1);
            vcpu.handled(&armed, Some(&hist), 1 + (1_u64 << k));
        }
    }
    for k in 0..64 {
        let bucket = |n| {
            vcpu.counters()
                .value(Some(&hist), scope(n), Figure::Bucket(k))
        };
        assert_eq!(bucket(48), Some(u64::from(k) + 1));
        assert_eq!(bucket(0xffff), Some(u64::from(k) + 1));
        assert_eq!(bucket(47), Some(0));
    }
    assert_eq!(
        vcpu.counters()
            .value(Some(&hist), Scope::Total, Figure::Bucket(64)),
        None
    );
}

#[test]
fn when_the_lines_run_out_no_bucket_lies() {
    let (vcpu, armed, hist) = (Vcpu::default(), Armed::new(), Hist::default());
    // Three lines for each reason fit.
    let record = |number, k: u32| {
        vcpu.exit(number, false, 1);
        vcpu.handled(&armed, Some(&hist), 1_u64 + (1_u64 << k));
    };
    let bucket = |n: u32, k| {
        vcpu.counters()
            .value(Some(&hist), scope(n), Figure::Bucket(k))
    };
    let numbers: Vec<u32> = reason::all().map(|r| r.number.into()).chain([86]).collect();
    for &number in &numbers {
        (8..32).for_each(|k| record(number, k));
    }
    let asked = |n| if n == 86 { 0xfffc } else { n };
    for &number in &numbers {
        for k in 0..64 {
            let expected = u64::from((8..32).contains(&k));
            assert_eq!(bucket(asked(number), k), Some(expected));
        }
    }
    // 245 - 243 lines are left.
    assert_eq!(LINES, 245);
    record(0, 0);
    record(1, 63);
    record(2, 63);
    record(2, 8);
    assert_eq!(bucket(0, 0), Some(1));
    assert_eq!(bucket(1, 63), Some(1));
    for k in 56..64 {
        assert_eq!(bucket(2, k), None, "an exit of these eight found no line");
        assert_eq!(
            bucket(0xffff, k),
            None,
            "so their total is not known either"
        );
    }
    assert_eq!(bucket(2, 8), Some(2), "what has a line still counts");
    assert_eq!(bucket(0xffff, 8), Some(82));
    // And what is made of it does not pretend to know more.
    let (sum, sum_hist) = (Vcpu::default(), Hist::default());
    for _ in 0..2 {
        sum.counters().merge(vcpu.counters());
        sum_hist.merge(vcpu.counters(), Some(&hist));
    }
    let summed = |n, k| {
        sum.counters()
            .value(Some(&sum_hist), scope(n), Figure::Bucket(k))
    };
    assert_eq!(summed(2, 60), None);
    assert_eq!(summed(2, 8), Some(4));
    sum_hist.subtract(vcpu.counters(), Some(&hist));
    assert_eq!(summed(2, 60), None);
    assert_eq!(summed(2, 8), Some(2));
    sum_hist.clear();
    assert_eq!(summed(2, 60), Some(0));
}

#[test]
fn a_sum_with_a_part_without_histograms_has_none_for_what_that_part_timed() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    vcpu.exit(10, false, 1);
    vcpu.handled(&armed, None, 101);
    vcpu.exit(12, false, 1);
    let (sum, hist) = (Vcpu::default(), Hist::default());
    sum.counters().merge(vcpu.counters());
    hist.merge(vcpu.counters(), None);
    let bucket = |n| {
        sum.counters()
            .value(Some(&hist), scope(n), Figure::Bucket(6))
    };
    assert_eq!(
        (bucket(10), bucket(12), bucket(13)),
        (None, Some(0), Some(0))
    );
}

#[test]
fn a_baseline_is_taken_away_and_never_below_zero() {
    let (vcpu, armed, base) = (Vcpu::default(), Armed::new(), Vcpu::default());
    let exit = |number, cycles: u64| {
        vcpu.exit(number, true, 1);
        vcpu.handled(&armed, None, 1 + cycles);
    };
    exit(10, 5);
    exit(12, 7);
    vcpu.event(&armed, Event::EntryFailed, 0);
    vcpu.event(&armed, Event::EntryEmulated, 0);
    base.counters().merge(vcpu.counters());
    exit(10, 100);
    vcpu.event(&armed, Event::EntryEmulated, 0);
    let view = Vcpu::default();
    view.counters().merge(vcpu.counters());
    view.counters().subtract(base.counters());
    assert_eq!(figures(&view, 10), [1, 100, 5, 100, 0, 0, 1, 0]);
    assert_eq!(figures(&view, 12), [0; 8]);
    assert_eq!(value(&view, 0xfffe, Figure::Exits), 0);
    assert_eq!(value(&view, 0xfffd, Figure::Exits), 1);
    view.counters().subtract(vcpu.counters());
    assert_eq!(figures(&view, 0xffff), [0; 8]);
}
