// SPDX-License-Identifier: GPL-2.0
//! What values are in, and what is no value.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;
use vmx_caps::capabilities::{Capabilities, State};
use vmx_caps::report::{self, Plain};
use vmx_caps::tables::{by_index, MSRS, SECTIONS};
use vmxscope::caps::known::{Fact, Item, Known};
use vmxscope::caps::{parse, profile};

use crate::common::{failure, printed, Machine};
use crate::{read, Files, COURSE, VIRTUALBOX};

const RDMSR: &str = "\
root@host:~# rdmsr 0x480
da040000000004
root@host:~# rdmsr -p 0 -0 0x481
0000007f00000016
root@host:~# rdmsr 0x492
rdmsr: CPU 0 cannot read MSR 0x00000492
";

fn values(known: &Known) -> Vec<(u32, u64)> {
    let facts = MSRS.iter().map(|msr| (msr.index, known.fact(msr)));
    facts
        .filter_map(|(index, fact)| match fact {
            Fact::Value(value) => Some((index, value)),
            _ => None,
        })
        .collect()
}

#[test]
fn every_kind_of_log_gives_its_values() {
    let course = [
        (0x481, 0x3f_0000_0016),
        (0x482, 0xfff9_fffe_0401_e172),
        (0x483, 0x3f_ffff_0003_6dff),
        (0x484, 0xf3ff_0000_11ff),
        (0x48b, 0x55_3cfe_0000_0000),
    ];
    assert_eq!(values(&read(COURSE)), course);
    let virtualbox = [
        (0x3a, 5),
        (0x480, 0xda_0400_0000_0004),
        (0x481, 0x7f_0000_0016),
        (0x486, 0x8000_0021),
        (0x487, 0xffff_ffff),
        (0x48c, 0xf01_0673_4141),
        (0x48e, 0xfff9_fffe_0400_6172),
    ];
    assert_eq!(values(&read(VIRTUALBOX)), virtualbox);
    let pair = [(0x480, 0xda_0400_0000_0004), (0x481, 0x7f_0000_0016)];
    assert_eq!(values(&read(RDMSR)), pair);
    for lines in [
        "0x480 0xda040000000004\n0x481 0x7f00000016\n",
        "480: 00da040000000004\n481: 0000007f00000016",
        "IA32_VMX_BASIC = 0xda040000000004\nMSR_IA32_VMX_PINBASED_CTLS (0x481): 0x7f00000016",
        "[ 3.1] vmx_caps: msr 0x480 IA32_VMX_BASIC 0xda040000000004\n\
         [ 3.1] vmx_caps: msr 0x481 IA32_VMX_PINBASED_CTLS 0x7f00000016\n",
    ] {
        assert_eq!(values(&read(lines)), pair, "{lines}");
    }
    let bare = "da040000000004\n7f00000016\n";
    assert_eq!(
        values(&parse::text(bare, "test", Some(0x480)).unwrap()),
        pair
    );
}

#[test]
fn what_was_printed_can_be_read_again() {
    let files = Files::new();
    let file = files.write("again", COURSE);
    for form in [&["--json"][..], &["--log"]] {
        let words = [&["caps", "--from", &file], form].concat();
        let text = printed(&Machine::stock(), &words);
        assert_eq!(values(&read(&text)), values(&read(COURSE)), "{form:?}");
    }
}

#[test]
fn wrong_input_is_named_by_file_line_and_value() {
    let error = |text: &str| parse::text(text, "some.log", None).unwrap_err();
    for (text, expected) in [
        (
            "hello\n0x481 0xzz\n",
            "some.log:2: the value of 0x481 is no hexadecimal number of 64 bits: \"0xzz\"",
        ),
        (
            "0x480 0x11112222333344445\n",
            "some.log:1: the value of 0x480",
        ),
        ("msr 0x480 IA32_VMX_BASIC never\n", "some.log:1: "),
        ("{\n\"format\": 1}", "some.log:2: not saved capabilities"),
        (
            "{\"format\": \"other\", \"source\": \"\", \"complete\": true, \"msrs\": []}",
            "its format is \"other\"",
        ),
        ("", "no value of a VMX capability MSR is in it"),
        ("da04\n7f\n", "--first 0x480"),
        (
            "pin-based controls\n  NMI exiting   perhaps\n  Virtual NMIs  yes\n",
            "some.log:2: neither yes",
        ),
    ] {
        let error = error(text);
        assert_eq!(error.status(), 4, "{text}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let (status, message) = failure(&Machine::stock(), &["caps", "--from", "/nonexistent"]);
    assert_eq!((status, message.contains("/nonexistent")), (4, true));
    assert_eq!(failure(&Machine::stock(), &["caps"]).0, 3);
}

#[test]
fn a_value_on_the_command_line_is_decoded() {
    let words = ["caps", "--msr", "0x482=0xfff9fffe0401e172"];
    assert_snapshot!(printed(&Machine::stock(), &words));
}

#[test]
fn a_parameter_that_is_0_or_off_says_that_kvm_does_not_use_it() {
    let root = std::env::temp_dir().join(format!("vmxscope-parameters-{}", std::process::id()));
    let folder = root.join("sys/module/kvm_intel/parameters");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, value) in [
        ("ept", "Y\n"),
        ("vpid", "N\n"),
        ("ple_gap", "0\n"),
        ("nested", "0\n"),
    ] {
        std::fs::write(folder.join(name), value).unwrap();
    }
    let kvm = vmxscope::caps::kvm::read(&read(COURSE), &root).unwrap();
    std::fs::remove_dir_all(root).unwrap();
    let used = |parameter: &str| {
        let found = kvm.uses.iter().find(|one| one.parameter == parameter);
        found.unwrap().is_used()
    };
    assert_eq!(
        (used("ept"), used("vpid"), used("ple_gap")),
        (Some(true), Some(false), Some(false))
    );
    assert_eq!((used("pml"), kvm.allows_nested), (None, false));
}

#[test]
fn a_remark_behind_a_value_is_no_value() {
    for line in [
        "IA32_VMX_BASIC = 0xda040000000004 (0x1)",
        "0x480 0xda040000000004 (0x1)",
        "MSR_IA32_VMX_BASIC (0x480): 0xda040000000004 [0x2]",
    ] {
        assert_eq!(
            values(&read(line)),
            [(0x480, 0xda_0400_0000_0004)],
            "{line}"
        );
    }
}

/// As AIDA64 writes them for each logical CPU; the values are of a Core 2 Extreme X6800,
/// but for the one that differs.
const DUMP: &str = "\
------[ Logical CPU #0 ]------
CPUID 00000000: 0000000A-756E6547-6C65746E-49656E69 [GenuineIntel]
MSR 0000001B: 0000-0000-FEE0-0900
MSR 00000198: 0B28-0B28-8600-0B28 [S200]
MSR 00000480: 001A-0400-0000-0007
MSR 00000481: 0000-001F-0000-0016
------[ Logical CPU #1 ]------
MSR 00000480: 001A-0400-0000-0007
MSR 00000481: 0000-003F-0000-0016
";

#[test]
fn a_public_dump_is_read_as_it_is_with_all_its_cpus() {
    let known = read(DUMP);
    assert_eq!(
        values(&known),
        [(0x480, 0x1a_0400_0000_0007), (0x481, 0x1f_0000_0016)]
    );
    let expected = "line 9: IA32_VMX_PINBASED_CTLS is 0x3f00000016 on logical CPU 1, and \
                    0x1f00000016 before";
    assert_eq!(known.notes, [expected]);
    let error = parse::text("MSR 00000480: 001A-0400\n", "some.txt", None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("some.txt:1: the value of 0x480"),
        "{error}"
    );
}

#[test]
fn a_file_may_have_any_name() {
    use std::os::unix::ffi::OsStringExt;
    let name = [
        format!("/vmxscope-{}-", std::process::id()).as_bytes(),
        b"\xff.log",
    ]
    .concat();
    let mut path = std::env::temp_dir().into_os_string();
    path.push(std::ffi::OsString::from_vec(name));
    std::fs::write(&path, COURSE).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    let output = command
        .args(["caps", "--from"])
        .arg(&path)
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Prints controls as vmxcap does, with the SDM's names: `forced` is what must be 1,
/// `default` what the plain MSR says to be 1 and the TRUE one does not.
fn as_vmxcap(values: &BTreeMap<u32, u64>) -> String {
    let mut text = String::new();
    for (heading, index, true_index) in [
        ("pin-based controls", 0x481, 0x48d),
        ("primary processor-based controls", 0x482, 0x48e),
        ("secondary processor-based controls", 0x48b, 0x48b),
        ("VM-Exit controls", 0x483, 0x48f),
        ("VM-Entry controls", 0x484, 0x490),
    ] {
        text += &format!("{heading}\n");
        let section = SECTIONS
            .iter()
            .find(|section| section.msrs().0.index == index)
            .unwrap();
        for control in section.msrs().0.controls() {
            let bit = |index, half: u32| (values[&index] >> (half + u32::from(control.bit))) & 1;
            let word = match (bit(index, 32), bit(index, 0), bit(true_index, 0)) {
                (0, _, _) => "no",
                (_, _, 1) => "forced",
                (_, 1, _) => "default",
                _ => "yes",
            };
            text += &format!("  {:<40} {word}\n", control.name);
        }
    }
    text
}

/// Any state of each MSR, as the kernel may find it.
fn any_caps() -> impl Strategy<Value = Capabilities> {
    let state = prop_oneof![
        4 => any::<u64>().prop_map(State::Present),
        1 => Just(State::NotEnumerated),
        1 => Just(State::Faulted),
        1 => any::<u64>().prop_map(State::PresentNotEnumerated),
    ];
    prop::collection::vec(state, MSRS.len()).prop_map(|states| {
        let mut caps = Capabilities::EMPTY;
        for (msr, state) in MSRS.iter().zip(states) {
            assert!(caps.set(msr.index, state));
        }
        caps
    })
}

proptest! {
    #[test]
    fn what_the_module_logs_is_read_as_it_was(caps in any_caps(), seconds in 0.0..1e6) {
        let mut log = String::new();
        report::of_values(&caps, &mut Plain::new(&mut log));
        let line = |line| format!("[{seconds:12.6}] vmx_caps: {line}\n");
        let dmesg: String = log.lines().map(line).collect();
        let known = read(&dmesg);
        prop_assert_eq!(known.caps, caps);
        prop_assert!(known.complete && known.notes.is_empty());
    }

    #[test]
    fn no_text_does_worse_than_an_error(text in any::<String>(), first in any::<Option<u32>>()) {
        let _ = parse::text(&text, "fuzz", first);
        let _ = profile::parse(&text, "fuzz");
        let _ = vmxscope::view::View::parse(&text, "fuzz");
    }

    #[test]
    fn no_log_that_was_cut_and_mixed_does_worse_than_an_error(
        pieces in prop::collection::vec((0..4usize, any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,9}"), 0..20)
    ) {
        let samples = [COURSE, VIRTUALBOX, RDMSR, "msr 0x480 IA32_VMX_BASIC 0xda040000000004\npin-based controls\n  Hex: 0x1\n  NMI exiting   yes\n"];
        let mut text = String::new();
        for (sample, from, to, noise) in pieces {
            let sample = samples[sample];
            let (a, b) = (from.index(sample.len()), to.index(sample.len()));
            text += &sample[a.min(b)..a.max(b)];
            text += &noise;
        }
        let _ = parse::text(&text, "fuzz", None);
    }

    #[test]
    fn vmxcaps_words_give_the_same_answers(may in any::<[u32; 5]>(), must in any::<[u32; 5]>()) {
        let mut values = BTreeMap::new();
        for (place, (index, true_index, default1)) in [
            (0x481, 0x48d, 0x16u32),
            (0x482, 0x48e, 0x0401_e172),
            (0x483, 0x48f, 0x0003_6dff),
            (0x484, 0x490, 0x11ff),
            (0x48b, 0x48b, 0),
        ]
        .into_iter()
        .enumerate()
        {
            // A value of 0 is what vmxcap prints for an MSR that is not there.
            let may = may[place] | default1 | 0x8000_0088;
            let must = must[place] & may & if index == 0x48b { 0 } else { !0 };
            values.insert(index, (u64::from(may) << 32) | u64::from(must | default1));
            values.insert(true_index, (u64::from(may) << 32) | u64::from(must));
        }
        let known = Known::of_values("values", &values);
        let again = read(&as_vmxcap(&values));
        // Its words tell the plain MSR's value, too: `default` is what only that one wants.
        for (&index, &value) in &values {
            let msr = by_index(index).unwrap();
            let named = msr.named() | (msr.named() << 32);
            let Fact::Value(read) = again.fact(msr) else {
                panic!("{} is not told", msr.name);
            };
            prop_assert_eq!(read & named, value & named, "{}", msr.name);
        }
        for item in Item::all() {
            if let Item::Control(..) = item {
                prop_assert_eq!(item.said_by(&known), item.said_by(&again), "{}", item.name());
            }
        }
    }
}
