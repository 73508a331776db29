// SPDX-License-Identifier: GPL-2.0
//! Expect that a host's VMs are found, named and read from KVM's debugfs.

mod common;

use std::fs;

use clap::Parser;
use common::host::{host, raw};
use common::Machine;
use insta::assert_snapshot;
use proptest::prelude::*;
use vmxscope::args::{Cli, Command};
use vmxscope::host::{self, Host};
use vmxscope::output::{Look, Output};
use vmxscope::view::{Kind, View};
use vmxscope::vms;

fn machine() -> Machine {
    let mut machine = Machine::patched();
    machine.tsc_leaf = true;
    machine
}

#[test]
fn a_vms_figures_are_what_its_counters_are() {
    let folder = host("figures");
    let host = Host::open(&folder.0, &machine()).unwrap();
    let view = host.read(Some(&host.find("web1").unwrap())).unwrap();
    assert_eq!(
        (view.kind, view.vm.as_str(), view.tsc_khz),
        (Kind::Vm, "web1", common::TSC_KHZ)
    );
    assert_eq!(view.row(48).unwrap().exits, 2_000);
    assert_eq!(
        view.total.exits,
        view.reasons.iter().map(|row| row.exits).sum::<u64>()
    );
    assert_eq!(
        view.row(48)
            .unwrap()
            .histogram
            .iter()
            .map(|bucket| bucket.exits)
            .sum::<u64>(),
        2_000
    );
    assert_eq!(host.find("4211").unwrap(), host.find("web1").unwrap());
    let error = host.find("web2").unwrap_err();
    assert_eq!(
        (
            error.status(),
            error
                .to_string()
                .contains("firecracker-977 (977), web1 (4211)")
        ),
        (2, true)
    );
}

#[test]
fn the_vms_are_listed_by_name() {
    let folder = host("list");
    let host = Host::open(&folder.0, &machine()).unwrap();
    let list = |form: &[&str]| {
        let cli = Cli::try_parse_from(["vmxscope", "vms"].iter().chain(form)).unwrap();
        let Command::Vms(args) = cli.command else {
            panic!()
        };
        let mut printed = Vec::new();
        let mut out = Output {
            to: &mut printed,
            look: Look::PLAIN,
        };
        vms::list(&host, &args, &mut out).unwrap();
        String::from_utf8(printed).unwrap()
    };
    assert_snapshot!(list(&[]));
    let prometheus = list(&["--prometheus"]);
    assert!(
        prometheus.contains("vmxscope_exits_total{vm=\"web1\",reason=\"HLT\",number=\"12\"} 150")
    );
    assert_eq!(prometheus.matches("# TYPE vmxscope_exits_total").count(), 1);
}

#[test]
fn a_host_without_statistics_says_what_is_missing() {
    let folder = host("missing");
    fs::remove_file(folder.0.join("sys/kernel/debug/kvm/exit_stats_raw")).unwrap();
    let error = Host::open(&folder.0, &machine()).unwrap_err();
    assert_eq!(error.status(), 3);
    assert!(
        error
            .to_string()
            .contains("has not the exit statistics built in"),
        "{error}"
    );
    let error = Host::open(&folder.0.join("nothing"), &machine()).unwrap_err();
    assert!(
        error.to_string().contains("debugfs is not mounted"),
        "{error}"
    );
}

#[test]
fn a_vm_that_ended_is_told_from_an_error() {
    let folder = host("ended");
    let host = Host::open(&folder.0, &machine()).unwrap();
    let vm = host.find("web1").unwrap();
    fs::remove_dir_all(folder.0.join("sys/kernel/debug/kvm/4211-14")).unwrap();
    assert_eq!(host.read(Some(&vm)).unwrap_err().status(), 6);
}

proptest! {
    #[test]
    fn no_table_does_worse_than_an_error(text in any::<String>(), cut in any::<prop::sample::Index>(), noise in ".{0,6}") {
        let view = || View::new(Kind::Vm, "fuzz".into(), 1);
        let _ = host::parse(&text, "fuzz", view());
        let table = raw(&Machine::patched());
        let at = cut.index(table.len());
        let spoilt = format!("{}{noise}{}", &table[..at], &table[at..]);
        let _ = host::parse(&spoilt, "fuzz", view());
    }
}
