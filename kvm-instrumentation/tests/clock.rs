// SPDX-License-Identifier: GPL-2.0
//! Expect that time is charged to the right exit and to the right account, and that the
//! accounts add up to the vCPU's life.

mod vm;

use exit_stats::abi::{
    self, AWAY, BLOCKED, CYCLES, DROPPED, ENTRY, EXITS, GUEST, L2, MAX, MIN, USER,
};
use exit_stats::clock::event;
use proptest::prelude::*;
use vm::{many, Counted};

/// What partitions a vCPU's life.
const TIMES: [u32; 6] = [CYCLES, BLOCKED, USER, AWAY, ENTRY, GUEST];

/// A vCPU whose life begins at 100.
fn entered() -> Counted {
    let vcpu = Counted::vmx();
    vcpu.event(event::USER_END, 100);
    vcpu
}

fn life(vcpu: &Counted) -> u64 {
    let (first, last) = vcpu.vcpu.life();
    last - first
}

#[test]
fn handling_is_from_the_exit_to_the_handlers_return() {
    let vcpu = entered();
    for (start, cycles) in [(1000, 300), (2000, 100), (3000, 200)] {
        vcpu.exit(10, false, start, cycles);
    }
    let figures = [EXITS, CYCLES, MIN, MAX, GUEST, DROPPED];
    // In the guest: from 100, from 1300 and from 2100.
    let expected = [3, 600, 100, 300, 900 + 700 + 900, 0];
    assert_eq!(vcpu.fields(10, figures), expected);
    assert_eq!(vcpu.vcpu.life(), (100, 3200));
}

#[test]
fn an_exit_counts_when_it_has_been_handled() {
    let vcpu = entered();
    vcpu.vcpu.exit(10, true, 1000);
    assert_eq!(vcpu.fields(10, [EXITS, L2]), [0; 2]);
    vcpu.handled(1010);
    vcpu.exit(12, false, 1010, 50);
    assert_eq!(vcpu.fields(10, [EXITS, L2, CYCLES]), [1, 1, 10]);
    assert_eq!(vcpu.fields(12, [EXITS, L2, CYCLES, GUEST]), [1, 0, 50, 0]);
}

#[test]
fn sleep_and_userspace_are_charged_to_the_exit_that_led_there() {
    let vcpu = entered();
    vcpu.exit(12, false, 1000, 10);
    vcpu.event(event::BLOCK_BEGIN, 1020);
    // A sleeping thread is scheduled out: that is what blocked time is.
    vcpu.event(event::SCHED_OUT, 1030);
    vcpu.event(event::SCHED_IN, 5000);
    vcpu.event(event::BLOCK_END, 5020);
    vcpu.exit(30, false, 6000, 10);
    vcpu.event(event::USER_BEGIN, 6020);
    vcpu.event(event::USER_END, 8020);
    // These have no beginning.
    vcpu.event(event::USER_END, 9000);
    vcpu.event(event::BLOCK_END, 9000);
    assert_eq!(
        vcpu.fields(12, [CYCLES, BLOCKED, USER, AWAY]),
        [10, 4000, 0, 0]
    );
    assert_eq!(
        vcpu.fields(30, [CYCLES, BLOCKED, USER, AWAY]),
        [10, 0, 2000, 0]
    );
    // From 1010 to 1020 and from 5020 to 6000.
    assert_eq!(vcpu.value(30, GUEST), Some(990));
}

#[test]
fn a_handler_that_sleeps_shows_as_scheduled_out_and_not_as_handling() {
    let vcpu = entered();
    vcpu.vcpu.exit(48, false, 1000);
    vcpu.event(event::SCHED_OUT, 1100);
    vcpu.event(event::SCHED_IN, 9000);
    vcpu.event(event::SCHED_OUT, 9010);
    vcpu.event(event::SCHED_IN, 9500);
    vcpu.handled(9503);
    // And before the guest is entered again.
    vcpu.event(event::SCHED_OUT, 9600);
    vcpu.event(event::SCHED_IN, 9700);
    vcpu.exit(10, false, 9800, 5);
    assert_eq!(vcpu.fields(48, [CYCLES, AWAY, GUEST]), [113, 8490, 900]);
    assert_eq!(vcpu.fields(10, [CYCLES, AWAY, GUEST]), [5, 0, 197]);
    assert_eq!(
        vcpu.fields(abi::TOTAL, TIMES).iter().sum::<u64>(),
        9805 - 100
    );
}

#[test]
fn time_for_which_a_signal_stopped_the_vcpu_is_no_exits() {
    let vcpu = entered();
    vcpu.exit(12, false, 1000, 10);
    vcpu.event(event::STOP_BEGIN, 1100);
    vcpu.event(event::USER_END, 9_001_100);
    vcpu.exit(30, false, 9_001_200, 10);
    assert_eq!(vcpu.value(12, USER), Some(0));
    assert_eq!(vcpu.fields(abi::BEYOND, [EXITS, USER]), [0, 9_000_000]);
    let sum: u64 = vcpu.fields(abi::TOTAL, TIMES).iter().sum();
    assert_eq!(sum, life(&vcpu));
}

#[test]
fn the_way_to_the_entry_is_apart_where_it_is_measured() {
    let vcpu = Counted::vmx();
    vcpu.event(event::USER_END, 50);
    vcpu.event(event::BEFORE_ENTRY, 100);
    vcpu.exit(10, false, 1000, 50);
    vcpu.event(event::BEFORE_ENTRY, 1080);
    vcpu.exit(12, false, 2000, 50);
    assert_eq!(vcpu.fields(10, [GUEST, CYCLES, ENTRY]), [900, 50, 30]);
    assert_eq!(vcpu.fields(12, [GUEST, CYCLES, ENTRY]), [920, 50, 0]);
    assert_eq!(vcpu.vcpu.life(), (100, 2050));
}

#[test]
fn a_clock_that_stands_still_or_goes_back_drops_the_timing_but_not_the_exit() {
    let vcpu = entered();
    for tsc in [1000, 999, 0] {
        vcpu.vcpu.exit(31, false, 1000);
        vcpu.handled(tsc);
    }
    assert_eq!(
        vcpu.fields(31, [EXITS, CYCLES, GUEST, DROPPED]),
        [3, 0, 0, 3]
    );
    // From 0 on all is well again.
    vcpu.exit(31, false, 10, 5);
    assert_eq!(
        vcpu.fields(31, [EXITS, CYCLES, GUEST, DROPPED]),
        [4, 5, 10, 3]
    );
}

/// Finding 12: after a suspend, or on CPUs that disagree, the clock starts anew.
#[test]
fn a_clock_that_was_set_back_costs_one_exit_its_time_and_no_more() {
    let vcpu = entered();
    let at = 1 << 50;
    vcpu.exit(10, false, at, 100);
    for n in 1..=1000 {
        vcpu.exit(10, false, n * 1000, 100);
    }
    assert_eq!(
        vcpu.fields(10, [EXITS, CYCLES, DROPPED]),
        [1001, 100 * 1000, 1]
    );
    assert_eq!(vcpu.value(10, GUEST), Some(at - 100 + 999 * 900));
    // And while it slept, was away or in userspace.
    for (begin, end) in [
        (event::BLOCK_BEGIN, event::BLOCK_END),
        (event::USER_BEGIN, event::USER_END),
        (event::SCHED_OUT, event::SCHED_IN),
    ] {
        let vcpu = entered();
        vcpu.exit(10, false, at, 100);
        vcpu.event(begin, at + 200);
        vcpu.event(end, 500);
        for n in 1..=10 {
            vcpu.exit(10, false, n * 1000, 100);
        }
        assert_eq!(vcpu.fields(10, [EXITS, DROPPED]), [11, 1], "{begin}");
        assert_eq!(vcpu.value(10, CYCLES), Some(1000));
    }
}

#[test]
fn failed_and_emulated_entries_are_no_exits_and_what_follows_is_charged_to_none() {
    for (event, number) in [
        (event::ENTRY_FAILED, abi::FAILED),
        (event::ENTRY_EMULATED, abi::EMULATED),
    ] {
        let vcpu = entered();
        vcpu.exit(10, false, 200, 50);
        vcpu.event(event, 0);
        // What handles it returns, but there was no exit.
        vcpu.handled(290);
        vcpu.event(event::USER_BEGIN, 300);
        vcpu.event(event::USER_END, 400);
        assert_eq!(vcpu.value(number, EXITS), Some(1));
        assert_eq!(vcpu.value(number, CYCLES), None);
        assert_eq!(vcpu.value(abi::TOTAL, EXITS), Some(1));
        assert_eq!(vcpu.fields(10, [CYCLES, USER]), [50, 0], "{event}");
        assert_eq!(vcpu.value(abi::BEYOND, USER), Some(100));
        // The next exit is charged again.
        vcpu.exit(30, false, 700, 50);
        vcpu.event(event::USER_BEGIN, 800);
        vcpu.event(event::USER_END, 900);
        assert_eq!(vcpu.value(30, USER), Some(100));
    }
}

/// The same rules, told naively: time goes on by steps, and each step has one account.
#[derive(Default)]
struct Model {
    /// By number: exits, nested exits, and the six times.
    rows: Vec<[u64; 8]>,
    state: State,
    latest: usize,
    l2: bool,
    /// Since handling ended: charged to the next exit.
    pending: u64,
    /// Handled so far; counted with the exit.
    handled: u64,
    away: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    New,
    Guest,
    Handling,
    Blocked,
    User,
}

const NONE: usize = 86;

impl Model {
    fn pass(&mut self, cycles: u64) {
        let row = &mut self.rows[self.latest];
        match self.state {
            State::New => (),
            State::Blocked => row[3] += cycles,
            State::User => row[4] += cycles,
            _ if self.away => row[5] += cycles,
            State::Guest => self.pending += cycles,
            State::Handling => self.handled += cycles,
        }
    }

    fn step(&mut self, action: &Action) {
        use State::*;
        match (action, self.state) {
            (Action::Exit(number, l2), Guest | New) if !self.away => {
                self.latest = if number % 7 == 3 { NONE } else { *number };
                (self.l2, self.handled, self.state) = (*l2, 0, Handling);
            }
            (Action::Handled, Handling) if !self.away => {
                let row = &mut self.rows[self.latest];
                row[0] += 1;
                row[1] += u64::from(self.l2);
                row[2] += self.handled;
                row[7] += std::mem::take(&mut self.pending);
                self.state = Guest;
            }
            (Action::Event(event), _) => self.event(*event),
            _ => (),
        }
    }

    fn event(&mut self, event: u32) {
        use State::*;
        match (event, self.state) {
            (event::SCHED_OUT, Guest | Handling) => self.away = true,
            (event::SCHED_IN, Guest | Handling) => self.away = false,
            _ if self.away => (),
            (event::BLOCK_BEGIN, Guest) => self.state = Blocked,
            (event::USER_BEGIN, Guest) => self.state = User,
            (event::STOP_BEGIN, Guest) => (self.state, self.latest) = (User, NONE),
            (event::BLOCK_END, Blocked) | (event::USER_END, User) => self.state = Guest,
            (event::BEFORE_ENTRY, Guest) => {
                self.rows[self.latest][6] += std::mem::take(&mut self.pending);
            }
            (event::ENTRY_FAILED | event::ENTRY_EMULATED, Guest) => self.latest = NONE,
            _ => (),
        }
    }

    /// Whether a thread that is scheduled out, or that handles an exit, can do this.
    fn possible(&self, action: &Action) -> bool {
        use State::*;
        match action {
            _ if self.away => matches!(action, Action::Event(event::SCHED_IN)),
            Action::Exit(..) => self.state == Guest,
            Action::Handled => self.state == Handling,
            Action::Event(
                event::BEFORE_ENTRY
                | event::BLOCK_BEGIN
                | event::USER_BEGIN
                | event::STOP_BEGIN
                | event::ENTRY_FAILED
                | event::ENTRY_EMULATED,
            ) => self.state == Guest,
            _ => true,
        }
    }
}

#[derive(Clone, Debug)]
enum Action {
    Exit(usize, bool),
    Handled,
    Event(u32),
}

fn actions() -> impl Strategy<Value = Vec<(Action, u64)>> {
    let action = prop_oneof![
        6 => (0..34_usize, any::<bool>()).prop_map(|(number, l2)| Action::Exit(number, l2)),
        6 => Just(Action::Handled),
        12 => (0..=event::ENTRY_EMULATED).prop_map(Action::Event),
    ];
    let step = (0..40_u32, any::<u64>()).prop_map(|(k, r)| (r >> (63 - k)) + 1);
    proptest::collection::vec((action, step), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(many(1000, 5)))]

    /// The clock may say anything: each exit counts once, and has a time in one bucket or none.
    #[test]
    fn no_clock_makes_an_exit_count_twice_or_never(
        steps in proptest::collection::vec((any::<u64>(), any::<u64>(), 0..12_u32, any::<u32>()), 1..100),
    ) {
        let vcpu = Counted::vmx();
        for (start, end, event, reason) in &steps {
            vcpu.exit(*reason, false, *start, end.wrapping_sub(*start));
            vcpu.event(*event, *end ^ *start);
        }
        let [exits, dropped] = vcpu.fields(abi::TOTAL, [EXITS, DROPPED]);
        let timed: u64 = (0..24).map(|k| vcpu.value(abi::TOTAL, abi::BUCKET + k).unwrap()).sum();
        prop_assert_eq!((exits, timed), (steps.len() as u64, exits - dropped));
    }

    #[test]
    fn any_course_of_events_is_accounted_as_the_naive_model_does(actions in actions()) {
        let vcpu = Counted::vmx();
        let mut model = Model { rows: vec![[0; 8]; 87], latest: NONE, ..Model::default() };
        let mut tsc = 1_u64 << 40;
        vcpu.event(event::USER_END, tsc);
        vcpu.exit(10, false, tsc, 1);
        tsc += 1;
        (model.state, model.latest) = (State::Guest, 10);
        (model.rows[10][0], model.rows[10][2]) = (1, 1);
        for (action, step) in &actions {
            tsc += step;
            model.pass(*step);
            if !model.possible(action) {
                continue;
            }
            match *action {
                // Those of no reason come by numbers that the SDM does not define.
                Action::Exit(number, l2) => {
                    let undefined = number % 7 == 3;
                    vcpu.vcpu.exit(if undefined { 0x100 + number as u32 } else { number as u32 }, l2, tsc);
                }
                Action::Handled => vcpu.handled(tsc),
                Action::Event(event) => vcpu.event(event, tsc),
            }
            model.step(action);
        }
        // What is under way is charged when it ends.
        for end in [event::SCHED_IN, event::BLOCK_END, event::USER_END] {
            vcpu.event(end, tsc);
        }
        let fields = [EXITS, L2, CYCLES, BLOCKED, USER, AWAY, ENTRY, GUEST];
        for number in (0..34).chain([NONE]) {
            let asked = if number == NONE { abi::BEYOND } else { number as u32 };
            prop_assert_eq!(vcpu.fields(asked, fields), model.rows[number], "{}", asked);
        }
        let sum: u64 = vcpu.fields(abi::TOTAL, TIMES).iter().sum();
        prop_assert_eq!(sum, life(&vcpu));
        let buckets: u64 = (0..24).map(|k| vcpu.value(abi::TOTAL, abi::BUCKET + k).unwrap()).sum();
        prop_assert_eq!(buckets, vcpu.value(abi::TOTAL, EXITS).unwrap());
    }
}
