// SPDX-License-Identifier: GPL-2.0
//! Expect that capabilities are read out of what people have, and that no input, be
//! it what it may, does worse than an error.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{failure, printed, run, Machine};
use insta::assert_snapshot;
use proptest::prelude::*;
use vmx_caps::tables::{MSRS, SECTIONS};
use vmxscope::caps::known::{Fact, Item, Known};
use vmxscope::caps::{compare, need, parse, qemu};

/// The i5-9300H under VMware of a published solution to the course.
const COURSE: &str = "\
[  812.40] CMPE 283 Assignment 1 Module Start
[  812.41] Pinbased Controls MSR: 0x3f00000016
[  812.41]   External Interrupt Exiting: Can set=Yes, Can clear=Yes
[  812.42] Primary Procbased Controls MSR: 0xfff9fffe0401e172
[  812.43] Secondary Procbased Controls MSR: 0x553cfe00000000
[  812.44] VM-Entry Controls MSR: 0xf3ff000011ff
[  812.45] VM-Exit Controls MSR: 0x3fffff00036dff
";

/// Lines as VirtualBox logs them; the values were published.
const VIRTUALBOX: &str = "\
00:00:02.114 HM: Using VT-x implementation 3.0
00:00:02.114 HM: Feature control MSR               = 0x5
00:00:02.114 HM: MSR_IA32_VMX_BASIC                = 0xda040000000004
00:00:02.114 HM:   VMCS id                         = 0x4
00:00:02.114 HM: MSR_IA32_VMX_PINBASED_CTLS        = 0x7f00000016
00:00:02.114 HM: MSR_IA32_VMX_TRUE_PROCBASED_CTLS  = 0xfff9fffe04006172
00:00:02.114 HM: MSR_IA32_VMX_CR0_FIXED0           = 0x80000021
00:00:02.114 HM: MSR_IA32_VMX_CR0_FIXED1           = 0xffffffff
00:00:02.114 HM: MSR_IA32_VMX_EPT_VPID_CAP         = 0xf0106734141
";

const RDMSR: &str = "\
root@host:~# rdmsr 0x480
da040000000004
root@host:~# rdmsr -p 0 -0 0x481
0000007f00000016
root@host:~# rdmsr 0x492
rdmsr: CPU 0 cannot read MSR 0x00000492
";

fn read(text: &str) -> Known {
    parse::text(text, "test", None).unwrap()
}

fn values(known: &Known) -> Vec<(u32, u64)> {
    let facts = MSRS.iter().map(|msr| (msr.index, known.fact(msr)));
    facts
        .filter_map(|(index, fact)| match fact {
            Fact::Value(value) => Some((index, value)),
            _ => None,
        })
        .collect()
}

fn written(name: &str, text: &str) -> String {
    let name = format!("vmxscope-caps-{}-{name}", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().into()
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
    let file = written("again", COURSE);
    for form in [&["--json"][..], &["--log"]] {
        let words = [&["caps", "--from", &file], form].concat();
        let text = printed(&Machine::stock(), &words);
        assert_eq!(values(&read(&text)), values(&read(COURSE)), "{form:?}");
    }
    std::fs::remove_file(file).unwrap();
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
fn two_machines_differ_by_name() {
    let (a, b) = (written("a", COURSE), written("b", VIRTUALBOX));
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
    std::fs::remove_file(a).unwrap();
    std::fs::remove_file(b).unwrap();
}

#[test]
fn what_a_hypervisor_misses_is_named() {
    let file = written("need", COURSE);
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
    std::fs::remove_file(file).unwrap();
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
    let file = written("cut", CUT);
    let profile = written(
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
    let old = written("old", &CUT.replace("0xda04", "0x5a04"));
    let (status, text) = need(&old);
    assert_eq!(status.unwrap(), 1, "{text}");
    assert!(text.contains("MISSING    CR3-load exiting"), "{text}");
    // And what is not told differs from nothing.
    let whole = written("whole", &format!("{CUT}0x48e 0xfff9fffe04006172\n"));
    let (status, text) = run(&Machine::stock(), &["caps", "diff", &file, &whole]);
    assert_eq!(
        (status.unwrap(), text.contains("CR3-load exiting")),
        (0, false),
        "{text}"
    );
    for file in [file, profile, old, whole] {
        std::fs::remove_file(file).unwrap();
    }
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
    std::fs::write(&path, CUT).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    let output = command
        .args(["caps", "--from"])
        .arg(&path)
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_complaint_of_qemu_is_explained_from_its_log() {
    // As in virt-manager's issues 234 and 235.
    let log = "\
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48DH).vmx-posted-intr [bit 7]
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48EH).vmx-cr3-load-noexit [bit 15]
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48DH).vmx-posted-intr [bit 7]
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48CH).vmx-invept-single-context [bit 41]
";
    let file = written("qemu.log", log);
    let (status, text) = run(&Machine::stock(), &["caps", "explain", &file]);
    assert_eq!(status.unwrap(), 1);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(
        lines[0],
        "Process posted interrupts (vmx-posted-intr; IA32_VMX_TRUE_PINBASED_CTLS 0x48d bit 7): it cannot be set"
    );
    assert_eq!(
        lines[1],
        "CR3-load exiting (vmx-cr3-load-noexit; IA32_VMX_TRUE_PROCBASED_CTLS 0x48e bit 15): it cannot be cleared"
    );
    assert!(lines[2].contains("INVVPID"), "{text}");
    std::fs::write(&file, "nothing of this kind\n").unwrap();
    assert_eq!(failure(&Machine::stock(), &["caps", "explain", &file]).0, 4);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_pool_is_told_in_qemus_and_libvirts_words() {
    let one = written("one", "0x481 0x7f00000016\n0x48d 0x7f00000016\n");
    let two = written("two", "0x481 0xff00000016\n0x48d 0xff00000016\n");
    let line = printed(&Machine::stock(), &["caps", "common", "--qemu", &one, &two]);
    assert_eq!(
        line,
        "-cpu host,vmx=on,vmx-intr-exit=on,vmx-nmi-exit=on,vmx-vnmi=on,vmx-preemption-timer=on,vmx-posted-intr=off\n"
    );
    let xml = printed(
        &Machine::stock(),
        &["caps", "common", "--libvirt", &one, &two],
    );
    assert!(
        xml.contains("<feature policy='disable' name='vmx-posted-intr'/>"),
        "{xml}"
    );
    assert!(
        xml.starts_with("<cpu mode='host-model'>\n") && xml.ends_with("</cpu>\n"),
        "{xml}"
    );
    // Where a control is in the default1 class, the feature is that it can be 0.
    let cr3 = written(
        "cr3",
        "0x482 0xfff9fffe0401e172\n0x48e 0xfff9fffe04006172\n",
    );
    let line = printed(&Machine::stock(), &["caps", "common", "--qemu", &cr3]);
    assert!(line.contains(",vmx-cr3-load-noexit=on,"), "{line}");
    for file in [one, two, cr3] {
        std::fs::remove_file(file).unwrap();
    }
}

/// The private tools have a QEMU, whose list of properties is not ours.
#[test]
fn every_name_of_qemu_is_known_and_no_other() {
    let output = std::process::Command::new("qemu-system-x86_64")
        .args(["-cpu", "help"])
        .output()
        .expect("qemu-system-x86_64 runs; `make setup` unpacks it");
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: BTreeSet<String> = text
        .split_whitespace()
        .filter(|word| word.starts_with("vmx-"))
        .map(str::to_string)
        .collect();
    assert!(theirs.len() > 80, "{theirs:?}");
    let ours: BTreeSet<String> = Item::all().filter_map(|item| qemu::name(&item)).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn every_name_in_the_profiles_is_one_of_the_tables() {
    for (name, text) in need::BUILT_IN {
        let profile = need::parse(text, name).unwrap_or_else(|error| panic!("{error}"));
        assert!(profile.needs.len() > 10, "{name}");
    }
    let error = |text| need::parse(text, "own.toml").err().unwrap().to_string();
    assert_eq!(
        error("[pin]\nrequired = [\n\"Nonsense\"]"),
        "own.toml:3: \"Nonsense\" is nothing that section pin has"
    );
    assert!(error("[pins]\nrequired = []").starts_with("own.toml:1: there is no section \"pins\""));
    assert!(error("\n[pin\n").starts_with("own.toml:2: not a profile"));
    // Linux's macros are names, too.
    need::parse("[secondary]\noptional = [\"VMX_FEATURE_EPT\"]", "own.toml").unwrap();
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

proptest! {
    #[test]
    fn no_text_does_worse_than_an_error(text in any::<String>(), first in any::<Option<u32>>()) {
        let _ = parse::text(&text, "fuzz", first);
        let _ = need::parse(&text, "fuzz");
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
        for item in Item::all() {
            if let Item::Control(..) = item {
                prop_assert_eq!(item.said_by(&known), item.said_by(&again), "{}", item.name());
            }
        }
    }

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
