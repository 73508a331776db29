// SPDX-License-Identifier: GPL-2.0
//! Expect that each rule of advice applies to exits that it is about, and not to others.

use std::collections::BTreeSet;

use exit_stats::reason::Vendor;
use vmxscope::causes::advice::{rules, that_applies};
use vmxscope::causes::model::{Cause, CauseKind, Causes, FORMAT};

/// The rule; exits in a second to which it applies; exits to which it does not. An exit is
/// `KIND KEY TIMES`, `reason SYMBOL TIMES`, or `fact NAME VALUE`.
const CASES: [(&str, &str, &str); 48] = [
    (
        "acpi-pm-timer",
        "port-in 0x1040608 2611",
        "port-in 0x104060c 2611",
    ),
    (
        "pit",
        "port-out 0x10043 60, port-in 0x1010040 60",
        "port-in 0x1010044 900",
    ),
    (
        "rtc",
        "port-out 0x10070 100, port-in 0x1010071 100",
        "port-in 0x1010071 99",
    ),
    (
        "hpet",
        "mmio-read 0xfed000f0 100",
        "mmio-read 0xfed00400 900",
    ),
    (
        "hyperv-reference-counter",
        "msr-read 0x40000020 100",
        "msr-write 0x40000020 900",
    ),
    (
        "tsc-deadline",
        "msr-write 0x6e0 2000",
        "msr-write 0x6e0 1999",
    ),
    (
        "apic-timer-count",
        "msr-write 0x838 300, msr-read 0x839 300",
        "msr-write 0x832 900",
    ),
    (
        "preemption-timer",
        "reason PREEMPTION_TIMER 2000",
        "reason CPUID 2000",
    ),
    (
        "xapic",
        "mmio-write 0xfee000b0 500",
        "mmio-write 0xfee01000 500",
    ),
    ("ipi", "msr-write 0x830 1000", "msr-read 0x830 1000"),
    ("eoi", "msr-write 0x80b 1000", "msr-write 0x80a 1000"),
    (
        "hyperv-apic",
        "msr-write 0x40000070 1000",
        "msr-write 0x40000073 1000",
    ),
    (
        "interrupt-window",
        "reason INTERRUPT_WINDOW 1000",
        "reason NMI_WINDOW 1000",
    ),
    (
        "ioapic",
        "mmio-write 0xfec00000 500",
        "mmio-write 0xfec01000 500",
    ),
    (
        "external-interrupt",
        "reason EXTERNAL_INTERRUPT 5000",
        "reason EXTERNAL_INTERRUPT 4999",
    ),
    (
        "pic",
        "port-out 0x10020 100, port-out 0x100a0 100",
        "port-out 0x10022 500",
    ),
    ("hlt", "reason HLT 2000", "reason HLT 1999"),
    ("mwait", "reason MWAIT_INSTRUCTION 500", "reason HLT 500"),
    (
        "pause",
        "reason PAUSE_INSTRUCTION 500",
        "reason PAUSE_INSTRUCTION 499",
    ),
    ("pv-kick", "hypercall 0x5 500", "hypercall 0x9 500"),
    ("pv-ipi", "hypercall 0xa 1000", "hyperv-hypercall 0xa 1000"),
    ("pv-yield", "hypercall 0xb 500", "hypercall 0xc 500"),
    (
        "hyperv-tlb-flush",
        "hyperv-hypercall 0x13 1000",
        "hyperv-hypercall 0x15 1000",
    ),
    (
        "hyperv-spin",
        "hyperv-hypercall 0x8 500",
        "hypercall 0x8 500",
    ),
    (
        "ept-violation",
        "page 0x1001 1500, page 0x7fff002 600",
        "page 0x1001 2100, fact kvm_intel.ept N",
    ),
    (
        "shadow-paging",
        "page 0x1001 500, fact kvm_amd.npt N",
        "page 0x1001 500, fact kvm_intel.ept Y",
    ),
    (
        "cr3",
        "control-register 0x3 400, control-register 0x103 100",
        "control-register 0x4 900",
    ),
    ("invlpg", "reason INVLPG 500", "reason INVD 500"),
    (
        "async-page-fault",
        "msr-write 0x4b564d07 20",
        "msr-write 0x4b564d02 20",
    ),
    (
        "mmio-write",
        "mmio-write 0xfebc0018 1000",
        "mmio-write 0xfee000b0 1000",
    ),
    (
        "mmio-read",
        "mmio-read 0x380000000 1000",
        "mmio-read 0xfed000f0 1000",
    ),
    (
        "ioeventfd",
        "ioeventfd 0xfe003000 20000",
        "mmio-write 0xfe003000 20000",
    ),
    (
        "serial-console",
        "port-out 0x103f8 150, port-in 0x10103fd 150",
        "port-out 0x10400 500",
    ),
    (
        "debug-console",
        "port-out 0x10402 200",
        "port-in 0x1010402 200",
    ),
    ("io-delay", "port-out 0x10080 100", "port-out 0x10081 100"),
    (
        "pci-configuration",
        "port-out 0x40cf8 100, port-in 0x1040cfc 100",
        "port-out 0x10cf9 500",
    ),
    ("i8042", "port-in 0x1010064 100", "port-in 0x1010061 100"),
    ("ide", "port-in 0x10101f7 100", "port-in 0x10101f8 100"),
    ("vga", "mmio-write 0xb8000 200", "mmio-write 0xc0000 200"),
    ("fw-cfg", "port-in 0x1010511 500", "port-out 0x40514 500"),
    (
        "vmware-backdoor",
        "port-in 0x1045658 100",
        "port-in 0x104565a 100",
    ),
    ("cpuid", "cpuid 0x0 600, cpuid 0x1 600", "cpuid 0x0 600"),
    (
        "debug-registers",
        "debug-register 0x7 500",
        "control-register 0x7 500",
    ),
    ("xsetbv", "reason XSETBV 100", "reason XSETBV 99"),
    ("wbinvd", "reason WBINVD 10", "reason INVD 10"),
    (
        "guest-pmu",
        "msr-write 0x186 250, msr-read 0xc1 250",
        "msr-write 0x18e 900",
    ),
    (
        "energy-and-temperature",
        "msr-read 0x611 20",
        "msr-read 0x650 20",
    ),
    (
        "nested-vmcs",
        "reason VMREAD 500, reason VMWRITE 500",
        "reason VMRESUME 1000",
    ),
];

fn kind(text: &str) -> CauseKind {
    serde_json::from_str(&format!("\"{text}\"")).unwrap()
}

fn causes(text: &str) -> Causes {
    let mut causes = Causes {
        format: FORMAT.into(),
        vm: None,
        vendor: Vendor::Vmx,
        tsc_khz: 0,
        seconds: 1.0,
        exits: 0,
        reasons: Vec::new(),
        causes: Vec::new(),
        places: Vec::new(),
        source: Default::default(),
        rest: 0,
        dropped: Default::default(),
        facts: Default::default(),
    };
    for part in text.split(", ") {
        let words: Vec<&str> = part.split(' ').collect();
        let [kind_, what, value] = words[..] else {
            panic!("{part}");
        };
        let exits = || value.parse::<u64>().unwrap();
        match kind_ {
            "fact" => {
                causes.facts.insert(what.into(), value.into());
            }
            "reason" => {
                let number = vmxscope::names::number(Vendor::Vmx, what).unwrap();
                let mut cause = Cause::counted(CauseKind::Reason, None, exits());
                cause.reason = Some(number);
                causes.reasons.push(cause);
            }
            name => {
                let key = u64::from_str_radix(what.strip_prefix("0x").unwrap(), 16).unwrap();
                let cause = Cause::counted(kind(name), Some(key), exits());
                causes.causes.push(cause);
            }
        }
    }
    causes
}

fn applying(text: &str) -> Vec<String> {
    let advice = that_applies(&causes(text)).unwrap();
    advice.into_iter().map(|advice| advice.rule).collect()
}

#[test]
fn each_rule_applies_to_what_it_is_about_and_not_to_its_neighbours() {
    for (rule, fires, silent) in CASES {
        assert_eq!(applying(fires), [rule], "{fires}");
        let others = applying(silent);
        assert!(!others.contains(&rule.to_string()), "{rule}: {silent}");
    }
}

#[test]
fn each_rule_has_a_case_a_name_of_its_own_and_a_source() {
    let rules = rules().unwrap();
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    let cases: BTreeSet<&str> = CASES.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(ids.len(), rules.len());
    assert_eq!(ids, cases);
    assert!(rules.len() >= 20);
    let known = ["Linux ", "Intel SDM ", "QEMU docs", "Virtio specification "];
    for rule in &rules {
        let source = &rule.source;
        assert!(
            known.iter().any(|known| source.starts_with(known)),
            "{source}"
        );
    }
}

#[test]
fn advice_is_a_line_with_the_cause_its_rate_and_what_to_do() {
    let advice = that_applies(&causes("port-in 0x1040608 2611")).unwrap();
    assert_eq!(
        advice[0].line(),
        "port 0x608, 2,611/s: the guest reads the ACPI PM timer; \
         use kvm-clock or an invariant TSC as the guest's clocksource"
    );
    let advice = that_applies(&causes("page 0x1001 1500, page 0x2002 500, page 0x3001 1")).unwrap();
    assert!(advice[0]
        .line()
        .starts_with("page 0x1000 and 2 others, 2,001/s: "));
}

#[test]
fn what_makes_most_exits_comes_first() {
    let text = "msr-write 0x830 1000, port-out 0x10080 100, reason HLT 5000";
    assert_eq!(applying(text), ["hlt", "ipi", "io-delay"]);
}

#[test]
fn reasons_of_amd_are_known_by_their_own_names() {
    let mut causes = causes("reason HLT 1");
    causes.vendor = Vendor::Svm;
    causes.reasons[0].reason = Some(0x77);
    causes.reasons[0].exits = 500;
    let advice = that_applies(&causes).unwrap();
    assert!(
        advice[0].line().starts_with("PAUSE, 500/s: "),
        "{}",
        advice[0].line()
    );
}
