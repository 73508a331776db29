// SPDX-License-Identifier: GPL-2.0
//! Expect that the live screen shows what happened, in any size, and obeys its keys.

mod common;

use std::time::Duration;

use common::host::host;
use common::Machine;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use insta::assert_snapshot;
use ratatui::backend::TestBackend;
use ratatui::Terminal;
use vmxscope::causes::names::Names;
use vmxscope::guest::{Guest, Wanted};
use vmxscope::host::Host;
use vmxscope::processor::Counted;
use vmxscope::units;
use vmxscope::view::Counter;
use vmxscope::vms;
use vmxscope::watch::{act, draw, Act, Fleet, Model};

/// A model that was read twice, a second apart.
fn model() -> Model {
    let machine = Machine::booted();
    let cpu = Counted::new(&machine);
    let guest = Guest::open(&cpu, None, None).unwrap();
    let wanted = Wanted::ALL;
    let first = guest.read(wanted).unwrap();
    for n in 0..900 {
        machine.exit(48, 4_000 + n * 20);
    }
    (0..70).for_each(|n| machine.exit(30, 30_000 + n));
    let mut second = guest.read(wanted).unwrap();
    second.monotonic_ns = first.monotonic_ns.map(|ns| ns + 1_000_000_000);
    let mut model = Model::new(first, Duration::from_secs(1));
    model.update(second);
    model
}

fn screen(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let lines = (0..height).map(|y| {
        let line: String = (0..width)
            .map(|x| buffer[(x, y)].symbol().to_string())
            .collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

fn press(model: &mut Model, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            'v' => KeyCode::Down,
            'V' => KeyCode::Char('v'),
            key => KeyCode::Char(key),
        };
        assert_eq!(
            act(model, KeyEvent::new(code, KeyModifiers::NONE)),
            Act::Stay
        );
    }
}

#[test]
fn a_screen_of_80_by_24_has_it_all() {
    assert_snapshot!(screen(&model(), 80, 24));
}

/// All that a screen may show of these rows in a column of figures.
fn figures_of(model: &Model) -> Vec<String> {
    let lines = model.lines();
    let cells = lines.iter().flat_map(|line| {
        let view = model.now();
        let clock = |cycles| units::time(view.nanoseconds(cycles).unwrap());
        [
            line.row.reason.to_string(),
            units::grouped(line.row.exits),
            units::grouped(line.rate.round() as u64),
            clock(line.row.cycles),
            clock(line.row.average().unwrap()),
            format!("{:.0}%", line.share * 100.0),
        ]
    });
    cells.collect()
}

#[test]
fn no_size_cuts_a_figure_and_none_is_too_small_or_too_large() {
    // The largest figures that fit in, and usual ones.
    let mut large = model();
    let mut view = large.now().clone();
    for row in &mut view.reasons {
        row.exits += 5_000_000_000;
        row.cycles += 80_000_000_000_000;
        view.total.exits += 5_000_000_000;
        view.total.cycles += 80_000_000_000_000;
    }
    view.monotonic_ns = view.monotonic_ns.map(|ns| ns + 1_000_000_000);
    large.update(view);
    for mut model in [large, model()] {
        let whole = figures_of(&model);
        for (width, height) in [
            (30, 12),
            (45, 12),
            (57, 19),
            (58, 19),
            (59, 19),
            (60, 19),
            (61, 19),
            (80, 19),
            (97, 19),
            (300, 100),
        ] {
            let screen = screen(&model, width, height);
            let lines = screen.lines().skip_while(|line| !line.contains("reason"));
            let rows: Vec<&str> = lines.skip(1).take(model.lines().len()).collect();
            assert!(!rows.is_empty(), "{width}: {screen}");
            let head = screen.lines().find(|line| line.contains("reason")).unwrap();
            for title in head
                .split("  ")
                .map(str::trim)
                .filter(|title| !title.is_empty())
            {
                let known = [
                    "no.", "reason", "exits", "exits/s", "time", "average", "of time",
                ];
                assert!(known.contains(&title), "{title} at {width}: {screen}");
            }
            for row in rows {
                // Bars and names are no figures.
                let words = row.split([' ', '\u{2588}']);
                let figures = words.filter(|word| word.contains(|c: char| c.is_ascii_digit()));
                for figure in figures {
                    assert!(
                        whole.iter().any(|known| known == figure),
                        "{figure} at {width}: {screen}"
                    );
                }
            }
        }
        for help in [false, true] {
            for (width, height) in [(1, 1), (2, 40), (20, 5), (40, 12), (79, 3), (300, 100)] {
                screen(&model, width, height);
            }
            if !help {
                press(&mut model, "?");
            }
        }
    }
}

#[test]
fn rows_are_sorted_by_what_the_last_interval_had() {
    let mut model = model();
    // Since the base EPT violations took most, in the next second HLT does.
    let mut view = model.now().clone();
    for row in view.reasons.iter_mut().filter(|row| row.reason == 12) {
        row.exits += 10;
        row.cycles += 1_000_000;
    }
    view.total.exits += 10;
    view.total.cycles += 1_000_000;
    view.monotonic_ns = view.monotonic_ns.map(|ns| ns + 1_000_000_000);
    model.update(view);
    let order: Vec<u32> = model.lines().iter().map(|line| line.row.reason).collect();
    assert_eq!(order[..2], [12, 48]);
    press(&mut model, "s");
    assert_eq!(model.lines()[0].row.reason, 12);
}

#[test]
fn a_reading_without_histograms_keeps_those_of_before() {
    let mut model = model();
    let before = model.histogram_of(48).unwrap().histogram.clone();
    let mut view = model.now().clone();
    view.reasons
        .iter_mut()
        .for_each(|row| row.histogram.clear());
    model.keep_histograms(&mut view);
    model.update(view);
    assert_eq!(model.histogram_of(48).unwrap().histogram, before);
}

#[test]
fn keys_sort_filter_choose_and_reset() {
    let mut model = model();
    press(&mut model, "s");
    assert!(screen(&model, 100, 24).contains("of exits"));
    press(&mut model, "v");
    assert!(
        screen(&model, 100, 24).contains("CPUID: handling time")
            || screen(&model, 100, 24).contains("I/O instruction: handling time")
    );
    press(&mut model, "/ept\n");
    let filtered = screen(&model, 100, 24);
    assert!(
        filtered.contains("EPT violation") && !filtered.contains("I/O instruction"),
        "{filtered}"
    );
    press(&mut model, "\x1b?");
    assert!(screen(&model, 100, 24).contains("sort by time, by count, by number"));
    press(&mut model, "?p");
    assert!(screen(&model, 100, 24).contains("PAUSED"));
    press(&mut model, "pr");
    assert!(screen(&model, 100, 24).contains("0 exits counted"));
    press(&mut model, "+++");
    assert_eq!(model.interval(), Duration::from_secs(8));
    let quit = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
    assert_eq!(act(&mut model, quit), Act::Quit);
}

#[test]
fn counters_that_start_anew_are_noticed() {
    let mut model = model();
    let mut anew = model.now().clone();
    anew.total.exits = 1;
    model.update(anew);
    assert!(screen(&model, 100, 24).contains("started anew 1 times"));
}

#[test]
fn all_vms_are_shown_by_rate_and_enter_opens_one() {
    let folder = host("fleet");
    let of = || {
        let host = Host::open(&folder.0, &Machine::patched()).unwrap();
        vms::each(&host).unwrap().0
    };
    let mut fleet = Fleet::new(Counter::VmxExits, of(), Duration::from_secs(1));
    // In the next second the VM with the higher number has all the exits.
    let mut later = of();
    for ((_, view), (_, before)) in later.iter_mut().zip(of()) {
        view.monotonic_ns = before.monotonic_ns.map(|ns| ns + 1_000_000_000);
    }
    let (vm, view) = later.iter_mut().find(|(vm, _)| vm.pid == 4211).unwrap();
    assert_eq!(vm.name, "web1");
    view.total.exits += 1_234;
    let row = view
        .reasons
        .iter_mut()
        .find(|row| row.reason == 48)
        .unwrap();
    (row.exits, row.cycles) = (row.exits + 1_234, row.cycles + 9_000);
    fleet.update(later);
    let show = |fleet: &Fleet| {
        let mut terminal = Terminal::new(TestBackend::new(90, 8)).unwrap();
        terminal.draw(|frame| fleet.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let cells = buffer.content.iter().map(|cell| cell.symbol().to_string());
        cells
            .collect::<Vec<String>>()
            .chunks(90)
            .map(|line| line.concat())
            .collect::<Vec<String>>()
    };
    let lines = show(&fleet);
    assert!(
        lines[2].contains("web1") && lines[2].contains("EPT violation"),
        "{lines:#?}"
    );
    assert!(lines[3].contains("firecracker-977"), "{lines:#?}");
    // The second view is read a little after the first, by the clock of the test.
    assert!(lines[0].contains("2 VMs of this host"), "{lines:#?}");
    let counter = "counted by vmx_exits, beside KVM";
    assert!(lines[0].contains(counter), "{lines:#?}");
    let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
    let opened = |act: Act| match act {
        Act::Open(vm) => vm.pid,
        other => panic!("{other:?}"),
    };
    assert_eq!(opened(fleet.act(key(KeyCode::Enter))), 4211);
    fleet.act(key(KeyCode::Down));
    assert_eq!(opened(fleet.act(key(KeyCode::Enter))), 977);
    assert_eq!(fleet.act(key(KeyCode::Char('q'))), Act::Quit);
}

#[test]
fn each_vcpu_is_shown_with_where_its_time_went_and_what_it_does() {
    let folder = host("vcpus");
    let host = Host::open(&folder.0, &Machine::patched()).unwrap();
    let vm = host.find("web1").unwrap();
    let file = folder
        .0
        .join("sys/kernel/debug/kvm/4211-14/exit_stats_vcpus");
    let mut model = Model::new(host.read(Some(&vm)).unwrap(), Duration::from_secs(1));
    press(&mut model, "V");
    assert!(screen(&model, 100, 24).contains("watch --vm NAME"));
    for second in [100, 102] {
        std::fs::write(&file, common::host::vcpus(second)).unwrap();
        model.table.update_vcpus(host.vcpus(&vm).unwrap());
    }
    let row = |screen: &str, first: &str| {
        let lines = screen.lines().skip_while(|line| !line.contains("vcpu"));
        let lines = lines.map(str::split_whitespace);
        let mut found = lines.filter(|words| words.clone().next() == Some(first));
        found.next().unwrap().collect::<Vec<&str>>().join(" ")
    };
    let wide = screen(&model, 120, 24);
    assert_eq!(row(&wide, "0"), "0 3,000 75.0% 5.0% 20.0% 0 0 guest 0");
    assert_eq!(
        row(&wide, "1"),
        "1 0 0 100.0% 0 0 0 handling 102s: I/O instruction"
    );
    let narrow = screen(&model, 40, 24);
    assert!(row(&narrow, "1").starts_with("1 0 0 "), "{narrow}");
    press(&mut model, "V");
    let reasons = screen(&model, 100, 24);
    assert!(reasons.contains("of time"));
    assert!(reasons.contains("counted by KVM itself"), "{reasons}");
    std::fs::write(&file, "vcpu\tphase").unwrap();
    let error = host.vcpus(&vm).unwrap_err().to_string();
    assert!(
        error.contains("exit_stats_vcpus") && error.contains("cut off"),
        "{error}"
    );
}

#[test]
fn what_made_the_exits_of_the_last_interval_is_shown() {
    let machine = Machine::caused();
    let cpu = Counted::new(&machine);
    let guest = Guest::open(&cpu, None, None).unwrap();
    let wanted = Wanted {
        causes: true,
        ..Wanted::LEAST
    };
    let exit = |times, reason, key, cycles| {
        for _ in 0..times {
            let id = reason | exit_stats::abi::CAUSE_HAS_KEY | exit_stats::abi::CAUSE_HAS_RIP;
            let rip = 0xffff_ffff_8100_0004;
            machine.exit_by(exit_stats::causes::Cause { id, key, rip }, cycles);
        }
    };
    exit(50, 32, 0x6e0, 2_000);
    let first = guest.read(wanted).unwrap();
    exit(20, 30, 0x1_0080, 4_000);
    let mut second = guest.read(wanted).unwrap();
    second.monotonic_ns = first.monotonic_ns.map(|ns| ns + 2_000_000_000);
    let mut model = Model::new(first, Duration::from_secs(1));
    model
        .table
        .name_by(Names::read(&Default::default()).unwrap());
    press(&mut model, "c");
    assert!(screen(&model, 80, 24).contains("The next interval shows them."));
    model.update(second);
    let words = |screen: &str, first: &str| {
        let mut lines = screen.lines().map(str::split_whitespace);
        let found = lines.find(|words| words.clone().next() == Some(first));
        found.map(|words| words.collect::<Vec<&str>>().join(" "))
    };
    let wide = screen(&model, 120, 24);
    // The share is of all exits, and most are those by which the figures were read.
    let share = units::percent(20, model.step().unwrap().0.total.exits);
    assert_eq!(
        words(&wide, "10").unwrap(),
        format!(
            "10 {share} 40.0us OUT 0x80, 1 byte POST code, and the delay of outb_p() \
             0xffffffff81000004"
        ),
        "{wide}"
    );
    // What came before is not of this interval.
    assert!(!wide.contains("WRMSR"), "{wide}");
    assert!(words(&screen(&model, 60, 24), "10")
        .unwrap()
        .contains("OUT 0x80, 1 byte"));
    press(&mut model, "/msr\n");
    assert_eq!(words(&screen(&model, 120, 24), "10"), None);
    press(&mut model, "\x1bc");
    assert!(screen(&model, 80, 24).contains("I/O instruction"));
    model.table.toggle_causes();
    model
        .table
        .lacks_causes("this guest's host keeps no causes of exits.".into());
    assert!(screen(&model, 80, 24).contains("keeps no causes"));
}
