// SPDX-License-Identifier: GPL-2.0
//! The tables against the headers of a kernel: every number that both have.
//!
//! VMXSCOPE_KERNEL_TREES names kernel source trees, separated by colons; `make test` sets
//! it. The test works in both directions, so that neither a wrong bit of ours nor a bit
//! that only Linux knows goes unnoticed; what is known to differ is listed below
//! with the reason.
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vmx_caps::msr::{Control, Kind, Msr};
use vmx_caps::tables::{entry, exit, pin, primary, secondary, tertiary, vmfunc, MSRS};

const HEADERS: [&str; 4] = [
    "asm/vmxfeatures.h",
    "asm/vmx.h",
    "asm/msr-index.h",
    "uapi/asm/processor-flags.h",
];

/// Macros that a table names and that some supported kernel lacks.
const NEWER_THAN_6_12: &[&str] = &[
    "VM_EXIT_LOAD_CET_STATE",
    "VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL",
    "VM_ENTRY_LOAD_CET_STATE",
    "VMX_BASIC_NO_HW_ERROR_CODE_CC",
    "VMX_BASIC_NO_SEAMRET_INVD_VMCS",
    "VMX_EPT_ADVANCED_VMEXIT_INFO_BIT",
    "X86_CR4_LASS_BIT",
];

/// MSRs and bits of CR4 that no supported kernel has a macro for; tests/sdm.rs has the bits.
const NOT_IN_LINUX: &[(&str, &str)] = &[
    (
        "MSR_IA32_VMX_EXIT_CTLS2",
        "KVM does not use the secondary VM-exit controls",
    ),
    ("X86_CR4_KL_BIT", "Linux does not use Key Locker"),
    ("X86_CR4_PKS_BIT", "Linux does not use supervisor keys"),
    ("X86_CR4_UINTR_BIT", "Linux does not use user interrupts"),
];

/// Macros of Linux in the searched families that are no number of an MSR's.
const NOT_OF_AN_MSR: &[(&str, &str)] = &[
    (
        "VMX_FEATURE_INVVPID",
        "scattered: Linux's own bit for an EPT and VPID capability",
    ),
    ("VMX_FEATURE_EPT_EXECUTE_ONLY", "scattered: Linux's own bit"),
    ("VMX_FEATURE_EPT_AD", "scattered: Linux's own bit"),
    ("VMX_FEATURE_EPT_1GB", "scattered: Linux's own bit"),
    ("VMX_FEATURE_EPT_5LEVEL", "scattered: Linux's own bit"),
    ("VMX_FEATURE_FLEXPRIORITY", "two controls in one"),
    ("VMX_FEATURE_APICV", "four controls in one"),
    ("VMX_EPT_IPAT_BIT", "a bit of an EPT entry"),
    ("VMX_EPT_ACCESS_BIT", "a bit of an EPT entry"),
    ("VMX_EPT_DIRTY_BIT", "a bit of an EPT entry"),
    ("VMX_EPT_SUPPRESS_VE_BIT", "a bit of an EPT entry"),
    ("VMX_EPTP_AD_ENABLE_BIT", "a bit of the EPT pointer"),
];

/// How many bits Linux shifts a macro's number against the MSR's bit.
const VMFUNC_SHIFT: u64 = 28;
const VPID_SHIFT: u64 = 32;

type Macros = BTreeMap<String, u64>;

#[test]
#[ignore = "it needs kernel source trees: `make test` runs it"]
fn every_number_that_the_kernels_headers_have_too_is_the_same() {
    let trees = std::env::var("VMXSCOPE_KERNEL_TREES");
    let trees = trees.expect("VMXSCOPE_KERNEL_TREES names kernel source trees");
    for tree in trees.split(':') {
        match check(Path::new(tree)) {
            Ok(count) => println!("{tree}: {count} numbers agree"),
            Err(errors) => panic!("{tree}:\n{}", errors.join("\n")),
        }
    }
}

fn check(tree: &Path) -> Result<usize, Vec<String>> {
    let mut macros = Macros::new();
    for header in HEADERS {
        let path = tree.join("arch/x86/include").join(header);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| vec![format!("{}: {error}", path.display())])?;
        macros.extend(text.lines().filter_map(define));
    }
    let ours = ours();
    let mut errors = Vec::new();
    let mut agree = 0;
    for (name, number) in &ours {
        let excused = NEWER_THAN_6_12.contains(&name.as_str())
            || NOT_IN_LINUX.iter().any(|(other, _)| other == name);
        match macros.get(name) {
            Some(theirs) if theirs == number => agree += 1,
            Some(theirs) => errors.push(format!("{name} is {theirs:#x} there, {number:#x} here")),
            None if excused => {}
            None => errors.push(format!("{name} is not there")),
        }
    }
    let names: BTreeSet<&String> = ours.keys().collect();
    for name in macros.keys().filter(|name| searched(name)) {
        let listed = NOT_OF_AN_MSR.iter().any(|(other, _)| other == name);
        if !names.contains(name) && !listed {
            errors.push(format!("{name} is not in the tables"));
        }
        if names.contains(name) && listed {
            errors.push(format!(
                "{name} is listed as unknown to the tables, which have it"
            ));
        }
    }
    for (name, reason) in NOT_OF_AN_MSR {
        if !macros.contains_key(*name) {
            errors.push(format!("{name} ({reason}) is gone: take it off the list"));
        }
    }
    // A parser that finds nothing would agree with everything.
    if agree < 160 {
        errors.push(format!("only {agree} numbers were found in both"));
    }
    if errors.is_empty() {
        Ok(agree)
    } else {
        Err(errors)
    }
}

/// What Linux should have, by the tables.
fn ours() -> Macros {
    let mut all = Macros::new();
    for msr in MSRS {
        let name = match msr.name {
            "IA32_FEATURE_CONTROL" => "MSR_IA32_FEAT_CTL".to_owned(),
            name => format!("MSR_{name}"),
        };
        all.insert(name, u64::from(msr.index));
        if let Kind::Fixed { bits, .. } = msr.kind {
            // The names of their bits are Linux's as well.
            let register = if msr.name.contains("CR0") {
                "CR0"
            } else {
                "CR4"
            };
            let of = |bit: &Control| format!("X86_{register}_{}_BIT", bit.name);
            all.extend(bits.iter().map(|bit| (of(bit), u64::from(bit.bit))));
        }
        for control in msr.controls() {
            if let Some(linux) = control.linux {
                all.insert(linux.to_owned(), control_in_linux(msr, control.bit));
            }
        }
        if let Kind::Fields { fields } = msr.kind {
            for field in fields {
                let Some(linux) = field.linux else { continue };
                let mask = if linux.starts_with("VMX_VPID_") {
                    field.mask() >> VPID_SHIFT
                } else {
                    field.mask()
                };
                all.insert(linux.to_owned(), mask);
            }
        }
    }
    for (name, default1) in [
        ("PIN_BASED_ALWAYSON_WITHOUT_TRUE_MSR", pin::DEFAULT1),
        ("CPU_BASED_ALWAYSON_WITHOUT_TRUE_MSR", primary::DEFAULT1),
        ("VM_EXIT_ALWAYSON_WITHOUT_TRUE_MSR", exit::DEFAULT1),
        ("VM_ENTRY_ALWAYSON_WITHOUT_TRUE_MSR", entry::DEFAULT1),
    ] {
        all.insert(name.to_owned(), u64::from(default1));
    }
    all
}

/// vmxfeatures.h numbers the execution controls by word and bit; vmx.h has a
/// mask for each exit and entry control.
fn control_in_linux(msr: &Msr, bit: u8) -> u64 {
    let bit = u64::from(bit);
    let word = |word: u64| word * 32 + bit;
    match msr.index {
        index if index == pin::PLAIN.index || index == pin::TRUE.index => word(0),
        index if index == primary::PLAIN.index || index == primary::TRUE.index => word(1),
        index if index == secondary::MSR.index => word(2),
        index if index == tertiary::MSR.index => word(3),
        index if index == vmfunc::MSR.index => VMFUNC_SHIFT + bit,
        _ => 1 << bit,
    }
}

/// Whether a macro is of a family that the tables should know.
fn searched(name: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let mask = starts(&["VMX_EPT_", "VMX_EPTP_", "VMX_VPID_"]) && name.ends_with("_BIT");
    let misc = starts(&["VMX_BASIC_", "VMX_MISC_"]) && !name.ends_with("_MASK");
    let register = starts(&["X86_CR0_", "X86_CR4_"]) && name.ends_with("_BIT");
    let number = !name.ends_with("_SHIFT") && name != "VMX_MISC_MSR_LIST_MULTIPLIER";
    mask || register
        || misc && number
        || starts(&[
            "VMX_FEATURE_",
            "VM_EXIT_",
            "VM_ENTRY_",
            "MSR_IA32_VMX_",
            "FEAT_CTL_",
        ])
}

/// `#define NAME NUMBER`, in the few ways in which these headers write it.
fn define(line: &str) -> Option<(String, u64)> {
    let rest = line.strip_prefix("#define")?.trim_start();
    let (name, value) = rest.split_once(char::is_whitespace)?;
    let value = value.split("/*").next()?.trim();
    let inner = |prefix: &str| value.strip_prefix(prefix)?.strip_suffix(')').map(str::trim);
    let number = if let Some(bit) = inner("BIT_ULL(").or(inner("BIT(")) {
        1u64.checked_shl(bit.parse().ok()?)?
    } else if let Some(expression) = inner("(") {
        arithmetic(expression)?
    } else {
        literal(value)?
    };
    Some((name.to_owned(), number))
}

/// `1ull << 6`, `1ull`, `2*32+ 5`.
fn arithmetic(text: &str) -> Option<u64> {
    if let Some((value, shift)) = text.split_once("<<") {
        return literal(value)?.checked_shl(shift.trim().parse().ok()?);
    }
    match text.split_once('+') {
        Some((product, bit)) => {
            let (word, width) = product.split_once('*')?;
            Some(literal(word)? * literal(width)? + literal(bit)?)
        }
        None => literal(text),
    }
}

fn literal(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches(['u', 'l', 'U', 'L']);
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
