// SPDX-License-Identifier: GPL-2.0
//! Causes as the interface has them.

use exit_stats::abi;
use exit_stats::reader::causes::Entry;

use crate::error::Error;
use crate::view::KeptCause;

/// What is said where the host keeps none.
pub(super) fn no_causes() -> Error {
    Error::NoStatistics(
        "this guest's host keeps no causes of exits.\nOn the host, load kvm with \
         exit_stats_causes=1, or vmx_exits with causes=1, before the VM is started; or count \
         there, by `vmxscope causes --host`."
            .into(),
    )
}

/// A cause as the interface has it.
pub(super) fn kept(entry: &Entry) -> KeptCause {
    let has = |flag| entry.cause.id & flag != 0;
    KeptCause {
        reason: entry.cause.id as u32,
        key: has(abi::CAUSE_HAS_KEY).then_some(entry.cause.key),
        rip: has(abi::CAUSE_HAS_RIP).then_some(entry.cause.rip),
        cpl3: has(abi::CAUSE_CPL3),
        nested: has(abi::CAUSE_L2),
        exits: entry.exits,
        cycles: entry.cycles,
        error: entry.error,
    }
}
