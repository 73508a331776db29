// SPDX-License-Identifier: GPL-2.0
//! What CPUID says, and the verdict.
#![allow(missing_docs)]

mod common;

use common::{haswell, Fake, INTEL};
use vmx_caps::cpuid::{Identity, Signature};

fn verdict(identity: &Identity, change: impl Fn(&mut Fake)) -> String {
    let mut machine = haswell();
    change(&mut machine);
    let (log, verdict) = machine.report(identity, false);
    assert_eq!(log.all.last().unwrap(), &verdict.to_string());
    assert_eq!(
        verdict.is_usable(),
        verdict.to_string().starts_with("VMX is usable")
    );
    verdict.to_string()
}

fn set(index: u32, value: u64) -> impl Fn(&mut Fake) {
    move |machine| {
        machine.0.get_mut(&0).unwrap().insert(index, value);
    }
}

#[test]
fn the_verdict_says_why() {
    let kvm = Identity {
        hypervisor: Some(Signature(*b"KVMKVMKVM\0\0\0")),
        ..INTEL
    };
    assert_eq!(
        verdict(&INTEL, |_| ()),
        "VMX is usable: enabled and locked in IA32_FEATURE_CONTROL; no hypervisor; VMCS revision 0x2b"
    );
    assert_eq!(
        verdict(&kvm, set(0x480, (0xda0400 << 32) | 0x11e5_7ed0)),
        "VMX is usable: enabled and locked in IA32_FEATURE_CONTROL; under hypervisor KVMKVMKVM; VMCS revision 0x11e57ed0 looks like KVM's"
    );
    assert!(verdict(&kvm, |_| ())
        .ends_with("under hypervisor KVMKVMKVM; VMCS revision 0x2b is not KVM's"));
    assert_eq!(
        verdict(&INTEL, set(0x3a, 0x1)),
        "VMX is not usable: locked off by firmware in IA32_FEATURE_CONTROL (0x1)"
    );
    assert!(verdict(&INTEL, set(0x3a, 0x3)).contains("inside SMX operation only"));
    assert!(verdict(&INTEL, set(0x3a, 0x4)).contains("not locked"));
    let faults = |index| {
        move |machine: &mut Fake| {
            machine.0.get_mut(&0).unwrap().remove(&index);
        }
    };
    assert!(verdict(&INTEL, faults(0x3a)).contains("cannot be read"));
    assert_eq!(
        verdict(&kvm, faults(0x480)),
        "VMX is not usable: CPUID reports VMX, but IA32_VMX_BASIC faults under hypervisor KVMKVMKVM"
    );
}

#[test]
fn without_vmx_there_is_one_line_and_no_read() {
    let nothing = Fake::default();
    let amd = Identity {
        vendor: Signature(*b"AuthenticAMD"),
        vmx: false,
        ..INTEL
    };
    let old = Identity {
        vmx: false,
        ..INTEL
    };
    let hidden = Identity {
        hypervisor: Some(Signature(*b"VMwareVMware")),
        ..old
    };
    for (identity, line) in [
        (
            amd,
            "VMX is not usable: AuthenticAMD is not an Intel, Zhaoxin or Centaur CPU",
        ),
        (old, "VMX is not usable: no VMX in CPUID"),
        (
            hidden,
            "VMX is not usable: no VMX in CPUID; hypervisor VMwareVMware may hide it",
        ),
    ] {
        assert_eq!(nothing.report(&identity, true).0.all, [line]);
    }
}

#[test]
fn cpuid_is_read_as_the_sdm_has_it() {
    let word = |text: &[u8; 4]| u32::from_le_bytes(*text);
    let cpuid = |leaf: u32, _| match leaf {
        0 => [7, word(b"  Sh"), word(b"ai  "), word(b"angh")],
        1 => [0, 0, (1 << 5) | (1 << 6) | (1 << 31), 0],
        7 => [0, 1 << 2, 0, 0],
        0x4000_0000 => [0, word(b"Micr"), word(b"osof"), word(b"t Hv")],
        _ => panic!("leaf {leaf:#x}"),
    };
    let identity = Identity::read(&cpuid);
    assert!(identity.vmx && identity.smx && identity.sgx);
    assert_eq!(identity.vendor.to_string(), "Shanghai");
    assert_eq!(identity.hypervisor.unwrap().to_string(), "Microsoft Hv");
    assert!(Signature(*b"CentaurHauls").has_vmx_cpus());
    // An Intel CPU need not have it.
    let old = |leaf: u32, _| match leaf {
        0 => [1, word(b"Genu"), word(b"ntel"), word(b"ineI")],
        _ => [0, 0, !(1 << 5), 0],
    };
    let identity = Identity::read(&old);
    assert_eq!(identity.vendor.to_string(), "GenuineIntel");
    assert!(!identity.vmx && identity.smx);
    // What the bit means on AMD is not VMX.
    let amd = |leaf: u32, _| match leaf {
        0 => [1, word(b"Auth"), word(b"cAMD"), word(b"enti")],
        _ => [0, 0, 1 << 5, 0],
    };
    let identity = Identity::read(&amd);
    assert_eq!(identity.vendor.to_string(), "AuthenticAMD");
    assert!(!identity.vmx && identity.hypervisor.is_none());
}
