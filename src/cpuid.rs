// SPDX-License-Identifier: GPL-2.0
//! What CPUID says about who made the CPU, whether it has VMX, and whether a
//! hypervisor stands between.
//!
//! CPUID itself is asked, not the operating system's feature flags: Linux
//! clears its VMX flag when firmware has disabled VMX.

use core::fmt::{self, Write};

/// The CPUID instruction.
pub trait Cpuid {
    /// EAX, EBX, ECX and EDX of a leaf and subleaf.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];
}

impl<F: Fn(u32, u32) -> [u32; 4]> Cpuid for F {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self(leaf, subleaf)
    }
}

/// Twelve characters by which a vendor or a hypervisor signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 12]);

impl Signature {
    fn of(first: u32, second: u32, third: u32) -> Self {
        let [a, b, c, d] = first.to_le_bytes();
        let [e, f, g, h] = second.to_le_bytes();
        let [i, j, k, l] = third.to_le_bytes();
        Self([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// Whether the vendor makes CPUs with VMX: Intel, Zhaoxin or Centaur.
    pub fn has_vmx_cpus(&self) -> bool {
        matches!(&self.0, b"GenuineIntel" | b"  Shanghai  " | b"CentaurHauls")
    }
}

/// The characters without padding; what cannot be printed is a dot.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.as_slice();
        while let [0 | b' ', rest @ ..] = text {
            text = rest;
        }
        while let [rest @ .., 0 | b' '] = text {
            text = rest;
        }
        for byte in text {
            let printable = byte.is_ascii_graphic() || *byte == b' ';
            f.write_char(if printable { char::from(*byte) } else { '.' })?;
        }
        Ok(())
    }
}

/// What CPUID says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// CPUID.0: EBX, EDX, ECX.
    pub vendor: Signature,
    /// CPUID.01H:ECX\[bit 5\].
    pub vmx: bool,
    /// CPUID.01H:ECX\[bit 6\].
    pub smx: bool,
    /// CPUID.(07H,0):EBX\[bit 2\].
    pub sgx: bool,
    /// CPUID.01H:ECX\[bit 31\], and who signs in leaf 0x40000000.
    pub hypervisor: Option<Signature>,
}

const VMX: u32 = 1 << 5;
const SMX: u32 = 1 << 6;
const HYPERVISOR: u32 = 1 << 31;
const SGX: u32 = 1 << 2;
const HYPERVISOR_LEAF: u32 = 0x4000_0000;

impl Identity {
    /// Asks CPUID.
    pub fn read(cpu: &impl Cpuid) -> Self {
        let [max_leaf, ebx, ecx, edx] = cpu.cpuid(0, 0);
        let vendor = Signature::of(ebx, edx, ecx);
        let [_, _, features, _] = cpu.cpuid(1, 0);
        let extended = if max_leaf >= 7 {
            let [_, ebx, _, _] = cpu.cpuid(7, 0);
            ebx
        } else {
            0
        };
        let hypervisor = if features & HYPERVISOR != 0 {
            let [_, ebx, ecx, edx] = cpu.cpuid(HYPERVISOR_LEAF, 0);
            Some(Signature::of(ebx, ecx, edx))
        } else {
            None
        };
        Self {
            vendor,
            // On an AMD CPU the bit is reserved, whatever it holds.
            vmx: vendor.has_vmx_cpus() && features & VMX != 0,
            smx: features & SMX != 0,
            sgx: extended & SGX != 0,
            hypervisor,
        }
    }
}
