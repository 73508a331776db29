// SPDX-License-Identifier: GPL-2.0
//! Can VMX be used on this machine, and if not, why not? In one line.

use core::fmt;

use crate::capabilities::{Capabilities, State};
use crate::cpuid::{Identity, Signature};
use crate::tables::{basic, feature_control};

/// The VMCS revision identifier that KVM gives to a guest hypervisor.
pub const KVM_REVISION: u64 = 0x11e5_7ed0;

/// Whether VMX can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The CPU's maker does not make CPUs with VMX.
    OtherVendor(Signature),
    /// CPUID does not report VMX.
    NoVmx(Option<Signature>),
    /// CPUID reports VMX, but IA32_VMX_BASIC cannot be read.
    NoBasic(Option<Signature>),
    /// IA32_FEATURE_CONTROL (its value is given) is locked with VMX off.
    LockedOff(u64, Option<Signature>),
    /// VMX can be used.
    Usable {
        /// What IA32_FEATURE_CONTROL allows.
        enabled: Enabled,
        /// The hypervisor below, if there is one.
        hypervisor: Option<Signature>,
        /// The VMCS revision identifier.
        revision: u64,
    },
}

/// What IA32_FEATURE_CONTROL says of VMX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    /// Locked, with VMX on outside SMX operation.
    Locked,
    /// Locked, with VMX on inside SMX operation only.
    InsideSmxOnly,
    /// Not locked: software has to enable VMX and lock the MSR first.
    Unlocked,
    /// The MSR could not be read.
    Unknown,
}

impl Verdict {
    /// Whether there is VMX to be asked about at all. `Err` holds the verdict
    /// if not; no capability MSR is read then.
    pub fn from_cpuid(identity: &Identity) -> Result<(), Self> {
        if !identity.vendor.has_vmx_cpus() {
            Err(Self::OtherVendor(identity.vendor))
        } else if !identity.vmx {
            Err(Self::NoVmx(identity.hypervisor))
        } else {
            Ok(())
        }
    }

    /// The verdict on a CPU whose MSRs were read.
    pub fn of(identity: &Identity, caps: &Capabilities) -> Self {
        if let Err(verdict) = Self::from_cpuid(identity) {
            return verdict;
        }
        let Some(basic) = caps.value(&basic::MSR) else {
            return Self::NoBasic(identity.hypervisor);
        };
        let enabled = match caps.state(&feature_control::MSR) {
            State::Present(value) => {
                let locked = feature_control::LOCK.of(value) != 0;
                let outside = feature_control::VMX_OUTSIDE_SMX.of(value) != 0;
                let inside = feature_control::VMX_INSIDE_SMX.of(value) != 0;
                match (locked, outside, inside) {
                    (false, _, _) => Enabled::Unlocked,
                    (true, true, _) => Enabled::Locked,
                    (true, false, true) => Enabled::InsideSmxOnly,
                    (true, false, false) => return Self::LockedOff(value, identity.hypervisor),
                }
            }
            _ => Enabled::Unknown,
        };
        Self::Usable {
            enabled,
            hypervisor: identity.hypervisor,
            revision: basic::REVISION.of(basic),
        }
    }

    /// Whether software can use VMX.
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Usable { .. })
    }
}

/// The line, which starts with `VMX is usable` or `VMX is not usable`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVendor(vendor) => write!(
                f,
                "VMX is not usable: {vendor} is not an Intel, Zhaoxin or Centaur CPU"
            ),
            Self::NoVmx(None) => f.write_str("VMX is not usable: no VMX in CPUID"),
            Self::NoVmx(Some(hypervisor)) => write!(
                f,
                "VMX is not usable: no VMX in CPUID; hypervisor {hypervisor} may hide it"
            ),
            Self::NoBasic(hypervisor) => {
                let msr = basic::MSR.name;
                write!(f, "VMX is not usable: CPUID reports VMX, but {msr} faults")?;
                match hypervisor {
                    Some(hypervisor) => write!(f, " under hypervisor {hypervisor}"),
                    None => Ok(()),
                }
            }
            Self::LockedOff(value, hypervisor) => {
                f.write_str("VMX is not usable: locked off by firmware")?;
                if let Some(hypervisor) = hypervisor {
                    write!(f, " or by hypervisor {hypervisor}")?;
                }
                write!(f, " in {} ({value:#x})", feature_control::MSR.name)
            }
            Self::Usable {
                enabled,
                hypervisor,
                revision,
            } => {
                let msr = feature_control::MSR.name;
                f.write_str("VMX is usable: ")?;
                match enabled {
                    Enabled::Locked => write!(f, "enabled and locked in {msr}")?,
                    Enabled::InsideSmxOnly => write!(f, "but inside SMX operation only, by {msr}")?,
                    Enabled::Unlocked => write!(f, "{msr} is not locked, so it can be enabled")?,
                    Enabled::Unknown => write!(f, "as far as is known, {msr} cannot be read")?,
                }
                let Some(hypervisor) = hypervisor else {
                    return write!(f, "; no hypervisor; VMCS revision {revision:#x}");
                };
                let whose = if *revision == KVM_REVISION {
                    "looks like KVM's"
                } else {
                    "is not KVM's"
                };
                write!(
                    f,
                    "; under hypervisor {hypervisor}; VMCS revision {revision:#x} {whose}"
                )
            }
        }
    }
}
