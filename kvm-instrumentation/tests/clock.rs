// SPDX-License-Identifier: GPL-2.0
//! Expect that time is charged to the right exit and to the right account.

use exit_stats::clock::{Epochs, Event, Vcpu};
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
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    for (start, cycles) in [(1000, 300), (2000, 100), (3000, 200)] {
        vcpu.exit(&epochs, 10, false, start);
        vcpu.handled(&epochs, None, start + cycles);
    }
    assert_eq!(figures(&vcpu, 10), [3, 600, 100, 300, 0, 0, 0, 0]);
    // A second return, as after a fastpath, belongs to no exit.
    vcpu.handled(&epochs, None, 9000);
    assert_eq!(figures(&vcpu, 10), [3, 600, 100, 300, 0, 0, 0, 0]);
}

#[test]
fn an_exit_counts_even_if_its_handler_never_returns() {
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    vcpu.exit(&epochs, 10, true, 1000);
    vcpu.exit(&epochs, 12, false, 2000);
    vcpu.handled(&epochs, None, 2050);
    assert_eq!(figures(&vcpu, 10), [1, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(figures(&vcpu, 12), [1, 50, 50, 50, 0, 0, 0, 0]);
}

#[test]
fn sleep_and_userspace_are_charged_to_the_exit_that_led_there() {
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    let event = |event, tsc| vcpu.event(&epochs, event, tsc);
    vcpu.exit(&epochs, 12, false, 1000);
    vcpu.handled(&epochs, None, 1010);
    event(Event::BlockBegin, 1020);
    // A sleeping thread is scheduled out: that is what blocked time is.
    event(Event::SchedOut, 1030);
    event(Event::SchedIn, 5000);
    event(Event::BlockEnd, 5020);
    vcpu.exit(&epochs, 30, false, 6000);
    vcpu.handled(&epochs, None, 6010);
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
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    vcpu.exit(&epochs, 48, false, 1000);
    vcpu.event(&epochs, Event::SchedOut, 1100);
    vcpu.event(&epochs, Event::SchedIn, 9000);
    vcpu.event(&epochs, Event::SchedOut, 9010);
    // On a CPU whose clock is behind.
    vcpu.event(&epochs, Event::SchedIn, 500);
    vcpu.handled(&epochs, None, 503);
    assert_eq!(figures(&vcpu, 48), [1, 113, 113, 113, 0, 0, 0, 0]);
}

#[test]
fn a_clock_read_before_being_scheduled_out_is_not_taken_for_a_broken_one() {
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    vcpu.exit(&epochs, 48, false, 1000);
    let tsc = 1090;
    vcpu.event(&epochs, Event::SchedOut, 1100);
    vcpu.event(&epochs, Event::SchedIn, 9000);
    vcpu.handled(&epochs, None, tsc);
    assert_eq!(figures(&vcpu, 48), [1, 100, 100, 100, 0, 0, 0, 0]);
}

#[test]
fn a_clock_that_stands_still_or_goes_back_drops_the_timing_but_not_the_exit() {
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    for tsc in [1000, 999, 0] {
        vcpu.exit(&epochs, 31, false, 1000);
        vcpu.handled(&epochs, None, tsc);
    }
    assert_eq!(figures(&vcpu, 31), [3, 0, 0, 0, 0, 0, 0, 3]);
    vcpu.event(&epochs, Event::BlockBegin, 2000);
    vcpu.event(&epochs, Event::BlockEnd, 1999);
    vcpu.exit(&epochs, 31, false, 3000);
    vcpu.event(&epochs, Event::SchedOut, 2999);
    vcpu.event(&epochs, Event::SchedIn, 4000);
    vcpu.handled(&epochs, None, 5000);
    assert_eq!(figures(&vcpu, 31), [4, 0, 0, 0, 0, 0, 0, 5]);
    vcpu.exit(&epochs, 31, false, u64::MAX - 1);
    vcpu.handled(&epochs, None, u64::MAX);
    assert_eq!(figures(&vcpu, 31), [5, 1, 1, 1, 0, 0, 0, 5]);
}

#[test]
fn failed_and_emulated_entries_are_no_exits() {
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    vcpu.event(&epochs, Event::EntryFailed, 0);
    vcpu.event(&epochs, Event::EntryEmulated, 0);
    vcpu.event(&epochs, Event::EntryEmulated, 0);
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
    let (vcpu, epochs) = (Vcpu::default(), Epochs::new());
    vcpu.exit(&epochs, 10, false, 1000);
    epochs.arm(false);
    vcpu.handled(&epochs, None, 1100);
    assert_eq!(figures(&vcpu, 10), [1, 0, 0, 0, 0, 0, 0, 0]);
    // Switched off: some places record, others do not any more.
    vcpu.exit(&epochs, 10, false, 2000);
    vcpu.handled(&epochs, None, 2100);
    vcpu.exit(&epochs, 10, false, 3000);
    epochs.arm(true);
    vcpu.event(&epochs, Event::SchedIn, 3010);
    vcpu.event(&epochs, Event::BlockEnd, 3020);
    vcpu.handled(&epochs, None, 3100);
    assert_eq!(figures(&vcpu, 10), [3, 0, 0, 0, 0, 0, 0, 0]);
    vcpu.exit(&epochs, 10, false, 4000);
    epochs.arm(true);
    vcpu.handled(&epochs, None, 4100);
    assert_eq!(figures(&vcpu, 10), [4, 0, 0, 0, 0, 0, 0, 0]);
    vcpu.exit(&epochs, 10, false, 5000);
    vcpu.handled(&epochs, None, 5100);
    assert_eq!(figures(&vcpu, 10), [5, 100, 100, 100, 0, 0, 0, 0]);
}

/// The same rules, told naively: instants are kept, times are made at the end.
#[derive(Default)]
struct Model {
    figures: Vec<[u64; 8]>,
    buckets: Vec<[u64; 64]>,
    latest: Option<Latest>,
    armed: bool,
}

struct Latest {
    row: usize,
    timed: bool,
    phase: Phase,
    /// Ends of stretches of running that are over.
    stretches: Vec<(u64, u64)>,
    begin: u64,
}

#[derive(PartialEq)]
enum Phase {
    Handling,
    Away,
    Handled,
    Blocked,
    User,
}

impl Model {
    fn step(&mut self, action: &Action, tsc: u64) {
        if let Action::Arm(on) = action {
            self.armed = *on;
            self.latest = None;
            return;
        }
        if let Action::Exit(number, l2) = *action {
            let row = (number as usize & 0xffff).min(86);
            self.figures[row][0] += 1;
            self.figures[row][6] += u64::from(l2);
            self.latest = self.armed.then_some(Latest {
                row,
                timed: false,
                phase: Phase::Handling,
                stretches: vec![],
                begin: tsc,
            });
            return;
        }
        let Some(latest) = &mut self.latest else {
            return;
        };
        let figures = &mut self.figures[latest.row];
        match (action, &latest.phase) {
            (Action::Handled, Phase::Handling) => {
                latest.phase = Phase::Handled;
                let first = latest.stretches.is_empty();
                if first && tsc <= latest.begin {
                    figures[7] += 1;
                    return;
                }
                latest.stretches.push((latest.begin, tsc.max(latest.begin)));
                let cycles: u64 = latest.stretches.iter().map(|(a, b)| b - a).sum();
                if cycles == 0 {
                    figures[7] += 1;
                    return;
                }
                assert!(!std::mem::replace(&mut latest.timed, true));
                figures[1] += cycles;
                figures[2] = match figures[2] {
                    0 => cycles,
                    min => min.min(cycles),
                };
                figures[3] = figures[3].max(cycles);
                self.buckets[latest.row][cycles.ilog2() as usize] += 1;
            }
            (Action::Event(Event::SchedOut), Phase::Handling) => {
                if tsc < latest.begin {
                    figures[7] += 1;
                    latest.phase = Phase::Handled;
                } else {
                    latest.stretches.push((latest.begin, tsc));
                    latest.phase = Phase::Away;
                }
            }
            (Action::Event(Event::SchedIn), Phase::Away) => {
                latest.begin = tsc;
                latest.phase = Phase::Handling;
            }
            (Action::Event(Event::BlockBegin), Phase::Handled | Phase::Blocked | Phase::User) => {
                latest.begin = tsc;
                latest.phase = Phase::Blocked;
            }
            (Action::Event(Event::UserBegin), Phase::Handled | Phase::Blocked | Phase::User) => {
                latest.begin = tsc;
                latest.phase = Phase::User;
            }
            (Action::Event(event), Phase::Blocked | Phase::User) => {
                let account = match (event, &latest.phase) {
                    (Event::BlockEnd, Phase::Blocked) => 4,
                    (Event::UserEnd, Phase::User) => 5,
                    _ => return,
                };
                latest.phase = Phase::Handled;
                match tsc.checked_sub(latest.begin) {
                    Some(cycles) => figures[account] += cycles,
                    None => figures[7] += 1,
                }
            }
            _ => (),
        }
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
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_sequence_of_events_is_accounted_as_the_naive_model_does(actions in actions()) {
        let (vcpu, epochs, hist) = (Vcpu::default(), Epochs::new(), Hist::default());
        let mut model = Model {
            figures: vec![[0; 8]; 87],
            buckets: vec![[0; 64]; 87],
            armed: true,
            ..Model::default()
        };
        let mut tsc = 1_u64 << 40;
        for (action, step) in &actions {
            tsc = tsc.saturating_add_signed(*step);
            match *action {
                Action::Exit(number, l2) => vcpu.exit(&epochs, number, l2, tsc),
                Action::Handled => vcpu.handled(&epochs, Some(&hist), tsc),
                Action::Event(event) => vcpu.event(&epochs, event, tsc),
                Action::Arm(on) => epochs.arm(on),
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
