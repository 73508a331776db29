// SPDX-License-Identifier: GPL-2.0
//! What two machines differ in, and what a hypervisor would miss.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;
use vmxscope::caps::known::{Fact, Item, Known};
use vmxscope::caps::{compare, profile};

use crate::common::{failure, printed, run, Machine};
use crate::{Files, COURSE, VIRTUALBOX};

#[test]
fn two_machines_differ_by_name() {
    let files = Files::new();
    let (a, b) = (files.write("a", COURSE), files.write("b", VIRTUALBOX));
    let (status, text) = run(&Machine::stock(), &["caps", "diff", &a, &b]);
    assert_eq!(status.unwrap(), 1);
    assert_snapshot!(text.replace(&a, "A").replace(&b, "B"));
    assert_eq!(
        run(&Machine::stock(), &["caps", "diff", &a, &a]).0.unwrap(),
        0
    );
    let text = printed(&Machine::stock(), &["caps", "common", &a, &b]);
    assert!(
        text.contains("Activate VMX-preemption timer (IA32_VMX_PINBASED_CTLS): not on"),
        "{text}"
    );
}

#[test]
fn what_a_hypervisor_misses_is_named() {
    let files = Files::new();
    let file = files.write("need", COURSE);
    let (status, text) = run(
        &Machine::stock(),
        &["caps", "need", "jailhouse", "--from", &file],
    );
    assert_eq!(status.unwrap(), 1);
    assert_snapshot!("need_jailhouse", text.replace(&file, "FILE"));
    let text = printed(
        &Machine::stock(),
        &["caps", "need", "kvm-6.12", "--from", &file],
    );
    assert!(
        text.contains("It has all that is required (20 in all)"),
        "{text}"
    );
    let (status, message) = failure(&Machine::stock(), &["caps", "need", "kvm-5.4"]);
    assert_eq!(
        (status, message.contains("kvm-6.12, kvm-7.3, xen")),
        (2, true),
        "{message}"
    );
}

/// The plain MSRs only: a log that was cut before the TRUE ones.
const CUT: &str = "\
0x480 0xda040000000004
0x481 0x7f00000016
0x482 0xfff9fffe0401e172
";

#[test]
fn what_only_the_true_msrs_tell_is_not_judged_without_them() {
    let files = Files::new();
    let file = files.write("cut", CUT);
    let profile = files.write(
        "cr3.toml",
        "[primary]\nclearable = [\"CR3-load exiting\"]\n",
    );
    let need = |file: &str| {
        run(
            &Machine::stock(),
            &["caps", "need", &profile, "--from", file],
        )
    };
    let (status, text) = need(&file);
    assert_eq!(status.unwrap(), 3, "{text}");
    assert!(
        text.contains("unknown    CR3-load exiting") && !text.contains("MISSING"),
        "{text}"
    );
    // Where BASIC says that there are none, the plain MSR has the last word.
    let old = files.write("old", &CUT.replace("0xda04", "0x5a04"));
    let (status, text) = need(&old);
    assert_eq!(status.unwrap(), 1, "{text}");
    assert!(text.contains("MISSING    CR3-load exiting"), "{text}");
    // And what is not told differs from nothing.
    let whole = files.write("whole", &format!("{CUT}0x48e 0xfff9fffe04006172\n"));
    let (status, text) = run(&Machine::stock(), &["caps", "diff", &file, &whole]);
    assert_eq!(
        (status.unwrap(), text.contains("CR3-load exiting")),
        (0, false),
        "{text}"
    );
}

#[test]
fn a_complaint_is_explained_by_name() {
    let words = [
        "caps",
        "explain",
        "--have",
        "0xb5b9fffe",
        "--need",
        "0x2299968c",
        "--msr",
        "0x482",
    ];
    let (status, text) = run(&Machine::stock(), &words);
    assert_eq!(status.unwrap(), 1);
    assert_snapshot!(text);
    let words = [
        "caps", "explain", "--have", "f", "--need", "1", "--msr", "0x480",
    ];
    assert_eq!(failure(&Machine::stock(), &words).0, 2);
}

#[test]
fn every_name_in_the_profiles_is_one_of_the_tables() {
    for (name, text) in profile::BUILT_IN {
        let profile = profile::parse(text, name).unwrap_or_else(|error| panic!("{error}"));
        assert!(profile.needs.len() > 10, "{name}");
    }
    let error = |text| profile::parse(text, "own.toml").err().unwrap().to_string();
    assert_eq!(
        error("[pin]\nrequired = [\n\"Nonsense\"]"),
        "own.toml:3: \"Nonsense\" is nothing that section pin has"
    );
    assert!(error("[pins]\nrequired = []").starts_with("own.toml:1: there is no section \"pins\""));
    assert!(error("\n[pin\n").starts_with("own.toml:2: not a profile"));
    // Linux's macros are names, too.
    profile::parse("[secondary]\noptional = [\"VMX_FEATURE_EPT\"]", "own.toml").unwrap();
}

proptest! {
    #[test]
    fn what_a_pool_can_each_of_its_machines_can(a in any::<u64>(), b in any::<u64>()) {
        for index in [0x481, 0x482, 0x485, 0x48b, 0x48c, 0x492] {
            let one = |value| Known::of_values("one", &BTreeMap::from([(index, value)]));
            let machines = [one(a), one(b)];
            let pool = compare::pool(&machines);
            for item in Item::all().filter(|item| item.msr().index == index) {
                let (section, control) = match item {
                    Item::Control(section, control) => (section, control),
                    Item::Field(msr, field) => {
                        let of = |known: &Known| known.field(msr, field).unwrap();
                        let least = machines.iter().map(of).min();
                        prop_assert_eq!(Some(of(&pool)), least, "{}", field.name);
                        continue;
                    }
                };
                let each = || machines.iter();
                prop_assert_eq!(
                    pool.can_set(section, control),
                    Ok(each().all(|known| known.can_set(section, control).unwrap()))
                );
                prop_assert_eq!(
                    pool.can_clear(section, control),
                    match each().map(|known| known.can_clear(section, control)).collect::<Result<Vec<bool>, Fact>>() {
                        Ok(all) => Ok(all.into_iter().all(|can| can)),
                        Err(fact) => Err(fact),
                    }
                );
            }
        }
    }
}
