// SPDX-License-Identifier: GPL-2.0

//! The guest interface, version 2: leaves, layouts, selectors and registers.
//!
//! KVM encodes with these and the guest's tools decode with them.

#![forbid(unsafe_code)]

/// What leaf [`DISCOVERY`] states: what version 1 had means the same in version 2.
pub const VERSION: u32 = 1;

/// Leaf of the causes: ECX holds a [`CauseSelector`].
pub const CAUSES: u32 = 0x4fff_fff9;
/// Extension leaf: ECX holds a [`Selector`].
pub const EXTENSION: u32 = 0x4fff_fffa;
/// Discovery leaf: ECX 0 says what this is, 1 how large, 2 which instance.
pub const DISCOVERY: u32 = 0x4fff_fffb;
/// First of the four leaves whose meaning depends on the [`Layout`].
pub const FIRST: u32 = 0x4fff_fffc;

/// EBX, ECX and EDX of [`DISCOVERY`]: "KVME", "xitS", "tats".
pub const SIGNATURE: [u32; 3] = [
    u32::from_le_bytes(*b"KVME"),
    u32::from_le_bytes(*b"xitS"),
    u32::from_le_bytes(*b"tats"),
];

/// Bit 17 of EAX of [`DISCOVERY`]: there are histograms.
pub const HISTOGRAMS: u32 = 1 << 17;
/// Bit 18 of EAX of [`DISCOVERY`]: leaf [`CAUSES`] is there.
pub const HAS_CAUSES: u32 = 1 << 18;
/// Bit 24 of EAX of [`DISCOVERY`]: it counts beside KVM, not inside it.
pub const BESIDE: u32 = 1 << 24;
/// First bit of the processor's vendor in EAX of [`DISCOVERY`].
pub const VENDOR_SHIFT: u32 = 20;

/// Log2 buckets of a histogram. The last holds all longer times too.
pub const BUCKETS: u32 = 24;

/// Pseudo reason: hardware reasons that have no row of their own.
///
/// They are those that the manual does not define, so that the defined reasons and
/// this one add up to the total. Time that no exit led to is here too: after a
/// failed or an emulated entry, and while a signal keeps the VMM out of `KVM_RUN`.
pub const BEYOND: u32 = 0xfffc;
/// Pseudo reason: entries that KVM had to emulate.
pub const EMULATED: u32 = 0xfffd;
/// Pseudo reason: entries that failed before the guest ran.
pub const FAILED: u32 = 0xfffe;
/// Pseudo reason: all hardware exits.
pub const TOTAL: u32 = 0xffff;

/// Field: exits.
pub const EXITS: u32 = 0;
/// Field: handling cycles.
pub const CYCLES: u32 = 1;
/// Field: smallest handling cycles of one exit.
pub const MIN: u32 = 2;
/// Field: largest handling cycles of one exit.
pub const MAX: u32 = 3;
/// Field: cycles for which the vCPU slept or polled after this exit.
pub const BLOCKED: u32 = 4;
/// Field: cycles for which `KVM_RUN` had returned because of this exit.
pub const USER: u32 = 5;
/// Field: the reason's [`State`].
pub const STATE: u32 = 6;
/// Field: exits taken from a nested guest.
pub const L2: u32 = 7;
/// Field: timings dropped because the clock went backwards.
pub const DROPPED: u32 = 8;
/// Field: cycles for which the thread was scheduled out while it handled such an exit,
/// or before it entered the guest again.
pub const AWAY: u32 = 9;
/// Field: cycles from the end of handling to the next entry, if that is measured.
pub const ENTRY: u32 = 10;
/// Field: cycles in the guest until such an exit.
pub const GUEST: u32 = 11;
/// Field: bucket 0 of the histogram of handling cycles.
pub const BUCKET: u32 = 0x40;
/// Field: take a snapshot; read from the snapshot, its generation.
pub const SNAPSHOT: u32 = 0x7fff;

/// Word of a cause: the reason in 31:0, flags in 63:32.
pub const CAUSE_ID: u32 = 0;
/// Word of a cause: its key, which is of the reason's own kind.
pub const CAUSE_KEY: u32 = 1;
/// Word of a cause: the linear address of the guest's instruction.
pub const CAUSE_RIP: u32 = 2;
/// Word of a cause: exits, of which [`CAUSE_ERROR`] may be another's.
pub const CAUSE_EXITS: u32 = 3;
/// Word of a cause: handling cycles of the exits that are its own for sure.
pub const CAUSE_CYCLES: u32 = 4;
/// Word of a cause: by how much its exits may be too many.
pub const CAUSE_ERROR: u32 = 5;

/// Flag in [`CAUSE_ID`]: the key is valid.
pub const CAUSE_HAS_KEY: u64 = 1 << 32;
/// Flag in [`CAUSE_ID`]: the guest's instruction made the exit, and the address is valid.
pub const CAUSE_HAS_RIP: u64 = 1 << 33;
/// Flag in [`CAUSE_ID`]: it ran with CPL 3.
pub const CAUSE_CPL3: u64 = 1 << 34;
/// Flag in [`CAUSE_ID`]: key and address are a nested guest's (L2).
pub const CAUSE_L2: u64 = 1 << 35;

/// Entry of leaf [`CAUSES`]: what no entry holds.
pub const REST: u32 = 0xffff;

/// Whether a reason can occur in a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// The SDM does not define it.
    Undefined = 0,
    /// KVM has no handler, or its cause is off in the VM's configuration.
    NotEnabled = 1,
    /// It can occur.
    Enabled = 2,
}

/// What one of the four leaves tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Exits (EDX:EAX) and handling cycles (EBX:ECX) of all reasons.
    Total,
    /// Handling cycles (EBX:ECX) of all reasons.
    TotalCycles,
    /// Exits (EDX:EAX) of the reason in ECX.
    Exits,
    /// Handling cycles (EBX:ECX) of the reason in ECX.
    Cycles,
}

/// Which leaf has which role: the same assignment, as several semesters gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Layout {
    /// The default.
    Spring22 = 0,
    /// The four in reverse, but for the order of the two totals.
    Fall22 = 1,
    /// 2020/21: both totals in one leaf, and no cycles of one reason.
    Combined = 2,
}

/// All layouts; the index is the number that [`DISCOVERY`] gives.
pub const LAYOUTS: [Layout; 3] = [Layout::Spring22, Layout::Fall22, Layout::Combined];

/// By layout: the roles of [`FIRST`] and the three leaves after it.
#[rustfmt::skip]
const ROLES: [[Option<Role>; 4]; 3] = {
    use Role::{Cycles, Exits, Total, TotalCycles};
    [
        // ...FC          ...FD              ...FE              ...FF
        [Some(Cycles),    Some(Exits),       Some(TotalCycles), Some(Total)],
        [Some(Total),     Some(TotalCycles), Some(Exits),       Some(Cycles)],
        [None,            None,              Some(Exits),       Some(Total)],
    ]
};

impl Layout {
    /// Returns the layout of this number.
    #[inline]
    pub fn from_number(number: u32) -> Option<Self> {
        LAYOUTS.get(number as usize).copied()
    }

    /// Returns what `leaf` tells in this layout; `None` if it is not served.
    #[inline]
    pub fn role(self, leaf: u32) -> Option<Role> {
        let roles = ROLES.get(self as usize)?;
        *roles.get(leaf.wrapping_sub(FIRST) as usize)?
    }
}

/// ECX of leaf [`EXTENSION`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Bits 15:0: a basic exit reason or a pseudo reason.
    pub reason: u32,
    /// Bits 30:16.
    pub field: u32,
    /// Bit 31: read it from the snapshot.
    pub snapshot: bool,
}

impl Selector {
    /// Takes ECX apart.
    #[inline]
    pub const fn decode(ecx: u32) -> Self {
        Self {
            reason: ecx & 0xffff,
            field: (ecx >> 16) & 0x7fff,
            snapshot: ecx >> 31 != 0,
        }
    }
}

/// ECX of leaf [`CAUSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseSelector {
    /// Bits 15:0: an entry, or [`REST`].
    pub entry: u32,
    /// Bits 23:16.
    pub word: u32,
    /// Bit 31: read it from the snapshot.
    pub snapshot: bool,
}

impl CauseSelector {
    /// Takes ECX apart; `None` if bits are set that mean nothing.
    #[inline]
    pub const fn decode(ecx: u32) -> Option<Self> {
        if ecx & 0x7f00_0000 != 0 {
            return None;
        }
        Some(Self {
            entry: ecx & 0xffff,
            word: (ecx >> 16) & 0xff,
            snapshot: ecx >> 31 != 0,
        })
    }
}

/// The registers that CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Regs {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

impl Regs {
    /// The answer for a reason or a selector that does not exist.
    pub const UNDEFINED: Self = Self {
        eax: 0,
        ebx: 0,
        ecx: 0,
        edx: u32::MAX,
    };

    /// Encodes the answer of the four leaves: exits in EDX:EAX, cycles in EBX:ECX.
    #[inline]
    pub const fn from_totals(exits: u64, cycles: u64) -> Self {
        Self {
            eax: exits as u32,
            ebx: (cycles >> 32) as u32,
            ecx: cycles as u32,
            edx: (exits >> 32) as u32,
        }
    }

    /// Encodes the answer of the extension leaf: EBX:EAX.
    #[inline]
    pub const fn from_value(value: u64) -> Self {
        Self {
            eax: value as u32,
            ebx: (value >> 32) as u32,
            ecx: 0,
            edx: 0,
        }
    }

    /// Decodes the exits of one of the four leaves.
    #[inline]
    pub const fn exits(self) -> u64 {
        ((self.edx as u64) << 32) | self.eax as u64
    }

    /// Decodes the cycles of one of the four leaves.
    #[inline]
    pub const fn cycles(self) -> u64 {
        ((self.ebx as u64) << 32) | self.ecx as u64
    }

    /// Decodes the value of the extension leaf.
    #[inline]
    pub const fn value(self) -> u64 {
        ((self.ebx as u64) << 32) | self.eax as u64
    }
}
