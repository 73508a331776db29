// SPDX-License-Identifier: GPL-2.0

//! The basic VM-exit reasons of the Intel SDM (volume 3, appendix C).
//!
//! The numbering has gaps, so every entry carries its number, and the build
//! fails if one is out of order. A symbol is what Linux calls the reason in its
//! `kvm_exit` trace event; where Linux has no name, one of the same form.

#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::abi;

/// Numbers that the table covers: 0 to the newest that the SDM defines, 85.
pub const COUNT: usize = 86;

/// What the SDM defines under one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Bits 15:0 of the exit-reason field.
    pub number: u8,
    /// Linux's name, without `EXIT_REASON_`.
    pub symbol: &'static CStr,
    /// The SDM's name.
    pub name: &'static CStr,
}

/// Returns what the SDM defines under `number`, which is the basic reason only.
#[inline]
pub fn get(number: u32) -> Option<&'static Reason> {
    TABLE.get(number as usize)?.as_ref()
}

/// Returns whether the SDM defines `number`.
#[inline]
pub fn is_defined(number: u32) -> bool {
    get(number).is_some()
}

/// Returns all reasons that the SDM defines, by number.
pub fn all() -> impl Iterator<Item = &'static Reason> {
    TABLE.iter().flatten()
}

/// Returns the SDM's name of a reason, or ours of a pseudo reason.
pub fn name(number: u32) -> Option<&'static CStr> {
    Some(match number {
        abi::BEYOND => c"Reason that the SDM does not define",
        abi::EMULATED => c"Entry that KVM had to emulate",
        abi::FAILED => c"Entry that failed before the guest ran",
        abi::TOTAL => c"All exits",
        _ => get(number)?.name,
    })
}

/// Returns the name of a reason or pseudo reason as an identifier.
pub fn symbol(number: u32) -> Option<&'static CStr> {
    Some(match number {
        abi::BEYOND => c"BEYOND",
        abi::EMULATED => c"ENTRY_EMULATED",
        abi::FAILED => c"ENTRY_FAILED",
        abi::TOTAL => c"TOTAL",
        _ => get(number)?.symbol,
    })
}

const fn reason(number: u8, symbol: &'static CStr, name: &'static CStr) -> Reason {
    Reason {
        number,
        symbol,
        name,
    }
}

/// By number; `None` is a gap: 35, 38, 42, 71, 82 and 83.
static TABLE: [Option<Reason>; COUNT] = {
    let mut table = [None; COUNT];
    let mut i = 0;
    while i < DEFINED.len() {
        let entry = DEFINED[i];
        assert!(
            i == 0 || DEFINED[i - 1].number < entry.number,
            "exit reasons out of order"
        );
        table[entry.number as usize] = Some(entry);
        i += 1;
    }
    assert!(table[COUNT - 1].is_some(), "the table ends in a gap");
    table
};

#[rustfmt::skip]
const DEFINED: [Reason; 80] = [
    reason(0, c"EXCEPTION_NMI", c"Exception or non-maskable interrupt (NMI)"),
    reason(1, c"EXTERNAL_INTERRUPT", c"External interrupt"),
    reason(2, c"TRIPLE_FAULT", c"Triple fault"),
    reason(3, c"INIT_SIGNAL", c"INIT signal"),
    reason(4, c"SIPI_SIGNAL", c"Start-up IPI (SIPI)"),
    reason(5, c"IO_SMI", c"I/O system-management interrupt (SMI)"),
    reason(6, c"OTHER_SMI", c"Other SMI"),
    reason(7, c"INTERRUPT_WINDOW", c"Interrupt window"),
    reason(8, c"NMI_WINDOW", c"NMI window"),
    reason(9, c"TASK_SWITCH", c"Task switch"),
    reason(10, c"CPUID", c"CPUID"),
    reason(11, c"GETSEC", c"GETSEC"),
    reason(12, c"HLT", c"HLT"),
    reason(13, c"INVD", c"INVD"),
    reason(14, c"INVLPG", c"INVLPG"),
    reason(15, c"RDPMC", c"RDPMC"),
    reason(16, c"RDTSC", c"RDTSC"),
    reason(17, c"RSM", c"RSM"),
    reason(18, c"VMCALL", c"VMCALL"),
    reason(19, c"VMCLEAR", c"VMCLEAR"),
    reason(20, c"VMLAUNCH", c"VMLAUNCH"),
    reason(21, c"VMPTRLD", c"VMPTRLD"),
    reason(22, c"VMPTRST", c"VMPTRST"),
    reason(23, c"VMREAD", c"VMREAD"),
    reason(24, c"VMRESUME", c"VMRESUME"),
    reason(25, c"VMWRITE", c"VMWRITE"),
    reason(26, c"VMOFF", c"VMXOFF"),
    reason(27, c"VMON", c"VMXON"),
    reason(28, c"CR_ACCESS", c"Control-register accesses"),
    reason(29, c"DR_ACCESS", c"MOV DR"),
    reason(30, c"IO_INSTRUCTION", c"I/O instruction"),
    reason(31, c"MSR_READ", c"RDMSR"),
    reason(32, c"MSR_WRITE", c"WRMSR or WRMSRNS"),
    reason(33, c"INVALID_STATE", c"VM-entry failure due to invalid guest state"),
    reason(34, c"MSR_LOAD_FAIL", c"VM-entry failure due to MSR loading"),
    reason(36, c"MWAIT_INSTRUCTION", c"MWAIT"),
    reason(37, c"MONITOR_TRAP_FLAG", c"Monitor trap flag"),
    reason(39, c"MONITOR_INSTRUCTION", c"MONITOR"),
    reason(40, c"PAUSE_INSTRUCTION", c"PAUSE"),
    reason(41, c"MCE_DURING_VMENTRY", c"VM-entry failure due to machine-check event"),
    reason(43, c"TPR_BELOW_THRESHOLD", c"TPR below threshold"),
    reason(44, c"APIC_ACCESS", c"APIC access"),
    reason(45, c"EOI_INDUCED", c"Virtualized EOI"),
    reason(46, c"GDTR_IDTR", c"Access to GDTR or IDTR"),
    reason(47, c"LDTR_TR", c"Access to LDTR or TR"),
    reason(48, c"EPT_VIOLATION", c"EPT violation"),
    reason(49, c"EPT_MISCONFIG", c"EPT misconfiguration"),
    reason(50, c"INVEPT", c"INVEPT"),
    reason(51, c"RDTSCP", c"RDTSCP"),
    reason(52, c"PREEMPTION_TIMER", c"VMX-preemption timer expired"),
    reason(53, c"INVVPID", c"INVVPID"),
    reason(54, c"WBINVD", c"WBINVD or WBNOINVD"),
    reason(55, c"XSETBV", c"XSETBV"),
    reason(56, c"APIC_WRITE", c"APIC write"),
    reason(57, c"RDRAND", c"RDRAND"),
    reason(58, c"INVPCID", c"INVPCID"),
    reason(59, c"VMFUNC", c"VMFUNC"),
    reason(60, c"ENCLS", c"ENCLS"),
    reason(61, c"RDSEED", c"RDSEED"),
    reason(62, c"PML_FULL", c"Page-modification log full"),
    reason(63, c"XSAVES", c"XSAVES"),
    reason(64, c"XRSTORS", c"XRSTORS"),
    reason(65, c"PCONFIG", c"PCONFIG"),
    reason(66, c"SPP", c"SPP-related event"),
    reason(67, c"UMWAIT", c"UMWAIT"),
    reason(68, c"TPAUSE", c"TPAUSE"),
    reason(69, c"LOADIWKEY", c"LOADIWKEY"),
    // Dropped from the newest SDM, but never reused.
    reason(70, c"ENCLV", c"ENCLV"),
    reason(72, c"ENQCMD_PASID", c"ENQCMD PASID translation failure"),
    reason(73, c"ENQCMDS_PASID", c"ENQCMDS PASID translation failure"),
    reason(74, c"BUS_LOCK", c"Bus lock"),
    reason(75, c"NOTIFY", c"Instruction timeout"),
    reason(76, c"SEAMCALL", c"SEAMCALL"),
    reason(77, c"TDCALL", c"TDCALL"),
    reason(78, c"RDMSRLIST", c"RDMSRLIST"),
    reason(79, c"WRMSRLIST", c"WRMSRLIST"),
    reason(80, c"URDMSR", c"URDMSR"),
    reason(81, c"UWRMSR", c"UWRMSR"),
    reason(84, c"MSR_READ_IMM", c"RDMSR (immediate form)"),
    reason(85, c"MSR_WRITE_IMM", c"WRMSRNS (immediate form)"),
];
