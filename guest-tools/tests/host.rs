// SPDX-License-Identifier: GPL-2.0
//! Expect that a host's VMs are found, named and read from KVM's debugfs.

mod common;

use std::fs;

use clap::Parser;
use common::host::{host, raw};
use common::Machine;
use exit_stats::abi;
use exit_stats::reason::Vendor;
use insta::assert_snapshot;
use proptest::prelude::*;
use vmxscope::args::{Cli, Command};
use vmxscope::host::{self, Host};
use vmxscope::output::{Look, Output};
use vmxscope::view::{Counter, Scope, View};
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
        (Scope::Vm, "web1", common::TSC_KHZ)
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
        let mut out = Output::new(&mut printed, Look::PLAIN);
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
    assert!(error.to_string().contains("modprobe vmx_exits"), "{error}");
    let error = Host::open(&folder.0.join("nothing"), &machine()).unwrap_err();
    assert!(
        error.to_string().contains("debugfs is not mounted"),
        "{error}"
    );
}

#[test]
fn what_counts_beside_kvm_is_found_as_well_and_named() {
    let other = host("beside");
    let debugfs = other.0.join("sys/kernel/debug");
    for name in ["", "4211-14"] {
        let (from, to) = (
            debugfs.join("kvm").join(name),
            debugfs.join("vmx_exits").join(name),
        );
        fs::create_dir_all(&to).unwrap();
        fs::rename(from.join("exit_stats_raw"), to.join("exit_stats_raw")).unwrap();
    }
    let beside = Host::open(&other.0, &machine()).unwrap();
    assert_eq!(beside.counted_by(), Counter::VmxExits);
    let vm = beside.find("web1").unwrap();
    assert_eq!((vm.vcpus, beside.vms().unwrap().len()), (2, 1));
    let folder = host("inside");
    let inside = Host::open(&folder.0, &machine()).unwrap();
    assert_eq!(inside.counted_by(), Counter::Kvm);
    for (root, words, symbol) in [
        (&other.0, "Counted by vmx_exits, beside KVM.\n", "vmx_exits"),
        (&folder.0, "Counted by KVM itself.\n", "kvm"),
    ] {
        let root = root.to_str().unwrap();
        let printed = |words: &[&str]| {
            let words = [words, &["--root", root]].concat();
            common::printed(&machine(), &words)
        };
        for command in [
            &["vms"][..],
            &["exits", "--vm", "web1"],
            &["exits", "--host"],
        ] {
            let text = printed(command);
            assert!(text.ends_with(words), "{text}");
        }
        let of_vm = format!("vmxscope_source_info{{vm=\"web1\",source=\"{symbol}\"}} 1\n");
        assert!(printed(&["vms", "--prometheus"]).contains(&of_vm));
        let json = printed(&["exits", "--vm", "web1", "--json"]);
        assert!(
            json.contains(&format!("\"counted_by\": \"{symbol}\"")),
            "{json}"
        );
    }
    let figures = |host: &Host| host.read(Some(&host.find("web1").unwrap())).unwrap().total;
    assert_eq!(figures(&beside), figures(&inside));
}

#[test]
fn a_vm_that_ended_is_told_from_an_error() {
    let folder = host("ended");
    let host = Host::open(&folder.0, &machine()).unwrap();
    let vm = host.find("web1").unwrap();
    fs::remove_dir_all(folder.0.join("sys/kernel/debug/kvm/4211-14")).unwrap();
    assert_eq!(host.read(Some(&vm)).unwrap_err().status(), 6);
}

#[test]
fn a_table_of_amds_exit_codes_is_known_by_the_kernels_names() {
    // As kvm_exit has them: SVM's in small letters.
    let head = "reason\tsymbol\texits\tcycles\tmin\tmax\tblocked\tuser\tl2\tdropped\taway\tentry\tguest\tbuckets\n";
    let row = |reason: u32, symbol: &str, exits: u32| {
        format!("{reason}\t{symbol}\t{exits}\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t-\n")
    };
    for (first, cpuid, vendor, name) in [
        ("read_cr0", 0x72, Vendor::Svm, "CPUID"),
        ("EXCEPTION_NMI", 10, Vendor::Vmx, "CPUID"),
    ] {
        let symbol = if vendor == Vendor::Svm {
            "cpuid"
        } else {
            "CPUID"
        };
        let table = head.to_owned()
            + &row(0, first, 0)
            + &row(cpuid, symbol, 3)
            + &row(abi::TOTAL, "TOTAL", 3);
        let view = host::parse(&table, "amd", View::new(Scope::Vm, "amd".into(), 1)).unwrap();
        assert_eq!(view.vendor, vendor);
        assert_eq!(view.row(cpuid).unwrap().name, name);
    }
}

#[test]
fn a_table_that_is_cut_off_is_an_error_and_not_zero_exits() {
    let table = raw(&Machine::booted());
    let view = || View::new(Scope::Vm, "cut".into(), 1);
    host::parse(&table, "whole", view()).unwrap();
    for end in [
        table.find('\n').unwrap() + 1,
        table.len() / 2,
        table.len() - 1,
    ] {
        let error = host::parse(&table[..end], "cut", view()).unwrap_err();
        assert_eq!(error.status(), 4, "{end}: {error}");
    }
}

#[test]
fn what_cannot_be_figures_is_refused() {
    let table = raw(&Machine::booted());
    let view = || View::new(Scope::Vm, "wrong".into(), 1);
    let error = |from: &str, to: &str| {
        assert!(table.contains(from), "{from}");
        let error = host::parse(&table.replacen(from, to, 1), "wrong", view());
        error.unwrap_err().to_string()
    };
    let huge = u64::MAX.to_string();
    let sums = error("12\tHLT\t150", &format!("12\tHLT\t{huge}"));
    assert!(sums.contains("more than 64 bits"), "{sums}");
    let saved = |edit: fn(&mut View)| {
        let mut view = host::parse(&table, "saved", view()).unwrap();
        edit(&mut view);
        let text = serde_json::to_string(&view).unwrap();
        View::parse(&text, "saved.json").unwrap_err().to_string()
    };
    let far = saved(|view| view.reasons[0].histogram[0].log2 = u32::MAX);
    assert!(far.contains("4294967295"), "{far}");
    let many = saved(|view| view.reasons[0].histogram[0].exits = u64::MAX);
    assert!(many.contains("more than 64 bits"), "{many}");
    let much = saved(|view| view.reasons[0].cycles = u64::MAX);
    assert!(much.contains("more than 64 bits"), "{much}");
    assert!(saved(|view| view.format = "other".into()).contains("\"other\""));
}

#[test]
fn a_name_gives_no_commands_to_the_terminal() {
    let folder = host("harmless");
    let evil = "\x1b]0;pwned\x07web\u{9b}2J";
    fs::write(
        folder.0.join("proc/4211/cmdline"),
        format!("qemu\0-name\0guest={evil}\0"),
    )
    .unwrap();
    fs::write(folder.0.join("proc/977/comm"), "fire\x1b[2J\n").unwrap();
    let root = folder.0.to_str().unwrap();
    for words in [&["vms"][..], &["vms", "--csv"], &["exits", "--vm", "977"]] {
        let words = [words, &["--root", root]].concat();
        let text = common::printed(&machine(), &words);
        assert!(!text.contains(['\x1b', '\x07', '\u{9b}']), "{text:?}");
    }
    let list = common::printed(&machine(), &["vms", "--root", root]);
    assert!(list.contains("\\u{1b}]0;pwned\\u{7}web\\u{9b}2J"), "{list}");
    // The same from a file.
    let text = common::printed(
        &machine(),
        &["exits", "--vm", "977", "--root", root, "--json"],
    );
    let spoilt = text.replace("fire\\\\u{1b}", "fire\\u001b");
    assert_ne!(text, spoilt);
    let file = folder.0.join("saved.json");
    fs::write(&file, spoilt).unwrap();
    let words = ["exits", "--csv", "--from", file.to_str().unwrap()];
    assert!(!common::printed(&machine(), &words).contains('\x1b'));
    let words = ["exits", "--vm", "977\x1b[2J", "--root", root];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    let output = command.args(words).output().unwrap();
    assert!(!output.stderr.contains(&0x1b), "{output:?}");
}

#[test]
fn wide_letters_do_not_move_the_columns() {
    let folder = host("wide");
    fs::write(
        folder.0.join("proc/977/cmdline"),
        "qemu\0-name\0\u{4ed5}\u{4e8b}\0",
    )
    .unwrap();
    let text = common::printed(&machine(), &["vms", "--root", folder.0.to_str().unwrap()]);
    let ends: Vec<usize> = text
        .lines()
        .take(3)
        .map(|line| {
            // Where the third column ends, in columns of a terminal.
            let words: Vec<&str> = line.split_whitespace().collect();
            let place = line.find(&format!(" {} ", words[2])).unwrap() + 1 + words[2].len();
            unicode_width::UnicodeWidthStr::width(&line[..place])
        })
        .collect();
    assert_eq!((ends[0], ends[1]), (ends[1], ends[2]), "{text}");
}

#[test]
fn errors_name_the_path_that_was_looked_at() {
    let folder = host("paths");
    let root = folder.0.to_str().unwrap();
    fs::remove_file(folder.0.join("sys/kernel/debug/kvm/exit_stats_raw")).unwrap();
    let (_, message) = common::failure(&machine(), &["exits", "--host", "--root", root]);
    assert!(
        message.contains(&format!("{root}/sys/kernel/debug/kvm/exit_stats_raw")),
        "{message}"
    );
}

proptest! {
    #[test]
    fn no_table_does_worse_than_an_error(text in any::<String>(), cut in any::<prop::sample::Index>(), noise in ".{0,6}") {
        let view = || View::new(Scope::Vm, "fuzz".into(), 1);
        let _ = host::parse(&text, "fuzz", view());
        let table = raw(&Machine::patched());
        let at = cut.index(table.len());
        let spoilt = format!("{}{noise}{}", &table[..at], &table[at..]);
        let _ = host::parse(&spoilt, "fuzz", view());
    }
}
