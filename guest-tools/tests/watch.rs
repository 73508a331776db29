// SPDX-License-Identifier: GPL-2.0
//! Expect that the live screen shows what happened, in any size, and obeys its keys.

mod common;

use std::time::Duration;

use common::Machine;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use insta::assert_snapshot;
use ratatui::backend::TestBackend;
use ratatui::Terminal;
use vmxscope::guest::{Guest, Wanted};
use vmxscope::processor::Counted;
use vmxscope::watch::{act, draw, Act, Model};

/// A model that was read twice, a second apart.
fn model() -> Model {
    let machine = Machine::booted();
    let cpu = Counted::new(&machine);
    let guest = Guest::open(&cpu, None, None).unwrap();
    let wanted = Wanted {
        extras: true,
        histograms: true,
        states: false,
    };
    let first = guest.read(wanted).unwrap();
    for n in 0..900 {
        machine.exit(48, 4_000 + n * 20);
    }
    (0..70).for_each(|n| machine.exit(30, 30_000 + n));
    let mut second = guest.read(wanted).unwrap();
    second.unix_ms = first.unix_ms + 1_000;
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

#[test]
fn no_size_is_too_small_or_too_large() {
    let mut model = model();
    for help in [false, true] {
        for (width, height) in [(1, 1), (2, 40), (20, 5), (40, 12), (79, 3), (300, 100)] {
            screen(&model, width, height);
        }
        if !help {
            press(&mut model, "?");
        }
    }
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
