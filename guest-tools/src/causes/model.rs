// SPDX-License-Identifier: GPL-2.0
//! What made exits, as every command shows, saves and judges it.

use std::collections::BTreeMap;

use exit_stats::reason::Vendor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What [`Causes::format`] holds.
pub const FORMAT: &str = "vmxscope-causes-1";

/// What a cause is about; it decides what the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// Only the exit reason is known; no key.
    Reason,
    /// The key is the MSR.
    MsrRead,
    /// The key is the MSR.
    MsrWrite,
    /// The port in bits 15:0, the size in bytes in 23:16, bit 24 set.
    PortIn,
    /// The port in bits 15:0, the size in bytes in 23:16.
    PortOut,
    /// The guest-physical address; whether it was read or written is not known.
    Mmio,
    /// The guest-physical address.
    MmioRead,
    /// The guest-physical address.
    MmioWrite,
    /// An access to memory that KVM only passes on to an eventfd: the guest-physical address.
    Ioeventfd,
    /// The page's address, and in bits 2:0 read, write, fetch. Guest-physical; linear where
    /// KVM shadows the guest's page tables.
    Page,
    /// EAX in bits 31:0, ECX in 63:32, which is 0 for a leaf without subleaves.
    Cpuid,
    /// The number of KVM's hypercall.
    Hypercall,
    /// The code of Hyper-V's hypercall.
    HypervHypercall,
    /// The register in bits 7:0; in 15:8 0 for a write, 1 for a read, 2 for CLTS, 3 for LMSW.
    ControlRegister,
    /// The register in bits 7:0; in 15:8 0 for a write, 1 for a read.
    DebugRegister,
    /// The register's offset in the local APIC's page.
    ApicWrite,
    /// The vector.
    Exception,
}

/// One cause of exits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What it is about.
    pub kind: CauseKind,
    /// The exit reason. `None` if several can have this cause and nobody said which it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<u32>,
    /// See [`CauseKind`].
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::view::hexadecimal"
    )]
    pub key: Option<u64>,
    /// Where the guest's code was: its instruction pointer.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::view::hexadecimal"
    )]
    pub rip: Option<u64>,
    /// The guest's privilege level there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpl: Option<u8>,
    /// How many exits there were at least.
    pub exits: u64,
    /// Their handling time in cycles of the host's TSC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// How many more there may have been: exits that are in no line, or in another's.
    #[serde(default)]
    pub error: u64,
}

impl Cause {
    /// A cause of which only the number of exits is known, exactly.
    pub fn counted(kind: CauseKind, key: Option<u64>, exits: u64) -> Self {
        Self {
            kind,
            reason: None,
            key,
            rip: None,
            cpl: None,
            exits,
            cycles: None,
            error: 0,
        }
    }
}

/// Who counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// ftrace, all VMs of a host together.
    #[default]
    Ftrace,
    /// Who counts a VM's exits, and keeps what made them.
    Kept,
}

/// The causes of all exits in a stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Causes {
    /// [`FORMAT`].
    pub format: String,
    /// Who counted.
    #[serde(default)]
    pub source: Source,
    /// The VM, if its host told of it and not the guest itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// Whose exit reasons these are.
    #[serde(with = "crate::view::VendorName")]
    pub vendor: Vendor,
    /// Frequency of the clock of all cycles; 0 if nobody said.
    #[serde(default)]
    pub tsc_khz: u32,
    /// For how long exits were counted.
    pub seconds: f64,
    /// All exits in this time.
    pub exits: u64,
    /// How many exits each reason had.
    pub reasons: Vec<Cause>,
    /// What they were about.
    pub causes: Vec<Cause>,
    /// Where the guest's code was, by exit reason.
    pub places: Vec<Cause>,
    /// Exits that are in no line, since the host had no room for their cause.
    #[serde(default)]
    pub rest: u64,
    /// Events that had no room in a table, by what the table counts.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
    /// Parameters of the host that advice depends on, such as `kvm_intel.ept`.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

impl Causes {
    /// Reads what `vmxscope causes --json` saved.
    ///
    /// # Errors
    ///
    /// The file's name and what is wrong in it.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let causes: Self = serde_json::from_str(text)
            .map_err(|error| Error::input(file, error.line(), format!("no causes: {error}")))?;
        match causes.format.as_str() {
            FORMAT if causes.seconds > 0.0 && causes.seconds.is_finite() => Ok(causes),
            FORMAT => {
                let problem = format!("no length of time: {}", causes.seconds);
                Err(Error::input(file, 0, problem))
            }
            other => Err(Error::input(
                file,
                0,
                format!("its format is {other:?}, and this vmxscope reads {FORMAT:?}"),
            )),
        }
    }

    /// How often a second something happened.
    pub fn rate(&self, exits: u64) -> f64 {
        exits as f64 / self.seconds
    }

    /// Whether times are known.
    pub fn is_timed(&self) -> bool {
        self.source == Source::Kept && self.tsc_khz != 0
    }

    /// The handling time of a cause in nanoseconds, if it is known.
    pub fn time(&self, cause: &Cause) -> Option<f64> {
        let cycles = cause.cycles.filter(|_| self.tsc_khz != 0)?;
        Some(cycles as f64 * 1e6 / f64::from(self.tsc_khz))
    }

    /// The name of an exit reason as an identifier.
    pub fn symbol(&self, reason: u32) -> String {
        match self.vendor.symbol(reason) {
            Some(symbol) => symbol.to_string_lossy().into_owned(),
            None => format!("reason {reason}"),
        }
    }
}
