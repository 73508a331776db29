// SPDX-License-Identifier: GPL-2.0
//! Expect that a guest is shown its exits as they are, and told why there are none.

mod common;

use common::{failure, printed, run, run_wide, steady, Machine};
use insta::assert_snapshot;
use vmxscope::guest::{Guest, Wanted};
use vmxscope::processor::Counted;
use vmxscope::view::View;

fn view(machine: &Machine, words: &[&str]) -> View {
    let words: Vec<&str> = words.iter().chain(&["--json"]).copied().collect();
    serde_json::from_str(&printed(machine, &words)).unwrap()
}

#[test]
fn the_table_has_the_dearest_reason_first() {
    assert_snapshot!(printed(&Machine::booted(), &["exits"]));
}

#[test]
fn a_narrow_terminal_gets_the_columns_that_matter() {
    let (result, text) = run_wide(
        &Machine::booted(),
        &["exits", "--sort=count", "--top=3"],
        Some(80),
    );
    assert_eq!(result.unwrap(), 0);
    assert!(text.lines().take(5).all(|line| line.len() <= 80), "{text}");
    assert_snapshot!(text);
}

#[test]
fn one_reason_comes_with_its_histogram() {
    assert_snapshot!(printed(
        &Machine::booted(),
        &["exits", "--reason", "hlt", "--reason", "48"]
    ));
}

#[test]
fn all_reasons_of_the_sdm_can_be_shown() {
    let text = printed(&Machine::booted(), &["exits", "--all", "--sort=number"]);
    assert!(text.contains(" 85  WRMSRNS (immediate form)"));
    let numbers = text
        .lines()
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    // 80 reasons, and the two notes begin with a number as well.
    assert_eq!(numbers.count(), 81, "{text}");
}

#[test]
fn other_programs_can_read_it() {
    let machine = Machine::booted();
    assert_snapshot!(
        "csv",
        steady(&printed(&machine, &["exits", "--csv", "--top=3"]))
    );
    let machine = Machine::booted();
    let words = ["exits", "--prometheus", "--reason=12"];
    assert_snapshot!("prometheus", steady(&printed(&machine, &words)));
    let machine = Machine::booted();
    assert_snapshot!(
        "json",
        steady(&printed(&machine, &["exits", "--json", "--reason=hlt"]))
    );
}

#[test]
fn in_a_view_the_total_equals_the_sum() {
    let view = view(&Machine::booted(), &["exits"]);
    let sum =
        |figure: fn(&vmxscope::view::Row) -> u64| view.reasons.iter().map(figure).sum::<u64>();
    assert!(view.consistent);
    assert_eq!(sum(|row| row.exits), view.total.exits);
    assert_eq!(sum(|row| row.cycles), view.total.cycles);
    for row in &view.reasons {
        let buckets: u64 = row.histogram.iter().map(|bucket| bucket.exits).sum();
        assert_eq!(buckets, row.exits, "{} {}", row.symbol, row.exits);
    }
}

#[test]
fn the_programs_own_exits_are_told_apart() {
    let view = view(&Machine::patched(), &["exits"]);
    assert_eq!(view.row(10).unwrap().exits, view.own_exits);
    assert_eq!(view.total.exits, view.own_exits);
}

#[test]
fn counts_and_cycles_of_all_reasons_take_at_most_300_exits() {
    use vmxscope::guest::{Guest, Wanted};
    use vmxscope::processor::Counted;
    let machine = Machine::patched();
    // As many as a vCPU has rows for; one is of all reasons that have none.
    for reason in exit_stats::reason::all().take(exit_stats::counters::ROWS - 1) {
        machine.exit(reason.number.into(), 2_000);
    }
    let cpu = Counted::new(&machine);
    let guest = Guest::open(&cpu, None, None).unwrap();
    let view = guest.read(Wanted::LEAST).unwrap();
    assert_eq!(view.reasons.len(), 80);
    assert!(cpu.executed() <= 300, "{}", cpu.executed());
    assert_eq!(view.read_exits + 2, cpu.executed());
}

#[test]
fn a_second_reading_asks_only_for_what_occurred_and_misses_nothing() {
    use vmxscope::guest::{Guest, Wanted};
    let machine = Machine::booted();
    let cpu = Counted::new(&machine);
    let guest = Guest::open(&cpu, None, None).unwrap();
    let all = || Guest::open(&cpu, None, None).unwrap().read(Wanted::LEAST);
    let same = |again: &View, whole: &View| {
        assert_eq!(again.reasons.len(), whole.reasons.len());
        for (again, whole) in again.reasons.iter().zip(&whole.reasons) {
            // The reader itself causes CPUID exits between the two.
            if again.reason != 10 {
                assert_eq!(again, whole);
            }
        }
        let exits: u64 = again.reasons.iter().map(|row| row.exits).sum();
        assert_eq!(exits, again.total.exits);
    };
    guest.read(Wanted::LEAST).unwrap();
    machine.exit(48, 3_000);
    let again = guest.read(Wanted::LEAST).unwrap();
    assert!(again.read_exits <= 30, "{}", again.read_exits);
    same(&again, &all().unwrap());
    // A reason that had not occurred: the sums tell, and all are asked.
    assert_eq!(again.row(54).unwrap().exits, 0);
    machine.exit(54, 9_000);
    let again = guest.read(Wanted::LEAST).unwrap();
    assert_eq!(again.row(54).unwrap().exits, 1);
    same(&again, &all().unwrap());
    assert!(guest.read(Wanted::LEAST).unwrap().read_exits <= 32);
}

#[test]
fn a_replaced_snapshot_is_taken_anew() {
    let machine = Machine::booted();
    machine.disturbed.set(20);
    let view = view(&machine, &["exits"]);
    assert!(view.consistent);
    assert_eq!(view.row(48).unwrap().exits, 2_000);
    machine.disturbed.set(u32::MAX);
    let (status, message) = failure(&machine, &["exits"]);
    assert_eq!(status, 6);
    assert!(message.contains("--cpu"), "{message}");
}

#[test]
fn without_memory_for_a_snapshot_the_figures_are_live_and_marked() {
    let machine = Machine {
        memory: false,
        ..Machine::booted()
    };
    let text = printed(&machine, &["exits"]);
    assert!(text.contains("need not add up"), "{text}");
    assert!(text.contains("2,000"), "{text}");
}

#[test]
fn an_unknown_reason_or_cpu_is_a_wrong_command_line() {
    assert_eq!(failure(&Machine::booted(), &["exits", "--reason=35"]).0, 2);
    let (status, message) = failure(&Machine::booted(), &["exits", "--cpu=7"]);
    assert_eq!(
        (status, message.contains("CPUs 0,1")),
        (2, true),
        "{message}"
    );
}

#[test]
fn each_machine_without_statistics_has_its_own_message() {
    let zeros = Machine::stock();
    assert_snapshot!("stock_kvm_zeros", failure(&zeros, &["exits"]).1);
    let highest = Machine {
        otherwise: exit_stats::abi::Regs {
            eax: 7,
            ebx: 0x340,
            ecx: 0x340,
            edx: 0,
        },
        ..Machine::stock()
    };
    assert_snapshot!("stock_kvm_highest_leaf", failure(&highest, &["exits"]).1);
    let metal = Machine {
        hypervisor: None,
        ..Machine::stock()
    };
    assert_snapshot!("bare_metal", failure(&metal, &["exits"]).1);
    let amd = Machine {
        vendor: b"AuthenticAMD",
        ..Machine::stock()
    };
    assert_snapshot!("amd_guest", failure(&amd, &["exits"]).1);
    let vmware = Machine {
        hypervisor: Some(b"VMwareVMware"),
        ..Machine::stock()
    };
    assert_snapshot!("vmware", failure(&vmware, &["exits"]).1);
    for machine in [zeros, highest, metal, amd, vmware] {
        assert_eq!(failure(&machine, &["exits"]).0, 3);
        assert_eq!(failure(&machine, &["check"]).0, 3);
    }
}

#[test]
fn a_host_without_discovery_is_read_by_the_layout_that_is_named() {
    for (number, name) in [(0, "spring22"), (1, "fall22"), (2, "combined")] {
        let mut machine = Machine {
            discovery: false,
            ..Machine::booted()
        };
        machine.config.as_mut().unwrap().layout = number;
        assert_eq!(failure(&machine, &["exits"]).0, 3);
        let view = view(&machine, &["exits", "--layout", name]);
        assert_eq!(view.row(48).unwrap().exits, 2_000, "{name}");
        assert_eq!(view.row(48).unwrap().cycles != 0, number != 2, "{name}");
        assert!(
            view.total.exits > 4_000 && view.total.cycles > 4_000_000,
            "{name}"
        );
    }
    let (status, message) = failure(&Machine::stock(), &["exits", "--layout", "fall22"]);
    assert_eq!(status, 3);
    assert_snapshot!("layout_that_is_not_there", message);
    let (status, message) = failure(&Machine::booted(), &["exits", "--layout", "fall22"]);
    assert_eq!(
        (status, message.contains("spring22")),
        (2, true),
        "{message}"
    );
}

#[test]
fn a_leaf_is_printed_as_the_cpuid_program_does() {
    let machine = Machine::booted();
    assert_snapshot!(
        "leaf",
        printed(
            &machine,
            &["leaf", "0x4ffffffd", "-s", "11-12", "--all-cpus"]
        )
    );
    let undefined = printed(&machine, &["leaf", "0x4ffffffd", "-s", "444"]);
    assert_eq!(
        undefined,
        "CPU:\n   0x4ffffffd 0x1bc: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0xffffffff\n"
    );
    let json = printed(&machine, &["leaf", "0x4ffffffd", "-s", "12", "--json"]);
    assert!(json.contains("\"eax\": 150,"), "{json}");
}

#[test]
fn check_finds_all_rules_kept_and_a_broken_one() {
    let machine = Machine::booted();
    assert_snapshot!("check", printed(&machine, &["check", "--random", "10000"]));
    let mut machine = Machine::booted();
    machine.config.as_mut().unwrap().tsc_khz = 0;
    let (result, text) = run(&machine, &["check"]);
    assert_eq!(result.unwrap(), 1);
    assert!(text.starts_with("FAIL  discovery"), "{text}");
}

#[test]
fn what_cannot_occur_is_asked_for_once() {
    let mut machine = Machine::booted();
    // Reasons 64 and above are not enabled, and all below are.
    machine.config.as_mut().unwrap().enabled = [!0, 0, 0];
    let cpu = Counted::new(&machine);
    let guest = Guest::open(&cpu, None, None).unwrap();
    let wanted = |states| Wanted {
        states,
        ..Wanted::LEAST
    };
    let first = guest.read(wanted(true)).unwrap();
    let second = guest.read(wanted(false)).unwrap();
    assert_eq!(first.reasons.len(), second.reasons.len());
    assert!(second.read_exits < 86, "{}", second.read_exits);
    // After a migration it can: the sum tells.
    machine.exit(68, 1_000);
    assert_eq!(guest.read(wanted(false)).unwrap().row(68).unwrap().exits, 1);
}

#[test]
fn what_a_source_does_not_have_is_refused() {
    for words in [
        &["exits", "--vm", "web1", "--vcpu", "7"][..],
        &["exits", "--host", "--vcpu", "7"],
        &["exits", "--from", "x.json", "--vcpu", "7"],
        &["exits", "--vm", "web1", "--per-vcpu"],
        &["exits", "--host", "--per-vcpu"],
        &["exits", "--from", "x.json", "--per-vcpu"],
        &["exits", "--vcpu", "7"],
        &["watch", "--vm", "web1", "--vcpu", "7"],
    ] {
        use clap::Parser;
        let parsed = vmxscope::args::Cli::try_parse_from(["vmxscope"].iter().chain(words));
        assert!(parsed.is_err(), "{words:?}");
    }
}

#[test]
fn counters_of_a_reason_that_start_anew_are_noticed_though_the_total_grew() {
    let before = view(&Machine::booted(), &["exits"]);
    let mut after = before.clone();
    after.total.exits += 1_000;
    assert!(after.since(&before).is_some());
    after
        .reasons
        .iter_mut()
        .find(|row| row.reason == 12)
        .unwrap()
        .exits -= 1;
    assert_eq!(after.since(&before), None);
}

#[test]
fn the_heading_and_the_total_are_bold_and_nothing_else() {
    use clap::Parser;
    use vmxscope::output::{Look, Output};
    let cli = vmxscope::args::Cli::parse_from(["vmxscope", "exits"]);
    let look = Look {
        color: true,
        ..Look::PLAIN
    };
    let mut text = Vec::new();
    vmxscope::run(&cli, &Machine::booted(), &mut Output::new(&mut text, look)).unwrap();
    let text = String::from_utf8(text).unwrap();
    let bold: Vec<bool> = text
        .lines()
        .map(|line| line.starts_with("\x1b[1m"))
        .collect();
    let total = text
        .lines()
        .position(|line| line.contains("All exits"))
        .unwrap();
    let expected: Vec<bool> = (0..bold.len())
        .map(|line| line == 0 || line == total)
        .collect();
    assert_eq!(bold, expected, "{text}");
}

#[test]
fn a_guest_is_served_from_beside_kvm_too_which_cannot_tell_of_entries() {
    let mut machine = Machine::booted();
    machine.config.as_mut().unwrap().beside = true;
    let text = common::printed(&machine, &["exits"]);
    assert!(text.contains("All exits"), "{text}");
    let json = common::printed(&machine, &["exits", "--json"]);
    assert!(
        json.contains("\"counted_by\": \"vmx_exits\"") && !json.contains("_entries\""),
        "{json}"
    );
    let metrics = common::printed(&machine, &["exits", "--prometheus"]);
    assert!(
        !metrics.contains("vmxscope_failed_entries_total{"),
        "{metrics}"
    );
}
