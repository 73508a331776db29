// SPDX-License-Identifier: GPL-2.0
//! Expect that causes have the names that the manuals, or the guest's own files, give them.

mod common;

use std::fs;

use common::causes::{causes_of, shown};
use vmxscope::causes::model::{Cause, CauseKind};

#[test]
fn the_guests_own_files_give_better_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let ioports = file("ioports", "0070-0071 : rtc_cmos\n");
    let iomem = file("iomem", "fe000000-febfffff : PCI Bus 0000:00\n");
    let map = file("map", "ffffffff81000000 T _text\nffffffff81000010 T last\n");
    let mut causes = causes_of("6.12");
    causes
        .causes
        .push(Cause::counted(CauseKind::MmioWrite, Some(0xfe00_0000), 9));
    let mut place = Cause::counted(CauseKind::Reason, None, 12);
    (place.reason, place.rip) = (Some(10), Some(0xffff_ffff_8100_0004));
    causes.places = vec![place];
    let files = ["--ioports", &ioports, "--iomem", &iomem, "--symbols", &map];
    let csv = shown(&causes, &[&files[..], &["--csv"]].concat());
    let head = "table,kind,reason,key,rip,name,exits,per_second,cycles,error\n";
    assert!(csv.starts_with(head), "{csv}");
    assert!(csv.contains("causes,port-out,IO_INSTRUCTION,0x10070,,rtc_cmos,20000,1000.0,,0\n"));
    assert!(csv.contains("causes,mmio-write,,0xfe000000,,PCI Bus 0000:00,9,0.45,,0\n"));
    assert!(
        csv.contains("places,reason,CPUID,,0xffffffff81000004,_text+0x4,12,0.6,,0\n"),
        "{csv}"
    );
    let folded = shown(&causes, &[&files[..], &["--folded=places"]].concat());
    assert_eq!(folded, "CPUID;_text+0x4 12\n");
}

#[test]
fn a_cause_has_the_name_that_the_manual_gives_it() {
    let mut causes = causes_of("6.12");
    let named = [
        (CauseKind::MsrRead, 0xc000_0080, "IA32_EFER"),
        (CauseKind::MsrWrite, 0x48, "IA32_SPEC_CTRL"),
        (CauseKind::MsrWrite, 0x49, "IA32_PRED_CMD"),
        (CauseKind::MsrRead, 0x1b, "IA32_APIC_BASE"),
        (CauseKind::MsrWrite, 0x80b, "IA32_X2APIC_EOI"),
        (CauseKind::MsrWrite, 0x83f, "IA32_X2APIC_SELF_IPI"),
        (CauseKind::MsrRead, 0x480, "IA32_VMX_BASIC"),
        (CauseKind::MsrWrite, 0x4b56_4d04, "KVM_PV_EOI_EN"),
        (CauseKind::MsrRead, 0x4000_0020, "HV_X64_MSR_TIME_REF_COUNT"),
        (CauseKind::PortIn, 0x104_b008, "ACPI PM timer (pc)"),
        (CauseKind::MmioWrite, 0xfee0_0300, "local APIC ICR"),
        (CauseKind::MmioRead, 0xfed0_00f0, "HPET"),
        (CauseKind::Page, 0xb_8002, "VGA frame buffer"),
        (CauseKind::Cpuid, (3 << 32) | 0xd, "XSAVE areas"),
        (CauseKind::Cpuid, 0x8000_0008, "address sizes"),
        (CauseKind::Hypercall, 5, "KVM_HC_KICK_CPU"),
        (
            CauseKind::HypervHypercall,
            2,
            "HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE",
        ),
        (CauseKind::ApicWrite, 0x300, "ICR"),
        (CauseKind::Exception, 14, "#PF"),
    ];
    causes.causes = named
        .map(|(kind, key, _)| Cause::counted(kind, Some(key), 1))
        .to_vec();
    let csv = shown(&causes, &["--csv"]);
    let lines: Vec<&str> = csv
        .lines()
        .filter(|line| line.starts_with("causes,"))
        .collect();
    assert_eq!(lines.len(), named.len());
    for (line, (.., name)) in lines.iter().zip(named) {
        assert!(
            line.ends_with(&format!(",{name},1,0.05,,0")),
            "{name}: {line}"
        );
    }
}

#[test]
fn keys_are_told_in_words() {
    let mut causes = causes_of("6.12");
    let keys = [
        (CauseKind::PortOut, 0x4_0cf8, "0xcf8, 4 bytes"),
        (CauseKind::Page, 0x1234_5002, "0x12345000, write"),
        (CauseKind::Page, 0x1234_5004, "0x12345000, fetch"),
        (CauseKind::Cpuid, (1 << 32) | 0xd, "0xd, subleaf 0x1"),
        (CauseKind::ControlRegister, 0x103, "from CR3"),
        (CauseKind::ControlRegister, 0x200, "in CR0    CLTS"),
        (CauseKind::DebugRegister, 0x7, "to DR7"),
    ];
    causes.causes = keys
        .map(|(kind, key, _)| Cause::counted(kind, Some(key), 1))
        .to_vec();
    let table = shown(&causes, &[]);
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (_, _, text) in keys {
        assert!(
            squeezed(&table).contains(&squeezed(text)),
            "{text}\n{table}"
        );
    }
}

#[test]
fn causes_are_shown_with_their_names_and_with_advice() {
    let table = shown(&causes_of("6.12"), &["--top", "5"]);
    assert!(table.starts_with("71,783 exits of all VMs in 20.00 s, 3,589 a second (VMX):\n"));
    for line in [
        "\n20,000       1,000  27.9%  IN     0x71, 1 byte   RTC and CMOS\n",
        "\n 8,088         404  11.3%  WRMSR  0x6e0          IA32_TSC_DEADLINE\n",
        "port 0x70 and another, 2,000/s: the guest uses the RTC",
        "5 of ",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
}
