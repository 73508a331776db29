// SPDX-License-Identifier: GPL-2.0
//! IA32_VMX_CR0_FIXED0/1 and IA32_VMX_CR4_FIXED0/1: the bits of CR0 and CR4
//! that are fixed in VMX operation.
//!
//! SDM vol. 3, App. A.7 and A.8. A 1 in FIXED0 means that the bit must be 1, a
//! 0 in FIXED1 that it must be 0. An unrestricted guest may clear PE and PG all
//! the same.

/// CR0, SDM vol. 3, section 2.5.
pub mod cr0 {
    use crate::msr::{bits, Exists, Kind, Msr};

    controls! {
        64 bits;
        PE = 0, "PE";
        MP = 1, "MP";
        EM = 2, "EM";
        TS = 3, "TS";
        ET = 4, "ET";
        NE = 5, "NE";
        WP = 16, "WP";
        AM = 18, "AM";
        NW = 29, "NW";
        CD = 30, "CD";
        PG = 31, "PG";
    }

    /// Reserved, and MOV to CR0 ignores them: FIXED1 reports them as settable.
    pub const IGNORED: u64 = bits(&[
        6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    ]);
    const _: () = assert!(IGNORED | FIXED0.named() == u32::MAX as u64);
    const _: () = assert!(IGNORED & FIXED0.named() == 0);

    /// IA32_VMX_CR0_FIXED0.
    pub const FIXED0: Msr = half(0x486, "IA32_VMX_CR0_FIXED0");

    /// IA32_VMX_CR0_FIXED1.
    pub const FIXED1: Msr = half(0x487, "IA32_VMX_CR0_FIXED1");

    const fn half(index: u32, name: &'static str) -> Msr {
        Msr {
            index,
            name,
            title: "CR0 bits in VMX operation",
            sdm: "App. A.7",
            exists: Exists::Vmx,
            kind: Kind::Fixed {
                bits: CONTROLS,
                ignored: IGNORED,
            },
        }
    }
}

/// CR4, SDM vol. 3, section 2.5.
pub mod cr4 {
    use crate::msr::{Exists, Kind, Msr};

    controls! {
        64 bits;
        VME = 0, "VME";
        PVI = 1, "PVI";
        TSD = 2, "TSD";
        DE = 3, "DE";
        PSE = 4, "PSE";
        PAE = 5, "PAE";
        MCE = 6, "MCE";
        PGE = 7, "PGE";
        PCE = 8, "PCE";
        OSFXSR = 9, "OSFXSR";
        OSXMMEXCPT = 10, "OSXMMEXCPT";
        UMIP = 11, "UMIP";
        LA57 = 12, "LA57";
        VMXE = 13, "VMXE";
        SMXE = 14, "SMXE";
        FSGSBASE = 16, "FSGSBASE";
        PCIDE = 17, "PCIDE";
        OSXSAVE = 18, "OSXSAVE";
        KL = 19, "KL";
        SMEP = 20, "SMEP";
        SMAP = 21, "SMAP";
        PKE = 22, "PKE";
        CET = 23, "CET";
        PKS = 24, "PKS";
        UINTR = 25, "UINTR";
        LASS = 27, "LASS";
        LAM_SUP = 28, "LAM_SUP";
        FRED = 32, "FRED";
    }

    /// IA32_VMX_CR4_FIXED0.
    pub const FIXED0: Msr = half(0x488, "IA32_VMX_CR4_FIXED0");

    /// IA32_VMX_CR4_FIXED1.
    pub const FIXED1: Msr = half(0x489, "IA32_VMX_CR4_FIXED1");

    const fn half(index: u32, name: &'static str) -> Msr {
        Msr {
            index,
            name,
            title: "CR4 bits in VMX operation",
            sdm: "App. A.8",
            exists: Exists::Vmx,
            // MOV to CR4 faults on reserved bits, so none is ignored.
            kind: Kind::Fixed {
                bits: CONTROLS,
                ignored: 0,
            },
        }
    }
}
