// SPDX-License-Identifier: GPL-2.0
//! The figures: the same in every process, and such that sums over hosts are right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use vmxscope::host::Host;

use crate::common::host::{host, raw, Folder};
use crate::common::metrics::{parse, Sample};
use crate::common::{Machine, TSC_KHZ};
use crate::{page, value, with_frequency};

#[test]
fn the_same_counters_are_the_same_seconds_in_every_process() {
    let folder = with_frequency("frequency", Some(1_999_000));
    let first = page(&folder, &["--host"]);
    assert_eq!(first, page(&folder, &["--host"]));
    let hlt = [("vm", "host"), ("reason", "HLT")];
    let view = Host::open(&folder.0, &Machine::patched())
        .unwrap()
        .read(None)
        .unwrap();
    let seconds = view.row(12).unwrap().cycles as f64 / 1.999e9;
    let told = value(&parse(&first), "vmxscope_handling_seconds_total", &hlt);
    assert!((told - seconds).abs() < 1e-9, "{told} {seconds}");
    assert_eq!(view.monotonic_ns, Some(5_000_000_000));
    // Where nobody tells the frequency there are no seconds, and none are made up.
    let silent = with_frequency("silent", None);
    let host = Host::open(&silent.0, &Machine::patched()).unwrap();
    assert_eq!(host.read(None).unwrap().tsc_khz, 0);
}

#[test]
fn all_hosts_have_the_same_buckets_and_all_of_them() {
    let ends = |folder: &Folder| {
        let mut ends = BTreeMap::<String, Vec<String>>::new();
        for sample in parse(&page(folder, &["--vms"])) {
            if sample.name.ends_with("_bucket") {
                let series = format!("{} {}", sample.labels["vm"], sample.labels["reason"]);
                let le = sample.labels["le"].clone();
                ends.entry(series).or_default().push(le);
            }
        }
        ends.into_values().collect::<BTreeSet<Vec<String>>>()
    };
    let mut all = ends(&with_frequency("slow", Some(1_000_000)));
    all.extend(ends(&with_frequency("fast", Some(3_700_123))));
    assert_eq!(all.len(), 1, "{all:?}");
    let ends = all.pop_first().unwrap();
    assert_eq!(ends.len(), 26);
    assert_eq!(
        (ends[0].as_str(), ends[24].as_str(), ends[25].as_str()),
        ("0.0000001", "10", "+Inf")
    );
}

/// The page of a host whose VMs had so many exits, each of 8 us.
fn page_of(name: &str, khz: u32, exits: u64) -> Vec<Sample> {
    let machine = Machine::patched();
    (0..exits).for_each(|_| machine.exit(48, u64::from(khz) * 8 / 1_000));
    let folder = host(name);
    let told = format!("tsc_khz\t{TSC_KHZ}\n");
    let table = raw(&machine).replace(&told, &format!("tsc_khz\t{khz}\n"));
    let file = folder.0.join("sys/kernel/debug/kvm/exit_stats_raw");
    fs::write(file, table).unwrap();
    parse(&page(&folder, &["--host"]))
}

/// The private tools have promtool.
#[test]
fn sums_over_hosts_of_different_frequency_are_right() {
    let mut series = String::new();
    for (host, khz) in [("slow", 1_000_000), ("fast", 3_700_000)] {
        let now = page_of(&format!("{host}-1"), khz, 100);
        for (then, now) in now.iter().zip(page_of(&format!("{host}-2"), khz, 160)) {
            assert_eq!((&then.name, &then.labels), (&now.name, &now.labels));
            let labels: Vec<String> = then
                .labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            let (name, labels) = (&then.name, labels.join(","));
            let (first, more) = (then.value, now.value - then.value);
            series += &format!("  - series: '{name}{{instance=\"{host}\",{labels}}}'\n");
            series += &format!("    values: '{first}+{more}x10'\n");
        }
    }
    // 60 exits a minute on each of two hosts, of 8 us each.
    let buckets = "sum by (le) (rate(vmxscope_exit_handling_seconds_bucket[5m]))";
    let mut test = format!(
        "rule_files: [{}/../docs/prometheus-rules.yml]\ntests:\n- interval: 1m\n  input_series:\n{series}  promql_expr_test:\n",
        env!("CARGO_MANIFEST_DIR")
    );
    for expression in [
        "sum(rate(vmxscope_exits_total[5m])) == bool 2".to_string(),
        "abs(sum(rate(vmxscope_handling_seconds_total[5m])) - 16e-6) < bool 1e-12".into(),
        "abs(sum(vm:vmxscope_handling_seconds:mean5m) - 16e-6) < bool 1e-12".into(),
        format!("histogram_quantile(0.99, {buckets}) > bool 8e-6"),
        format!("histogram_quantile(0.99, {buckets}) <= bool 10e-6"),
    ] {
        test += &format!("  - expr: {expression}\n    eval_time: 10m\n    exp_samples: [{{labels: '{{}}', value: 1}}]\n");
    }
    let file = std::env::temp_dir().join(format!("vmxscope-rules-{}.yml", std::process::id()));
    fs::write(&file, test).unwrap();
    let output = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .expect("promtool runs; `make setup` unpacks it");
    assert!(output.status.success(), "{output:?}");
    fs::remove_file(file).unwrap();
}
