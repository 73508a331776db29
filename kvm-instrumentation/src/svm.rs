// SPDX-License-Identifier: GPL-2.0

//! The exit codes of AMD's SVM (AMD64 APM volume 2, appendix C).
//!
//! A symbol is what Linux calls the code.

#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::reason::{reason, Reason};

const fn c(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("no C string"),
    }
}

/// Sixteen codes, one a register.
macro_rules! registers {
    ($table:ident, $base:literal, $symbol:literal, $end:literal, $name:literal) => {
        registers!($table, $base, $symbol, $end, $name,
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    };
    ($table:ident, $base:literal, $symbol:literal, $end:literal, $name:literal, $($n:literal)*) => {
        $($table[$base + $n] = reason(
            $base + $n,
            c(concat!($symbol, $n, $end, "\0")),
            c(concat!($name, $n, "\0")),
        );)*
    };
}

/// By number.
pub(crate) const REASONS: [Reason; NAMED + BY_REGISTER] = {
    let mut table = [LATER[0]; NAMED + BY_REGISTER];
    registers!(table, 0x00, "READ_CR", "", "Read of CR");
    registers!(table, 0x10, "WRITE_CR", "", "Write of CR");
    registers!(table, 0x20, "READ_DR", "", "Read of DR");
    registers!(table, 0x30, "WRITE_DR", "", "Write of DR");
    let mut i = 0;
    while i < NAMED {
        // CR0 to CR15 of the traps come between.
        let gap = if LATER[i].number < 0x90 { 64 } else { 80 };
        table[gap + i] = LATER[i];
        i += 1;
    }
    registers!(table, 0x90, "CR", "_WRITE_TRAP", "After a write of CR");
    table
};

/// Codes that have a register's number in them: reads and writes of CR and DR, and traps.
const BY_REGISTER: usize = 5 * 16;
const NAMED: usize = LATER.len();

#[rustfmt::skip]
const LATER: [Reason; 95] = [
    reason(0x40, c"EXCP0", c"Exception 0 (#DE)"),
    reason(0x41, c"EXCP1", c"Exception 1 (#DB)"),
    reason(0x42, c"EXCP2", c"Exception 2"),
    reason(0x43, c"EXCP3", c"Exception 3 (#BP)"),
    reason(0x44, c"EXCP4", c"Exception 4 (#OF)"),
    reason(0x45, c"EXCP5", c"Exception 5 (#BR)"),
    reason(0x46, c"EXCP6", c"Exception 6 (#UD)"),
    reason(0x47, c"EXCP7", c"Exception 7 (#NM)"),
    reason(0x48, c"EXCP8", c"Exception 8 (#DF)"),
    reason(0x49, c"EXCP9", c"Exception 9"),
    reason(0x4a, c"EXCP10", c"Exception 10 (#TS)"),
    reason(0x4b, c"EXCP11", c"Exception 11 (#NP)"),
    reason(0x4c, c"EXCP12", c"Exception 12 (#SS)"),
    reason(0x4d, c"EXCP13", c"Exception 13 (#GP)"),
    reason(0x4e, c"EXCP14", c"Exception 14 (#PF)"),
    reason(0x4f, c"EXCP15", c"Exception 15"),
    reason(0x50, c"EXCP16", c"Exception 16 (#MF)"),
    reason(0x51, c"EXCP17", c"Exception 17 (#AC)"),
    reason(0x52, c"EXCP18", c"Exception 18 (#MC)"),
    reason(0x53, c"EXCP19", c"Exception 19 (#XF)"),
    reason(0x54, c"EXCP20", c"Exception 20"),
    reason(0x55, c"EXCP21", c"Exception 21 (#CP)"),
    reason(0x56, c"EXCP22", c"Exception 22"),
    reason(0x57, c"EXCP23", c"Exception 23"),
    reason(0x58, c"EXCP24", c"Exception 24"),
    reason(0x59, c"EXCP25", c"Exception 25"),
    reason(0x5a, c"EXCP26", c"Exception 26"),
    reason(0x5b, c"EXCP27", c"Exception 27"),
    reason(0x5c, c"EXCP28", c"Exception 28 (#HV)"),
    reason(0x5d, c"EXCP29", c"Exception 29 (#VC)"),
    reason(0x5e, c"EXCP30", c"Exception 30 (#SX)"),
    reason(0x5f, c"EXCP31", c"Exception 31"),
    reason(0x60, c"INTR", c"Physical maskable interrupt"),
    reason(0x61, c"NMI", c"Physical NMI"),
    reason(0x62, c"SMI", c"Physical SMI"),
    reason(0x63, c"INIT", c"Physical INIT"),
    reason(0x64, c"VINTR", c"Virtual interrupt"),
    reason(0x65, c"CR0_SEL_WRITE", c"Write of CR0 that changes other bits than TS and MP"),
    reason(0x66, c"IDTR_READ", c"Read of IDTR"),
    reason(0x67, c"GDTR_READ", c"Read of GDTR"),
    reason(0x68, c"LDTR_READ", c"Read of LDTR"),
    reason(0x69, c"TR_READ", c"Read of TR"),
    reason(0x6a, c"IDTR_WRITE", c"Write of IDTR"),
    reason(0x6b, c"GDTR_WRITE", c"Write of GDTR"),
    reason(0x6c, c"LDTR_WRITE", c"Write of LDTR"),
    reason(0x6d, c"TR_WRITE", c"Write of TR"),
    reason(0x6e, c"RDTSC", c"RDTSC"),
    reason(0x6f, c"RDPMC", c"RDPMC"),
    reason(0x70, c"PUSHF", c"PUSHF"),
    reason(0x71, c"POPF", c"POPF"),
    reason(0x72, c"CPUID", c"CPUID"),
    reason(0x73, c"RSM", c"RSM"),
    reason(0x74, c"IRET", c"IRET"),
    reason(0x75, c"SWINT", c"Software interrupt (INTn)"),
    reason(0x76, c"INVD", c"INVD"),
    reason(0x77, c"PAUSE", c"PAUSE"),
    reason(0x78, c"HLT", c"HLT"),
    reason(0x79, c"INVLPG", c"INVLPG"),
    reason(0x7a, c"INVLPGA", c"INVLPGA"),
    reason(0x7b, c"IOIO", c"I/O to an intercepted port"),
    reason(0x7c, c"MSR", c"RDMSR or WRMSR of an intercepted MSR"),
    reason(0x7d, c"TASK_SWITCH", c"Task switch"),
    reason(0x7e, c"FERR_FREEZE", c"FP error freeze"),
    reason(0x7f, c"SHUTDOWN", c"Shutdown"),
    reason(0x80, c"VMRUN", c"VMRUN"),
    reason(0x81, c"VMMCALL", c"VMMCALL"),
    reason(0x82, c"VMLOAD", c"VMLOAD"),
    reason(0x83, c"VMSAVE", c"VMSAVE"),
    reason(0x84, c"STGI", c"STGI"),
    reason(0x85, c"CLGI", c"CLGI"),
    reason(0x86, c"SKINIT", c"SKINIT"),
    reason(0x87, c"RDTSCP", c"RDTSCP"),
    reason(0x88, c"ICEBP", c"ICEBP"),
    reason(0x89, c"WBINVD", c"WBINVD or WBNOINVD"),
    reason(0x8a, c"MONITOR", c"MONITOR or MONITORX"),
    reason(0x8b, c"MWAIT", c"MWAIT or MWAITX"),
    reason(0x8c, c"MWAIT_COND", c"MWAIT with the monitor hardware armed"),
    reason(0x8d, c"XSETBV", c"XSETBV"),
    reason(0x8e, c"RDPRU", c"RDPRU"),
    reason(0x8f, c"EFER_WRITE_TRAP", c"After a write of EFER"),
    reason(0xa0, c"INVLPGB", c"INVLPGB"),
    reason(0xa1, c"INVLPGB_ILLEGAL", c"INVLPGB that the guest may not execute"),
    reason(0xa2, c"INVPCID", c"INVPCID"),
    reason(0xa3, c"MCOMMIT", c"MCOMMIT"),
    reason(0xa4, c"TLBSYNC", c"TLBSYNC"),
    reason(0xa5, c"BUS_LOCK", c"Bus lock"),
    reason(0xa6, c"IDLE_HLT", c"HLT with no virtual interrupt pending"),
    reason(0x400, c"NPF", c"Nested page fault"),
    reason(0x401, c"AVIC_INCOMPLETE_IPI", c"AVIC: IPI not delivered"),
    reason(0x402, c"AVIC_UNACCELERATED_ACCESS", c"AVIC: register access not accelerated"),
    reason(0x403, c"VMGEXIT", c"VMGEXIT"),
    reason(0x404, c"PAGE_NOT_VALIDATED", c"Access to a page that is not validated"),
    reason(0xfff0, c"BUSY", c"The VMSA was busy"),
    reason(0xfff1, c"IDLE_REQUIRED", c"The sibling thread was not idle"),
    reason(0xfff2, c"ERR", c"Invalid guest state in the VMCB"),
];
