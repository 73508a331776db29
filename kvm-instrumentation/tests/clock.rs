// SPDX-License-Identifier: GPL-2.0
//! Expect that time is charged to the right exit and to the right account.

use exit_stats::clock::{Armed, Event, Vcpu};
use exit_stats::counters::{Figure, Scope};
use exit_stats::hist::Hist;
use proptest::prelude::*;

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
fn handling_is_from_the_exit_to_the_handlers_return() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    for (start, cycles) in [(1000, 300), (2000, 100), (3000, 200)] {
        vcpu.exit(10, false, start);
        vcpu.handled(&armed, None, start + cycles);
    }
    assert_eq!(figures(&vcpu, 10), [3, 600, 100, 300, 0, 0, 0, 0]);
    // A second return, as after a fastpath, belongs to no exit.
    vcpu.handled(&armed, None, 9000);
    assert_eq!(figures(&vcpu, 10), [3, 600, 100, 300, 0, 0, 0, 0]);
}

#[test]
fn an_exit_counts_when_it_has_been_handled() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    vcpu.exit(10, true, 1000);
    assert_eq!(figures(&vcpu, 10), [0; 8]);
    // Handling it is entering the guest again: nothing is between the two.
    vcpu.handled(&armed, None, 1010);
    vcpu.exit(12, false, 1010);
    vcpu.handled(&armed, None, 1060);
    assert_eq!(figures(&vcpu, 10), [1, 10, 10, 10, 0, 0, 1, 0]);
    assert_eq!(figures(&vcpu, 12), [1, 50, 50, 50, 0, 0, 0, 0]);
}

#[test]
fn sleep_and_userspace_are_charged_to_the_exit_that_led_there() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    let event = |event, tsc| vcpu.event(&armed, event, tsc);
    vcpu.exit(12, false, 1000);
    vcpu.handled(&armed, None, 1010);
    event(Event::BlockBegin, 1020);
    // A sleeping thread is scheduled out: that is what blocked time is.
    event(Event::SchedOut, 1030);
    event(Event::SchedIn, 5000);
    event(Event::BlockEnd, 5020);
    vcpu.exit(30, false, 6000);
    vcpu.handled(&armed, None, 6010);
    event(Event::UserBegin, 6020);
    event(Event::UserEnd, 8020);
    // These have no beginning.
    event(Event::UserEnd, 9000);
    event(Event::BlockEnd, 9000);
    assert_eq!(figures(&vcpu, 12), [1, 10, 10, 10, 4000, 0, 0, 0]);
    assert_eq!(figures(&vcpu, 30), [1, 10, 10, 10, 0, 2000, 0, 0]);
}

#[test]
fn time_scheduled_out_is_not_handling_time() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    vcpu.exit(48, false, 1000);
    vcpu.event(&armed, Event::SchedOut, 1100);
    vcpu.event(&armed, Event::SchedIn, 9000);
    vcpu.event(&armed, Event::SchedOut, 9010);
    // On a CPU whose clock is behind.
    vcpu.event(&armed, Event::SchedIn, 500);
    vcpu.handled(&armed, None, 503);
    assert_eq!(figures(&vcpu, 48), [1, 113, 113, 113, 0, 0, 0, 0]);
}

#[test]
fn a_clock_read_before_being_scheduled_out_is_not_taken_for_a_broken_one() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    vcpu.exit(48, false, 1000);
    let tsc = 1090;
    vcpu.event(&armed, Event::SchedOut, 1100);
    vcpu.event(&armed, Event::SchedIn, 9000);
    vcpu.handled(&armed, None, tsc);
    assert_eq!(figures(&vcpu, 48), [1, 100, 100, 100, 0, 0, 0, 0]);
}

#[test]
fn a_clock_that_stands_still_or_goes_back_drops_the_timing_but_not_the_exit() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    for tsc in [1000, 999, 0] {
        vcpu.exit(31, false, 1000);
        vcpu.handled(&armed, None, tsc);
    }
    assert_eq!(figures(&vcpu, 31), [3, 0, 0, 0, 0, 0, 0, 3]);
    vcpu.event(&armed, Event::BlockBegin, 2000);
    vcpu.event(&armed, Event::BlockEnd, 1999);
    vcpu.exit(31, false, 3000);
    vcpu.event(&armed, Event::SchedOut, 2999);
    vcpu.event(&armed, Event::SchedIn, 4000);
    vcpu.handled(&armed, None, 5000);
    assert_eq!(figures(&vcpu, 31), [4, 0, 0, 0, 0, 0, 0, 5]);
    vcpu.exit(31, false, u64::MAX - 1);
    vcpu.handled(&armed, None, u64::MAX);
    assert_eq!(figures(&vcpu, 31), [5, 1, 1, 1, 0, 0, 0, 5]);
}

#[test]
fn time_after_an_entry_that_is_no_exit_is_charged_to_no_reason() {
    for event in [Event::EntryFailed, Event::EntryEmulated] {
        let (vcpu, armed) = (Vcpu::default(), Armed::new());
        vcpu.exit(10, false, 100);
        vcpu.handled(&armed, None, 150);
        vcpu.event(&armed, event, 200);
        vcpu.event(&armed, Event::UserBegin, 300);
        vcpu.event(&armed, Event::UserEnd, 400);
        vcpu.event(&armed, Event::BlockBegin, 500);
        vcpu.event(&armed, Event::BlockEnd, 600);
        assert_eq!(figures(&vcpu, 10), [1, 50, 50, 50, 0, 0, 0, 0], "{event:?}");
        // The next exit is charged again.
        vcpu.exit(30, false, 700);
        vcpu.handled(&armed, None, 750);
        vcpu.event(&armed, Event::UserBegin, 800);
        vcpu.event(&armed, Event::UserEnd, 900);
        assert_eq!(value(&vcpu, 30, Figure::User), 100);
    }
}

#[test]
fn failed_and_emulated_entries_are_no_exits() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    vcpu.event(&armed, Event::EntryFailed, 0);
    vcpu.event(&armed, Event::EntryEmulated, 0);
    vcpu.event(&armed, Event::EntryEmulated, 0);
    assert_eq!(value(&vcpu, 0xfffe, Figure::Exits), 1);
    assert_eq!(value(&vcpu, 0xfffd, Figure::Exits), 2);
    assert_eq!(value(&vcpu, 0xffff, Figure::Exits), 0);
    assert_eq!(
        vcpu.counters().value(None, Scope::Failed, Figure::Cycles),
        None
    );
}

#[test]
fn no_exit_is_timed_across_a_switch_of_the_key() {
    let (vcpu, armed) = (Vcpu::default(), Armed::new());
    vcpu.exit(10, false, 1000);
    armed.arm(false, 1050);
    vcpu.handled(&armed, None, 1100);
    assert_eq!(figures(&vcpu, 10), [1, 0, 0, 0, 0, 0, 0, 0]);
    // Switched off: some places record, others do not any more.
    vcpu.exit(10, false, 2000);
    vcpu.event(&armed, Event::SchedOut, 2010);
    vcpu.handled(&armed, None, 2100);
    vcpu.exit(10, true, 3000);
    armed.arm(true, 3005);
    vcpu.event(&armed, Event::SchedIn, 3010);
    vcpu.event(&armed, Event::BlockEnd, 3020);
    vcpu.handled(&armed, None, 3100);
    vcpu.event(&armed, Event::UserBegin, 3110);
    vcpu.event(&armed, Event::UserEnd, 3120);
    assert_eq!(figures(&vcpu, 10), [3, 0, 0, 0, 0, 0, 1, 0]);
    vcpu.exit(10, false, 4000);
    vcpu.event(&armed, Event::SchedOut, 4010);
    armed.arm(true, 4050);
    vcpu.handled(&armed, None, 4100);
    assert_eq!(figures(&vcpu, 10), [4, 0, 0, 0, 0, 0, 1, 0]);
    // Latched, and the key was off when the handler returned: it is counted late.
    vcpu.exit(10, false, 4200);
    armed.arm(false, 4210);
    armed.arm(true, 4220);
    vcpu.handled(&armed, None, 4900);
    assert_eq!(figures(&vcpu, 10), [5, 0, 0, 0, 0, 0, 1, 0]);
    vcpu.exit(10, false, 5000);
    vcpu.handled(&armed, None, 5100);
    assert_eq!(figures(&vcpu, 10), [6, 100, 100, 100, 0, 0, 1, 0]);
}

/// The same rules, told naively: instants are kept, times are made at the end.
#[derive(Default)]
struct Model {
    figures: Vec<[u64; 8]>,
    buckets: Vec<[u64; 64]>,
    latest: Option<Latest>,
    /// When it was armed; `None` is not.
    armed: Option<u64>,
}

struct Latest {
    row: usize,
    l2: bool,
    start: u64,
    /// A clock went back while it was handled.
    broken: bool,
    phase: Phase,
    /// Stretches of running that are over.
    stretches: Vec<(u64, u64)>,
    begin: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Handling,
    Away,
    Handled,
    Blocked,
    User,
}

impl Model {
    fn step(&mut self, action: &Action, tsc: u64) {
        match *action {
            Action::Arm(on) => self.armed = on.then_some(tsc),
            Action::Exit(number, l2) => {
                self.latest = Some(Latest {
                    row: (number as usize & 0xffff).min(86),
                    l2,
                    start: tsc,
                    broken: false,
                    phase: Phase::Handling,
                    stretches: vec![],
                    begin: tsc,
                });
            }
            Action::Handled => self.handled(tsc),
            Action::Event(event) => self.event(event, tsc),
        }
    }

    fn handled(&mut self, tsc: u64) {
        let Some(latest) = &mut self.latest else {
            return;
        };
        let figures = &mut self.figures[latest.row];
        let was = std::mem::replace(&mut latest.phase, Phase::Handled);
        if !matches!(was, Phase::Handling | Phase::Away) {
            latest.phase = was;
            return;
        }
        figures[0] += 1;
        figures[6] += u64::from(latest.l2);
        let timed = self.armed.is_some_and(|armed| latest.start > armed);
        if !timed || latest.broken || was == Phase::Away {
            return;
        }
        if latest.stretches.is_empty() && tsc <= latest.begin {
            figures[7] += 1;
            return;
        }
        latest.stretches.push((latest.begin, tsc.max(latest.begin)));
        let cycles: u64 = latest.stretches.iter().map(|(a, b)| b - a).sum();
        if cycles == 0 {
            figures[7] += 1;
            return;
        }
        figures[1] += cycles;
        figures[2] = match figures[2] {
            0 => cycles,
            min => min.min(cycles),
        };
        figures[3] = figures[3].max(cycles);
        self.buckets[latest.row][cycles.ilog2() as usize] += 1;
    }

    fn event(&mut self, event: Event, tsc: u64) {
        let Some(latest) = &mut self.latest else {
            return;
        };
        let timed = self.armed.is_some_and(|armed| latest.start > armed);
        if !timed || latest.broken {
            return;
        }
        let figures = &mut self.figures[latest.row];
        let waiting = matches!(latest.phase, Phase::Handled | Phase::Blocked | Phase::User);
        let (phase, account) = match (event, latest.phase) {
            (Event::SchedOut, Phase::Handling) => {
                latest.phase = Phase::Away;
                if tsc < latest.begin {
                    figures[7] += 1;
                    latest.broken = true;
                } else {
                    latest.stretches.push((latest.begin, tsc));
                }
                return;
            }
            (Event::SchedIn, Phase::Away) => (Phase::Handling, None),
            (Event::BlockBegin, _) if waiting => (Phase::Blocked, None),
            (Event::UserBegin, _) if waiting => (Phase::User, None),
            (Event::BlockEnd, Phase::Blocked) => (Phase::Handled, Some(4)),
            (Event::UserEnd, Phase::User) => (Phase::Handled, Some(5)),
            _ => return,
        };
        match account {
            Some(account) if tsc >= latest.begin => figures[account] += tsc - latest.begin,
            Some(_) => figures[7] += 1,
            None => latest.begin = tsc,
        }
        latest.phase = phase;
    }
}

#[derive(Clone, Debug)]
enum Action {
    Exit(u32, bool),
    Handled,
    Event(Event),
    Arm(bool),
}

fn actions() -> impl Strategy<Value = Vec<(Action, i64)>> {
    let action = prop_oneof![
        6 => (prop_oneof![0..90_u32, any::<u32>()], any::<bool>())
            .prop_map(|(number, l2)| Action::Exit(number, l2)),
        6 => Just(Action::Handled),
        // Entries are counted apart and change no timing.
        9 => (0..6_usize).prop_map(|n| Action::Event(Event::ALL[n])),
        1 => any::<bool>().prop_map(Action::Arm),
    ];
    // The clock mostly goes on, by any octave, and sometimes stands or goes back.
    let step = prop_oneof![
        8 => (0..40_u32, any::<u64>()).prop_map(|(k, r)| (r >> (63 - k)) as i64),
        1 => Just(0),
        1 => -1000..0_i64,
    ];
    proptest::collection::vec((action, step), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_sequence_of_events_is_accounted_as_the_naive_model_does(actions in actions()) {
        let (vcpu, armed, hist) = (Vcpu::default(), Armed::new(), Hist::default());
        let mut model = Model {
            figures: vec![[0; 8]; 87],
            buckets: vec![[0; 64]; 87],
            armed: Some(0),
            ..Model::default()
        };
        let mut tsc = 1_u64 << 40;
        for (action, step) in &actions {
            tsc = tsc.saturating_add_signed(*step);
            match *action {
                Action::Exit(number, l2) => vcpu.exit(number, l2, tsc),
                Action::Handled => vcpu.handled(&armed, Some(&hist), tsc),
                Action::Event(event) => vcpu.event(&armed, event, tsc),
                Action::Arm(on) => armed.arm(on, tsc),
            }
            model.step(action, tsc);
        }
        use Figure::*;
        let all = [Exits, Cycles, Min, Max, Blocked, User, L2, Dropped];
        for (n, figure) in all.into_iter().enumerate() {
            let column: Vec<u64> = vcpu.counters().column(figure).collect();
            let expected: Vec<u64> = model.figures.iter().map(|row| row[n]).collect();
            prop_assert_eq!(column, expected, "{:?}", figure);
        }
        for (row, buckets) in model.buckets.iter().enumerate() {
            for (k, expected) in (0..).zip(buckets) {
                prop_assert_eq!(hist.get(row, k), Some(*expected));
            }
        }
    }
}
