// SPDX-License-Identifier: GPL-2.0
//! Expect that every leaf, selector and layout is answered as the interface says.

mod vm;

use exit_stats::abi::{self, CauseSelector, Layout, Regs, Role, Selector};
use exit_stats::clock::event;
use exit_stats::counters::ROWS;
use exit_stats::reason::{self, Vendor};
use proptest::prelude::*;
use vm::{many, regs, Vm};

const GAPS: [u32; 6] = [35, 38, 42, 71, 82, 83];

#[test]
fn the_reason_table_has_the_sdms_gaps_and_no_others() {
    let missing: Vec<u32> = (0..86).filter(|&n| !reason::is_defined(n)).collect();
    assert_eq!(missing, GAPS);
    assert_eq!(reason::all().count(), 80);
    for (number, symbol) in [
        (0, c"EXCEPTION_NMI"),
        (10, c"CPUID"),
        (12, c"HLT"),
        (48, c"EPT_VIOLATION"),
        (49, c"EPT_MISCONFIG"),
        (56, c"APIC_WRITE"),
        (68, c"TPAUSE"),
        (77, c"TDCALL"),
        (85, c"MSR_WRITE_IMM"),
    ] {
        assert_eq!(reason::symbol(number), Some(symbol));
        assert_eq!(u32::from(reason::get(number).unwrap().number), number);
    }
    for number in (86..=many(0x2_0000, 0x200)).chain([u32::MAX]) {
        assert!(reason::get(number).is_none());
    }
    let mut symbols: Vec<_> = reason::all().map(|reason| reason.symbol).collect();
    symbols.sort();
    symbols.dedup();
    assert_eq!(symbols.len(), 80, "no symbol stands for two reasons");
}

#[test]
fn the_svm_table_has_what_the_apm_defines() {
    for (number, symbol) in [
        (0, c"READ_CR0"),
        (0x1f, c"WRITE_CR15"),
        (0x20, c"READ_DR0"),
        (0x37, c"WRITE_DR7"),
        (0x4e, c"EXCP14"),
        (0x60, c"INTR"),
        (0x72, c"CPUID"),
        (0x7b, c"IOIO"),
        (0x8f, c"EFER_WRITE_TRAP"),
        (0x94, c"CR4_WRITE_TRAP"),
        (0xa5, c"BUS_LOCK"),
        (0x400, c"NPF"),
        (0x403, c"VMGEXIT"),
        (0xfff2, c"ERR"),
    ] {
        assert_eq!(Vendor::Svm.symbol(number), Some(symbol), "{number:#x}");
    }
    let defined = |number: &u32| Vendor::Svm.get(*number).is_some();
    let all: Vec<u32> = (0..many(0x2_0000, 0x1_0000)).filter(defined).collect();
    let expected = (0..=0xa6).chain(0x400..=0x404).chain(0xfff0..=0xfff2);
    assert_eq!(all, expected.collect::<Vec<_>>());
    let mut symbols: Vec<_> = Vendor::Svm.reasons().iter().map(|one| one.symbol).collect();
    symbols.sort();
    symbols.dedup();
    assert_eq!(symbols.len(), all.len(), "no symbol stands for two reasons");
}

#[test]
fn the_four_leaves_give_totals_and_reasons_in_the_registers_of_the_assignment() {
    let vm = Vm::new(2, true);
    // More than 32 bits of both: by a clock that ran for long.
    vm.exit(0, 10, false, 0x1_2345_6789_abcd);
    vm.exit(1, 10, false, 1);
    vm.exit(1, 12, false, 16);
    let total = 0x1_2345_6789_abcd_u64 + 17;
    let (high, low) = ((total >> 32) as u32, total as u32);
    assert_eq!(vm.serve(0x4fff_ffff, 99), Some(regs(3, high, low, 0)));
    assert_eq!(vm.serve(0x4fff_fffe, 99), Some(regs(0, high, low, 0)));
    assert_eq!(vm.serve(0x4fff_fffd, 10), Some(regs(2, 0, 0, 0)));
    assert_eq!(
        vm.serve(0x4fff_fffc, 10),
        Some(regs(0, 0x1_2345, 0x6789_abce, 0))
    );
    assert_eq!(vm.serve(0x4fff_fffc, 12), Some(regs(0, 0, 16, 0)));
    assert_eq!(vm.serve(0x4fff_fffd, 3), Some(Regs::default()));
    for outside in [0, 1, 7, 0x4000_0000, 0x4fff_fff9, 0x5000_0000, u32::MAX] {
        assert_eq!(vm.serve(outside, 0), None);
    }
}

#[test]
fn counts_of_more_than_32_bits_use_edx() {
    assert_eq!(
        Regs::from_totals((5 << 32) | 6, (7 << 32) | 8),
        regs(6, 7, 8, 5)
    );
    assert_eq!(Regs::from_value((7 << 32) | 8), regs(8, 7, 0, 0));
    for value in [0, 1, u64::MAX, 1 << 32, 0x0123_4567_89ab_cdef] {
        assert_eq!(Regs::from_totals(value, !value).exits(), value);
        assert_eq!(Regs::from_totals(!value, value).cycles(), value);
        assert_eq!(Regs::from_value(value).value(), value);
    }
}

#[test]
fn undefined_reasons_are_all_ones_in_edx_and_disabled_ones_all_zero() {
    let mut vm = Vm::new(2, false);
    vm.config.enabled = [1 << 12, 1 << (84 - 64), 0];
    for reason in [12, 84, 35, 86, 48] {
        vm.exit(1, reason, false, 100);
    }
    for role in [Role::Exits, Role::Cycles] {
        for reason in (0..1000).chain([0xfffc, 0xffff, 0x1_000c, 0x8000_000c, u32::MAX]) {
            let expected = match (reason, role) {
                (12 | 84 | 48, Role::Exits) => regs(1, 0, 0, 0),
                (12 | 84 | 48, _) => regs(0, 0, 100, 0),
                _ if reason > 85 || GAPS.contains(&reason) => regs(0, 0, 0, u32::MAX),
                _ => Regs::default(),
            };
            assert_eq!(vm.leaf(role, reason), expected, "reason {reason}");
        }
    }
    // A reason that has occurred, on whichever vCPU, is not one that cannot occur.
    for (reason, state) in [
        (12, 2),
        (84, 2),
        (48, 2),
        (10, 1),
        (85, 1),
        (35, 0),
        (86, 0),
    ] {
        assert_eq!(vm.select(reason, abi::STATE, false), regs(state, 0, 0, 0));
    }
    // The totals hold what happened, whatever the configuration says now.
    assert_eq!(vm.leaf(Role::Total, 0).exits(), 5);
}

#[test]
fn the_layouts_give_the_same_answers_under_their_own_leaves() {
    let leaves = [
        (
            Layout::Spring22,
            [0x4fff_ffff, 0x4fff_fffe, 0x4fff_fffd, 0x4fff_fffc],
        ),
        (
            Layout::Fall22,
            [0x4fff_fffc, 0x4fff_fffd, 0x4fff_fffe, 0x4fff_ffff],
        ),
    ];
    let roles = [Role::Total, Role::TotalCycles, Role::Exits, Role::Cycles];
    let mut vm = Vm::new(1, false);
    vm.exit(0, 30, false, 5);
    vm.exit(0, 1, false, 9);
    let expected = [
        regs(2, 0, 14, 0),
        regs(0, 0, 14, 0),
        regs(1, 0, 0, 0),
        regs(0, 0, 5, 0),
    ];
    for (layout, leaves) in leaves {
        vm.config.layout = layout as u32;
        for ((leaf, role), expected) in leaves.into_iter().zip(roles).zip(expected) {
            assert_eq!(layout.leaf(role), Some(leaf));
            assert_eq!(layout.role(leaf), Some(role));
            assert_eq!(vm.serve(leaf, 30), Some(expected));
        }
    }
    vm.config.layout = Layout::Combined as u32;
    assert_eq!(vm.serve(0x4fff_ffff, 30), Some(expected[0]));
    assert_eq!(vm.serve(0x4fff_fffe, 30), Some(expected[2]));
    assert_eq!(vm.serve(0x4fff_fffd, 30), None);
    assert_eq!(vm.serve(0x4fff_fffc, 30), None);
    vm.config.layout = 3;
    assert_eq!(vm.serve(0x4fff_ffff, 30), None);
}

#[test]
fn discovery_tells_what_and_how_large() {
    let mut vm = Vm::new(2, true);
    vm.config.layout = 1;
    assert_eq!(
        vm.serve(0x4fff_fffb, 0),
        Some(regs(0x2_0101, 0x454d_564b, 0x5374_6978, 0x7374_6174))
    );
    let size = |vm: &Vm| vm.serve(0x4fff_fffb, 1).unwrap();
    // Field 10 is served where it is measured only.
    assert_eq!(size(&vm), regs(86, 2_600_000, 0xbff, 24));
    vm.config.entry = true;
    assert_eq!(size(&vm).ecx, 0xfff);
    assert_eq!(
        vm.serve(0x4fff_fffb, 2),
        Some(regs(0x9abc_def0, 0x1234_5678, 0, 0))
    );
    assert_eq!(vm.serve(0x4fff_fffb, 3), Some(Regs::default()));
    vm.config.hist = false;
    assert_eq!(vm.serve(0x4fff_fffb, 0).unwrap().eax, 0x101);
    assert_eq!(size(&vm), regs(86, 2_600_000, 0xbf3, 0));
    let vm = Vm::of(Vendor::Svm, 1, true);
    assert_eq!(vm.serve(0x4fff_fffb, 0).unwrap().eax, 0x12_0001);
    assert_eq!(size(&vm).eax, 0xfff3);
}

#[test]
fn the_extension_serves_every_field_of_every_reason_and_no_other() {
    for (vendor, hist) in [
        (Vendor::Vmx, false),
        (Vendor::Vmx, true),
        (Vendor::Svm, true),
    ] {
        let vm = Vm::of(vendor, 2, hist);
        let reasons = (0..=0xffff_u32).filter(|reason| {
            // In Miri those on both sides of what is defined.
            !cfg!(miri) || matches!(reason, 8..=13 | 33..=36 | 84..=87 | 0xa5..=0xa8 | 0x404..=0x406 | 0xfff2..=0xfff3 | 0xfffb..)
        });
        for reason in reasons {
            for field in (0..=12).chain([0x3f, 0x40, 0x57, 0x58, 0x7ffe]) {
                let defined = match vendor {
                    Vendor::Vmx => reason < 86 && !GAPS.contains(&reason),
                    Vendor::Svm => matches!(reason, 0..=0xa6 | 0x400..=0x404 | 0xfff0..=0xfff2),
                };
                let entries = reason == 0xfffd || reason == 0xfffe;
                let pseudo = reason == 0xfffc || reason == 0xffff;
                let served = match field {
                    0 => defined || pseudo || entries,
                    6 => reason < 0xfffc,
                    2 | 3 | 10 | 0x40..=0x57 => hist && (defined || pseudo),
                    1..=11 => defined || pseudo,
                    _ => false,
                };
                let undefined = vm.select(reason, field, false) == Regs::UNDEFINED;
                assert_eq!(undefined, !served, "reason {reason:#x}, field {field:#x}");
                assert_eq!(
                    vm.select(reason, field, true),
                    Regs::UNDEFINED,
                    "there is no snapshot to read from"
                );
            }
        }
    }
}

#[test]
fn every_code_of_svm_is_counted_by_its_number() {
    let vm = Vm::of(Vendor::Svm, 1, true);
    for (n, reason) in Vendor::Svm.reasons().iter().enumerate().take(ROWS - 1) {
        vm.exit(0, reason.number.into(), false, 100 + n as u64);
    }
    for (n, reason) in Vendor::Svm.reasons().iter().enumerate().take(ROWS - 1) {
        let answer = vm.leaf(Role::Cycles, reason.number.into());
        assert_eq!(answer.cycles(), 100 + n as u64);
    }
    assert_eq!(vm.select(abi::BEYOND, abi::EXITS, false).value(), 0);
    // A vCPU has no row for yet another reason, but nothing is lost.
    vm.exit(0, 0x400, false, 5);
    assert_eq!(vm.select(0x400, abi::EXITS, false).value(), 0);
    assert_eq!(vm.select(abi::BEYOND, abi::EXITS, false).value(), 1);
    assert_eq!(vm.leaf(Role::Total, 0).exits(), ROWS as u64);
}

#[test]
fn smallest_and_largest_are_of_what_happened_on_any_vcpu() {
    let vm = Vm::new(3, true);
    vm.exit(1, 10, false, 50);
    vm.exit(2, 10, false, 40);
    vm.exit(2, 10, false, 60);
    vm.exit(0, 12, false, 45);
    vm.select(0, abi::SNAPSHOT, false);
    for snapshot in [false, true] {
        for (reason, min, max) in [(10, 40, 60), (12, 45, 45), (abi::TOTAL, 40, 60), (13, 0, 0)] {
            assert_eq!(vm.select(reason, abi::MIN, snapshot).value(), min);
            assert_eq!(vm.select(reason, abi::MAX, snapshot).value(), max);
        }
    }
}

#[test]
fn a_total_is_the_sum_of_its_parts_and_nothing_is_dropped() {
    let vm = Vm::new(3, true);
    let (mut total, mut beyond) = ([0_u64; 3], [0_u64; 3]);
    // Flags in the upper half must not hide a reason.
    // As many reasons as a set has rows for, and numbers that the SDM does not define.
    for (n, reason) in (0..=48)
        .chain(86..200)
        .chain([0x8000_0021, 0x0c00_000a, 0xffff, 0xfffc])
        .enumerate()
    {
        let (cycles, l2) = (1 << (n % 40), n % 3 == 0);
        vm.exit(n % 3, reason, l2, cycles);
        let basic = reason & 0xffff;
        let parts = [1, cycles, u64::from(l2)];
        for (sum, part) in total.iter_mut().zip(parts) {
            *sum += part;
        }
        if basic > 85 || GAPS.contains(&basic) {
            for (sum, part) in beyond.iter_mut().zip(parts) {
                *sum += part;
            }
        }
    }
    for vcpu in &vm.vcpus {
        vcpu.event(event::ENTRY_FAILED, 0);
        vcpu.event(event::ENTRY_EMULATED, 0);
        vcpu.event(event::ENTRY_EMULATED, 0);
    }
    for _ in 0..2 {
        vm.select(0, abi::SNAPSHOT, false);
    }
    for snapshot in [false, true] {
        for (n, field) in [abi::EXITS, abi::CYCLES, abi::L2].into_iter().enumerate() {
            let get = |reason| vm.select(reason, field, snapshot).value();
            let reasons: u64 = reason::all().map(|reason| get(reason.number.into())).sum();
            assert_eq!(get(abi::TOTAL), total[n]);
            assert_eq!(get(abi::BEYOND), beyond[n]);
            assert_eq!(reasons + beyond[n], total[n]);
        }
        let buckets: u64 = (0..24)
            .map(|k| vm.select(abi::TOTAL, abi::BUCKET + k, snapshot).value())
            .sum();
        assert_eq!(buckets, total[0], "every timed exit is in a bucket");
        assert_eq!(vm.select(abi::FAILED, abi::EXITS, snapshot).value(), 3);
        assert_eq!(vm.select(abi::EMULATED, abi::EXITS, snapshot).value(), 6);
    }
    let cpuid = vm.select(10, abi::EXITS, false).value();
    assert_eq!(cpuid, 2, "one of them with the enclave and bus-lock flags");
    assert_eq!(vm.select(33, abi::EXITS, false).value(), 2);
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

proptest! {
    /// A selector that has a meaning is told by its bits, and one that has none is refused.
    #[test]
    fn selectors_are_taken_apart_and_put_together_again(ecx: u32) {
        prop_assert_eq!(Selector::decode(ecx).encode(), ecx);
        let of_cause = CauseSelector::decode(ecx).map(CauseSelector::encode);
        prop_assert_eq!(of_cause, (ecx & 0x7f00_0000 == 0).then_some(ecx));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(many(100, 1)))]

    /// Ten million selectors, reasons and leaves: each answer is one that a reader
    /// can tell apart, and none is made of what was not counted.
    #[test]
    fn random_questions_get_decodable_answers(
        seed in 1..u64::MAX, enabled: [u64; 3], layout in 0..5_u32, hist: bool, amd: bool,
    ) {
        let mut vm = Vm::of(if amd { Vendor::Svm } else { Vendor::Vmx }, 2, hist);
        vm.config.enabled = enabled;
        vm.config.layout = layout;
        let mut random = seed;
        for n in 0..many(1000, 100) {
            let r = xorshift(&mut random);
            vm.exit((n % 2) as usize, r as u32 >> (r >> 60), r & 1 != 0, r >> 33 >> (r & 31));
        }
        vm.select(0, abi::SNAPSHOT, false);
        for _ in 0..many(100_000, 500) {
            let r = xorshift(&mut random);
            let ecx = match r >> 62 {
                0 => r as u32,
                1 => r as u32 & 0x800f_ffff,
                2 => r as u32 & 0x807f_00ff,
                _ => r as u32 & 0x7f,
            };
            // The total of everything is asked seldom: it visits all rows.
            let leaf = match (r >> 32) & 7 {
                0 => 0x4fff_fff9 | (r as u32 >> 29),
                1 => 0x4fff_fffd,
                2 => 0x4fff_fffc,
                _ => abi::EXTENSION,
            };
            let Some(answer) = vm.serve(leaf, ecx) else {
                prop_assert!(!(abi::EXTENSION..abi::FIRST).contains(&leaf));
                continue;
            };
            if leaf == abi::EXTENSION {
                prop_assert!(answer.ecx == 0 && (answer.edx == 0 || answer == Regs::UNDEFINED));
                prop_assert_eq!(Selector::decode(ecx).encode(), ecx);
                let Selector { field, reason, .. } = Selector::decode(ecx);
                if field == abi::EXITS && answer.edx == 0 {
                    prop_assert!(answer.value() <= 1000, "more than happened of {}", reason);
                }
            }
        }
    }
}
