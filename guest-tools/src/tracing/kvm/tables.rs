// SPDX-License-Identifier: GPL-2.0
//! Which fields of which of KVM's trace events are counted.

use crate::tracing::hist::Hist;

/// What one trigger counts.
pub(super) struct Table {
    pub(super) event: &'static str,
    /// Fields with their modifiers.
    pub(super) keys: &'static str,
    /// How many entries it has room for; ftrace allows 131,072.
    pub(super) size: u32,
    pub(super) filter: &'static str,
    /// For messages.
    pub(super) what: &'static str,
}

const fn table(
    event: &'static str,
    keys: &'static str,
    size: u32,
    filter: &'static str,
    what: &'static str,
) -> Table {
    Table {
        event,
        keys,
        size,
        filter,
        what,
    }
}

// `kvm_exit` says by `isa` whose reasons it tells: 1 is VMX, 2 is SVM.
pub(super) static REASONS: Table = table("kvm_exit", "isa,exit_reason", 1024, "", "exit reasons");
pub(super) static PLACES: Table = table(
    "kvm_exit",
    "isa,exit_reason,guest_rip",
    16384,
    "",
    "places in the guest's code",
);
/// VMX's exit qualification tells the register (SDM volume 3, section 29.2.1).
pub(super) static REGISTERS: Table = table(
    "kvm_exit",
    "exit_reason,info1",
    4096,
    "isa == 1 && (exit_reason == 28 || exit_reason == 29 || exit_reason == 56)",
    "control, debug and APIC registers",
);
pub(super) static EXCEPTIONS: Table = table(
    "kvm_exit",
    "exit_reason,intr_info",
    1024,
    "isa == 1 && exit_reason == 0",
    "exceptions",
);
pub(super) static MSRS: Table = table("kvm_msr", "write,ecx", 4096, "", "MSRs");
pub(super) static PORTS: Table = table("kvm_pio", "rw,port,size", 4096, "", "ports");
/// Type 0 says that userspace has to answer a read; type 1 follows with the answer.
pub(super) static MMIO: Table = table("kvm_mmio", "type,gpa", 4096, "type != 0", "MMIO addresses");
pub(super) static IOEVENTFDS: Table =
    table("kvm_fast_mmio", "gpa", 1024, "", "addresses of ioeventfds");
pub(super) static PAGES: Table = table(
    "kvm_page_fault",
    "fault_address.buckets=4096,error_code",
    65536,
    "",
    "pages",
);
/// ECX of the other leaves is whatever the guest had in it.
pub(super) static LEAVES: Table =
    table("kvm_cpuid", "function", 1024, NO_SUBLEAVES, "CPUID leaves");
pub(super) static SUBLEAVES: Table = table(
    "kvm_cpuid",
    "function,index",
    4096,
    WITH_SUBLEAVES,
    "CPUID subleaves",
);
pub(super) static HYPERCALLS: Table = table("kvm_hypercall", "nr", 1024, "", "hypercalls");
pub(super) static HYPERV: Table = table("kvm_hv_hypercall", "code", 1024, "", "Hyper-V hypercalls");

// SDM volume 2, CPUID; APM volume 3, appendix E.
const WITH_SUBLEAVES: &str = "function == 4 || function == 7 || function == 11 || \
    (function >= 13 && function <= 20) || (function >= 23 && function <= 36) || \
    function == 2147483677 || function == 2147483680 || function == 2147483686";
const NO_SUBLEAVES: &str = "function < 4 || function == 5 || function == 6 || \
    (function >= 8 && function <= 10) || function == 12 || function == 21 || function == 22 || \
    (function > 36 && function != 2147483677 && function != 2147483680 && \
    function != 2147483686)";

/// In the order in which they begin. They end the other way round, so that the exits by
/// reason, which are first, miss nothing that another table has.
pub(super) static TABLES: [&Table; 13] = [
    &REASONS,
    &PLACES,
    &REGISTERS,
    &EXCEPTIONS,
    &MSRS,
    &PORTS,
    &MMIO,
    &IOEVENTFDS,
    &PAGES,
    &LEAVES,
    &SUBLEAVES,
    &HYPERCALLS,
    &HYPERV,
];

impl Table {
    /// The trigger, with what else is to happen, such as `:pause`.
    pub(super) fn trigger(&self, then: &str) -> String {
        let filter = match self.filter {
            "" => String::new(),
            filter => format!(" if {filter}"),
        };
        format!("hist:keys={}:size={}{then}{filter}", self.keys, self.size)
    }

    /// Whether this is the table that ftrace shows.
    pub(super) fn is(&self, hist: &Hist) -> bool {
        let names = self.keys.split(',').map(|key| key.split('.').next());
        names.eq(hist.keys.iter().map(|key| Some(key.as_str())))
    }
}
