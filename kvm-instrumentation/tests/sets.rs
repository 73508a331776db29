// SPDX-License-Identifier: GPL-2.0
//! Expect that histograms are exact, and that sets of counters add.

mod vm;

use exit_stats::abi::{self, BUCKET, CYCLES, DROPPED, EXITS, MAX, MIN};
use exit_stats::clock::event;
use exit_stats::reason::Vendor;
use proptest::prelude::*;
use vm::{many, Counted};

fn buckets(set: &Counted, number: u32) -> Vec<u64> {
    (0..abi::BUCKETS)
        .map(|k| set.value(number, BUCKET + k).unwrap())
        .collect()
}

#[test]
fn a_bucket_holds_its_octave_exactly_and_the_last_all_that_is_longer() {
    let vcpu = Counted::vmx();
    let mut expected = vec![0; 24];
    for k in 0..62 {
        for n in 0..=k {
            vcpu.event(event::USER_END, 1);
            vcpu.exit(48, false, 1 << 62, (1 << k) + n.min((1 << k) - 1));
            expected[(k as usize).min(23)] += 1;
            vcpu.exit(1, false, 0, 0);
        }
    }
    assert_eq!(buckets(&vcpu, 48), expected);
    assert_eq!(
        buckets(&vcpu, 0xffff),
        expected,
        "exits without a time are in none"
    );
    assert_eq!(buckets(&vcpu, 47), vec![0; 24]);
    assert_eq!(vcpu.value(0xffff, BUCKET + 24), None);
}

/// Finding 7: 1,000 VMs with histograms and one without.
#[test]
fn a_part_without_histograms_spoils_none_of_the_sum() {
    let (with, without) = (Counted::vmx(), Counted::new(Vendor::Vmx, false));
    for (n, vcpu) in [&with, &without].into_iter().enumerate() {
        vcpu.exit(10, false, 1, 100);
        vcpu.exit(12 + n as u32, false, 1000, 1000);
    }
    let sum = Counted::vmx();
    for _ in 0..1000 {
        sum.view().add(with.view());
    }
    sum.view().add(without.view());
    let bucket = |number, k| sum.value(number, BUCKET + k);
    assert_eq!(bucket(10, 6), Some(1000));
    assert_eq!(bucket(12, 9), Some(1000));
    assert_eq!(bucket(13, 9), Some(0));
    assert_eq!(bucket(0xffff, 6), Some(1000));
    assert_eq!(sum.fields(10, [EXITS, CYCLES]), [1001, 100_100]);
    assert_eq!(sum.fields(10, [MIN, MAX]), [100, 100]);
}

#[test]
fn a_snapshot_is_taken_anew() {
    let (vcpu, snapshot) = (Counted::vmx(), Counted::vmx());
    vcpu.exit(10, false, 1, 5);
    for generation in 1..4 {
        snapshot.view().clear();
        snapshot.view().add(vcpu.view());
        assert_eq!(snapshot.set.generation(), generation);
        assert_eq!(snapshot.fields(0xffff, [EXITS, CYCLES, MAX]), [1, 5, 5]);
        assert_eq!(buckets(&snapshot, 0xffff).iter().sum::<u64>(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(many(300, 2)))]

    /// Whatever was recorded before, a time is in the bucket of its highest bit and no other.
    #[test]
    fn a_time_falls_into_exactly_one_bucket(
        times in proptest::collection::vec((0..63_u32, any::<u64>()), 1..100),
    ) {
        let vcpu = Counted::vmx();
        let times: Vec<u64> = times.iter().map(|(k, r)| (1 << k) | (r & ((1 << k) - 1))).collect();
        let mut expected = vec![0; 24];
        vcpu.event(event::USER_END, 1);
        for time in &times {
            // Each begins anew, so that none has to wait for the clock.
            vcpu.exit(48, false, 1, *time);
            vcpu.exit(1, false, 0, 0);
            vcpu.exit(1, false, 1, 0);
            expected[(63 - time.leading_zeros() as usize).min(23)] += 1;
        }
        prop_assert_eq!(buckets(&vcpu, 48), expected);
        let [least, most] = vcpu.fields(48, [MIN, MAX]);
        prop_assert_eq!((Some(&least), Some(&most)), (times.iter().min(), times.iter().max()));
    }

    /// What several vCPUs counted is what one would have counted of all of it.
    #[test]
    fn the_sum_of_vcpus_is_what_one_vcpu_would_have(
        amd: bool,
        exits in proptest::collection::vec((0..4_usize, 0..49_usize, 1..1_u64 << 30), 1..400),
    ) {
        let vendor = if amd { Vendor::Svm } else { Vendor::Vmx };
        let vcpus: Vec<Counted> = (0..4).map(|_| Counted::new(vendor, true)).collect();
        let (one, sum) = (Counted::new(vendor, true), Counted::new(vendor, true));
        let number = |n: usize| u32::from(vendor.reasons()[n * vendor.reasons().len() / 49].number);
        let mut tsc = 1;
        for (vcpu, n, cycles) in exits {
            for set in [&vcpus[vcpu], &one] {
                set.exit(number(n), false, tsc, cycles);
            }
            tsc += cycles + 1;
        }
        vcpus.iter().for_each(|vcpu| sum.view().add(vcpu.view()));
        for number in (0..49).map(number).chain([abi::BEYOND, abi::TOTAL]) {
            let fields = [EXITS, CYCLES, MIN, MAX, DROPPED];
            prop_assert_eq!(sum.fields(number, fields), one.fields(number, fields));
            prop_assert_eq!(buckets(&sum, number), buckets(&one, number));
        }
    }
}
