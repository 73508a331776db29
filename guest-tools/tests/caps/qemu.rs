// SPDX-License-Identifier: GPL-2.0
//! QEMU's words, and libvirt's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{json, Value};
use vmxscope::caps::known::{Item, Known};
use vmxscope::caps::models::{self, CpuModel};
use vmxscope::caps::profile::Need;
use vmxscope::caps::qemu;

use crate::common::{failure, printed, run, Machine};
use crate::Files;

#[test]
fn a_complaint_of_qemu_is_explained_from_its_log() {
    let files = Files::new();
    // As in virt-manager's issues 234 and 235.
    let log = "\
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48DH).vmx-posted-intr [bit 7]
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48EH).vmx-cr3-load-noexit [bit 15]
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48DH).vmx-posted-intr [bit 7]
2021-03-01T10:00:00Z qemu-system-x86_64: warning: host doesn't support requested feature: MSR(48CH).vmx-invept-single-context [bit 41]
";
    let file = files.write("qemu.log", log);
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
}

#[test]
fn a_pool_is_told_in_qemus_and_libvirts_words() {
    let files = Files::new();
    let one = files.write("one", "0x481 0x7f00000016\n0x48d 0x7f00000016\n");
    let two = files.write("two", "0x481 0xff00000016\n0x48d 0xff00000016\n");
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
    let cr3 = files.write(
        "cr3",
        "0x482 0xfff9fffe0401e172\n0x48e 0xfff9fffe04006172\n",
    );
    let line = printed(&Machine::stock(), &["caps", "common", "--qemu", &cr3]);
    assert!(line.contains(",vmx-cr3-load-noexit=on,"), "{line}");
    // Two bits have the SDM's names in libvirt, and others' in QEMU.
    let ept = files.write("ept", "0x48c 0xf0106734141\n");
    let common = |words| printed(&Machine::stock(), &["caps", "common", words, &ept]);
    let (line, xml) = (common("--qemu"), common("--libvirt"));
    let qemus = ",vmx-invept-single-context-noglobals=on";
    assert!(line.contains(qemus) && !line.contains("invvpid-single-context"));
    for name in ["", "-noglobals"] {
        let feature = format!("'require' name='vmx-invvpid-single-context{name}'/>");
        assert!(xml.contains(&feature), "{xml}");
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

/// QEMU's answers, one a question.
fn asked(questions: &[Value]) -> Vec<Value> {
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-machine", "q35", "-accel", "tcg", "-nodefaults", "-S"])
        .args(["-display", "none", "-qmp", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("qemu-system-x86_64 runs; `make setup` unpacks it");
    let mut to = qemu.stdin.take().unwrap();
    let mut lines = BufReader::new(qemu.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let mut ask = |question: &Value| -> Value {
        writeln!(to, "{question}").unwrap();
        let answer: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert!(answer["return"] != Value::Null, "{question}: {answer}");
        answer["return"].clone()
    };
    ask(&json!({"execute": "qmp_capabilities"}));
    let answers = questions.iter().map(ask).collect();
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    answers
}

/// The columns of the table of models: each MSR of which QEMU names bits.
const MSRS: [u32; 9] = [
    0x480, 0x481, 0x482, 0x483, 0x484, 0x485, 0x48b, 0x48c, 0x491,
];

/// The table of models, as QEMU itself has them.
fn table_of_qemu() -> String {
    let definitions = asked(&[json!({"execute": "query-cpu-definitions"})]).remove(0);
    let mut aliases = BTreeMap::<&str, Vec<&str>>::new();
    let mut names = Vec::new();
    for one in definitions.as_array().unwrap() {
        let name = one["name"].as_str().unwrap();
        match one["alias-of"].as_str() {
            Some(of) => aliases.entry(of).or_default().push(name),
            None => names.push(name),
        }
    }
    names.sort_unstable();
    let expand = |name: &&str| {
        let model = json!({"name": name, "props": {"vmx": true}});
        json!({"execute": "query-cpu-model-expansion",
               "arguments": {"type": "full", "model": model}})
    };
    // What follows the machine that QEMU runs on is no model.
    names.retain(|name| !["max", "base", "host"].contains(name));
    let questions: Vec<Value> = names.iter().map(expand).collect();
    let mut table = "model\taliases".to_string();
    MSRS.iter().for_each(|msr| table += &format!("\t{msr:#x}"));
    for (name, answer) in names.iter().zip(asked(&questions)) {
        let properties = &answer["model"]["props"];
        let mut masks = BTreeMap::from(MSRS.map(|msr| (msr, 0u64)));
        for item in Item::all() {
            if let Some(property) = qemu::name(&item) {
                let has = properties[&property].as_bool().unwrap();
                *masks.get_mut(&item.msr().index).unwrap() |= u64::from(has) << item.bit();
            }
        }
        if masks.values().all(|mask| *mask == 0) {
            continue;
        }
        let aliases = aliases
            .get(name)
            .map_or("-".into(), |names| names.join(","));
        table += &format!("\n{name}\t{aliases}");
        masks
            .values()
            .for_each(|mask| table += &format!("\t{mask:#x}"));
    }
    table + "\n"
}

#[test]
fn the_models_are_those_of_qemu_itself() {
    let theirs = table_of_qemu();
    let ours = include_str!("../../profiles/qemu-models.tsv").lines();
    let ours: Vec<&str> = ours.filter(|line| !line.starts_with('#')).collect();
    if ours != theirs.lines().collect::<Vec<&str>>() {
        let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/qemu-models.tsv");
        std::fs::write(file, &theirs).unwrap();
        panic!("profiles/qemu-models.tsv is not what QEMU says, which is in {file}");
    }
}

/// The real CPU of this dump, which others published.
fn real(dump: &str) -> Known {
    let table = include_str!("../../../tests/dumps/real-cpus.tsv").lines();
    let mut lines = table.filter(|line| !line.starts_with('#'));
    let head: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let mut rows = lines.map(|line| line.split('\t').collect::<Vec<&str>>());
    let row = rows.find(|row| row[2] == dump).expect(dump);
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let cells = head
        .iter()
        .zip(&row)
        .skip(3)
        .filter(|(_, cell)| **cell != "-");
    let values = cells.map(|(title, cell)| (hex(title) as u32, hex(cell)));
    Known::of_values(dump, &values.collect())
}

/// What of a model a CPU lacks, as far as it is told.
fn lacking(model: &str, cpu: &Known) -> Vec<String> {
    let profile = models::profile(model).expect(model);
    let told = profile.needs.iter().filter_map(|(need, item)| {
        let there = match need {
            Need::Clearable => vmxscope::caps::compare::can_clear(item, cpu),
            _ => vmxscope::caps::compare::can_set(item, cpu),
        };
        (there == Ok(false)).then(|| item.name().to_string())
    });
    told.collect()
}

#[test]
fn real_cpus_have_what_the_models_of_their_generation_ask_for() {
    for (dump, model) in [
        ("GenuineIntel00106D1_Dunnington_CPUID", "Penryn"),
        ("GenuineIntel00206C2_Gulftown_01_CPUID", "Nehalem"),
        ("GenuineIntel00206C2_Gulftown_01_CPUID", "Westmere"),
        ("GenuineIntel00206D6_SandyBridgeE_CPUID", "SandyBridge"),
        ("GenuineIntel00306F2_HaswellEP_00_CPUID", "Haswell"),
        ("GenuineIntel00406F1_BroadwellE_02_CPUID", "Broadwell"),
        ("GenuineIntel00506E3_Skylake_CPUID", "Skylake-Client"),
        ("GenuineIntel0050654_SkylakeXeon_CPUID6", "Skylake-Server"),
        (
            "GenuineIntel0050657_CascadeLakeSP_CPUID1",
            "Cascadelake-Server",
        ),
        ("GenuineIntel00606A6_ICX_CPUID3", "Icelake-Server"),
        (
            "GenuineIntel00C06F2_EmeraldRapids_01_CPUID",
            "SapphireRapids",
        ),
    ] {
        let lacks = lacking(model, &real(dump));
        assert!(lacks.is_empty(), "{dump} lacks of {model}: {lacks:#?}");
    }
    // And what came later is missed.
    let old = real("GenuineIntel00106D1_Dunnington_CPUID");
    let lacks = lacking("Nehalem", &old);
    assert!(lacks.contains(&"Enable EPT".into()), "{lacks:#?}");
    let old = real("GenuineIntel00206D6_SandyBridgeE_CPUID");
    let lacks = lacking("Haswell", &old);
    for name in ["Enable INVPCID", "VMCS shadowing", "RDRAND exiting"] {
        assert!(lacks.contains(&name.into()), "{name}: {lacks:#?}");
    }
}

#[test]
fn a_model_that_a_host_cannot_give_comes_with_the_option_that_it_can() {
    let files = Files::new();
    let log = "0x480 0xda040000000004\n0x481 0x3f00000016\n0x48d 0x3f00000016\n";
    let file = files.write("host", log);
    let words = ["caps", "need", "skylake-server-V4", "--from", &file];
    let (status, text) = run(&Machine::stock(), &words);
    assert_eq!(status.unwrap(), 1, "{text}");
    assert!(text.starts_with("QEMU's CPU model Skylake-Server-v4 on "));
    let option = "-cpu Skylake-Server-v4,vmx=on,vmx-preemption-timer=off,vmx-posted-intr=off\n";
    assert!(text.contains(option), "{text}");
    let (status, message) = failure(&Machine::stock(), &["caps", "need", "Skylark"]);
    assert!(
        status == 2 && message.contains("Skylake-Server, "),
        "{message}"
    );
}

#[test]
fn every_row_of_the_models_is_whole() {
    for model in CpuModel::all() {
        assert_eq!(model.masks().count(), MSRS.len(), "{}", model.name);
        let bits: u32 = model.masks().map(|(_, mask)| mask.count_ones()).sum();
        let needs = model.profile().needs.len() as u32;
        assert_eq!(needs, bits, "{}: a bit is in no table", model.name);
    }
}
