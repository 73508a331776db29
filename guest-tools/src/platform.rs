// SPDX-License-Identifier: GPL-2.0
//! Who is below this program, and so why no exit statistics are served.

use exit_stats::abi::{self, Layout, Regs, Role};
use exit_stats::reader::{CpuidReader, ProbeError};
use exit_stats::reason::Vendor;
use vmx_caps::cpuid::{Identity, Signature};

use crate::error::Error;

/// What CPUID says of the CPU and the hypervisor.
pub fn identity(cpu: &(impl CpuidReader + ?Sized)) -> Identity {
    Identity::read(&|leaf, subleaf| {
        let Regs { eax, ebx, ecx, edx } = cpu.cpuid(leaf, subleaf);
        [eax, ebx, ecx, edx]
    })
}

/// Who signs in leaf 0x40000000, by the name that people know.
pub fn hypervisor_name(signature: &Signature) -> Option<&'static str> {
    Some(match &signature.0 {
        b"KVMKVMKVM\0\0\0" | b"Linux KVM Hv" => "KVM",
        b"VMwareVMware" => "VMware",
        b"Microsoft Hv" => "Microsoft Hyper-V",
        b"XenVMMXenVMM" => "Xen",
        b"VBoxVBoxVBox" => "VirtualBox",
        b"TCGTCGTCGTCG" => "QEMU without KVM (TCG)",
        b"bhyve bhyve " => "FreeBSD's bhyve",
        b"ACRNACRNACRN" => "ACRN",
        b"Jailhouse\0\0\0" => "Jailhouse",
        b" lrpepyh  vr" | b"prl hyperv  " => "Parallels",
        b"QNXQVMBSQG\0\0" => "QNX",
        b"IntelTDX    " => "Intel TDX",
        b"BHYVE SVM   " => "bhyve",
        _ => return None,
    })
}

/// `KVM (signature "KVMKVMKVM")`.
fn describe(signature: &Signature) -> String {
    match hypervisor_name(signature) {
        Some(name) => format!("{name} (signature \"{signature}\")"),
        None if signature.0 == [0; 12] => "a hypervisor without a signature".into(),
        None => format!("an unknown hypervisor (signature \"{signature}\")"),
    }
}

fn is_kvm(signature: &Signature) -> bool {
    hypervisor_name(signature) == Some("KVM")
}

/// Makes the message for a machine whose discovery leaf was not understood.
pub fn no_statistics(cpu: &(impl CpuidReader + ?Sized), why: ProbeError) -> Error {
    Error::NoStatistics(match why {
        ProbeError::Absent => absent(cpu),
        ProbeError::Version(_) | ProbeError::Layout(_) | ProbeError::Vendor(_) => format!(
            "{why}, which this vmxscope does not read.\n\
             Take a vmxscope as new as the host's KVM."
        ),
    })
}

fn absent(cpu: &(impl CpuidReader + ?Sized)) -> String {
    let identity = identity(cpu);
    let Some(hypervisor) = identity.hypervisor else {
        return bare_metal(&identity);
    };
    let who = describe(&hypervisor);
    let mut text = format!(
        "no exit statistics here: the hypervisor is {who}.\n{}",
        what_it_answered(cpu)
    );
    text += if is_kvm(&hypervisor) {
        "\nEither the host's KVM has not the exit statistics built in, or the host does not show \
         them\nto guests (kvm.exit_stats=0 or kvm.exit_stats_guest=off). A guest cannot tell which.\
         \nIf the host follows the course's assignment, without a discovery leaf, name its layout: \
         --layout."
    } else {
        "\nOnly a KVM with the exit statistics built in serves them."
    };
    text
}

/// Whose exit reasons this machine's KVM counts.
pub fn vendor(cpu: &(impl CpuidReader + ?Sized)) -> Vendor {
    if identity(cpu).vendor.has_vmx_cpus() {
        Vendor::Vmx
    } else {
        Vendor::Svm
    }
}

fn bare_metal(identity: &Identity) -> String {
    let vendor = identity.vendor;
    format!(
        "no exit statistics here: this is no virtual machine. CPUID reports no hypervisor \
         below this {vendor} CPU,\nso nothing here causes VM exits.\n\
         A host counts its guests: see `vmxscope vms`."
    )
}

/// What the discovery leaf held instead of an answer, and where that is from.
fn what_it_answered(cpu: &(impl CpuidReader + ?Sized)) -> String {
    let answer = cpu.cpuid(abi::DISCOVERY, 0);
    let text = format!("Leaf {:#x} answered {}, ", abi::DISCOVERY, show(answer));
    let highest = cpu.cpuid(0, 0).eax;
    text + &if answer == Regs::default() {
        "which is what hosts answer\n\
         that know no such leaf: the zeros are not counts."
            .to_string()
    } else if answer == cpu.cpuid(highest, 0) {
        format!(
            "which is the data\n\
             of the highest basic leaf, {highest:#x}: processors and hypervisors repeat it for leaves \
             that they do\nnot know. It is no count."
        )
    } else {
        "which is not\nthe signature of exit statistics, so nothing that the neighbouring \
         leaves answer is a count."
            .to_string()
    }
}

fn show(regs: Regs) -> String {
    let Regs { eax, ebx, ecx, edx } = regs;
    format!("eax={eax:#010x} ebx={ebx:#010x} ecx={ecx:#010x} edx={edx:#010x}")
}

/// A reason that no SDM defines: the course's own example.
const UNDEFINED: u32 = 444;

/// Refuses a layout whose leaves answer everything alike, as hosts do that do
/// not know them.
pub fn answers_like_counts(cpu: &(impl CpuidReader + ?Sized), layout: Layout) -> Result<(), Error> {
    let Some(leaf) = layout.leaf(Role::Exits) else {
        return Ok(());
    };
    if cpu.cpuid(leaf, UNDEFINED) == Regs::UNDEFINED {
        return Ok(());
    }
    let identity = identity(cpu);
    let who = identity
        .hypervisor
        .map_or("no hypervisor".into(), |hypervisor| describe(&hypervisor));
    Err(Error::NoStatistics(format!(
        "no exit statistics in the layout that was named: for the undefined exit reason \
         {UNDEFINED},\nleaf {leaf:#x} answered {}, where edx=0xffffffff marks\na reason that does \
         not exist. So its other answers are not counts either. The hypervisor is {who}.",
        show(cpu.cpuid(leaf, UNDEFINED))
    )))
}
