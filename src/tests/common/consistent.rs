// SPDX-License-Identifier: GPL-2.0
//! Random values that a CPU might have: none of them violates the audit.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use vmx_caps::dependencies::DEPENDENCIES;
use vmx_caps::msr::Kind;
use vmx_caps::tables::by_index;

/// Values of all MSRs such as a CPU might have.
pub fn consistent() -> impl Strategy<Value = BTreeMap<u32, u64>> {
    let pairs = [
        (0x481, 0x48d),
        (0x482, 0x48e),
        (0x483, 0x48f),
        (0x484, 0x490),
    ];
    (
        vec(any::<u64>(), 4),
        any::<[u64; 11]>(),
        1..=4096u64,
        0..=256u64,
    )
        .prop_map(move |(words, other, size, targets)| {
            let mut msrs = BTreeMap::new();
            for ((plain, true_form), word) in pairs.into_iter().zip(words) {
                let Kind::Allowed01 { default1, .. } = by_index(plain).unwrap().kind else {
                    panic!("{plain:#x}");
                };
                let default1 = u64::from(default1);
                let may = (word >> 32) | default1;
                let must = word & may & 0xffff_ffff;
                msrs.insert(plain, (may << 32) | must | default1);
                msrs.insert(true_form, (may << 32) | must);
            }
            msrs.insert(0x48b, other[0] << 32);
            msrs.insert(0x491, other[1]);
            // What is settable needs what it depends on, to be of use.
            for _ in 0..3 {
                for rule in DEPENDENCIES {
                    let (control, needs) = (rule.control, rule.needs);
                    let (from, to) = (
                        control.msr.may_set(control.control),
                        needs.msr.may_set(needs.control),
                    );
                    if (msrs[&from.msr] >> from.bit) & 1 == 1 {
                        *msrs.get_mut(&to.msr).unwrap() |= 1 << to.bit;
                    }
                }
            }
            for (plain, true_form) in pairs {
                let may = msrs[&plain] >> 32 << 32;
                *msrs.get_mut(&true_form).unwrap() |= may;
            }
            let memory_type = [0, 6][(other[2] & 1) as usize];
            let basic = other[2] & !(0x3f_1fff_8000_0000 | (0x3c << 48));
            msrs.insert(0x480, basic | (size << 32) | (memory_type << 50));
            msrs.insert(0x485, other[3] & !0x81ff_3e00 | (targets << 16) | (1 << 5));
            msrs.insert(0x486, other[4] & other[5] | 1);
            msrs.insert(0x487, other[5] | 1);
            msrs.insert(0x488, other[6] & other[7] | (1 << 13));
            msrs.insert(0x489, other[7] | (1 << 13));
            msrs.insert(0x48a, other[8] & 0x3fe);
            msrs.insert(0x48c, other[9]);
            msrs.insert(0x492, other[10]);
            msrs.insert(0x493, other[0]);
            msrs.insert(0x3a, other[1] & 0x17_ff07);
            msrs
        })
}
