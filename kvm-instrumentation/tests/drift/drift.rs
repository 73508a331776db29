// SPDX-License-Identifier: GPL-2.0

//! Holds the boundary against the header: what differs does not compile.
//!
//! A test adds this module to the kernel's root, with bindgen's reading of the
//! header in the place of `c.rs`.

#![forbid(unsafe_code)]

use core::mem::{align_of, offset_of, size_of};

use crate::answer::{Config, Query, Step};
use crate::clock::{Clock, Event, Vcpu, HANDLING, HANDLING_L2};
use crate::counters::{Counters, Row, ROWS};
use crate::hist::{Hist, GROUPS, LINES};
use crate::{abi, boundary, c, reason};

/// The header's declaration and our function have one type.
macro_rules! same_signature {
    ($($name:ident: fn($($argument:ty),*) -> $result:ty;)*) => {
        $(const _: [unsafe extern "C" fn($($argument),*) -> $result; 2] =
            [boundary::$name, c::$name];)*
    };
}

same_signature! {
    exit_stats_handled: fn(*mut c::exit_stats_vcpu, *mut c::exit_stats_hist, u64) -> ();
    exit_stats_event: fn(*mut c::exit_stats_vcpu, u32, u64) -> ();
    exit_stats_arm: fn(bool, u64) -> ();
    exit_stats_query_begin:
        fn(*mut c::exit_stats_query, *const c::exit_stats_config, u32, u32) -> u32;
    exit_stats_query_add: fn(
        *mut c::exit_stats_query, *const c::exit_stats_counters, *const c::exit_stats_hist
    ) -> ();
    exit_stats_query_end: fn(*const c::exit_stats_query, *mut c::exit_stats_regs) -> ();
    exit_stats_snapshot_begin: fn(*mut c::exit_stats_counters, *mut c::exit_stats_hist) -> ();
    exit_stats_merge: fn(
        *mut c::exit_stats_counters, *mut c::exit_stats_hist,
        *const c::exit_stats_counters, *const c::exit_stats_hist
    ) -> ();
    exit_stats_subtract: fn(
        *mut c::exit_stats_counters, *mut c::exit_stats_hist,
        *const c::exit_stats_counters, *const c::exit_stats_hist
    ) -> ();
    exit_stats_value: fn(
        *const c::exit_stats_counters, *const c::exit_stats_hist, u32, u32, *mut u64
    ) -> bool;
    exit_stats_column: fn(*const c::exit_stats_counters, u32, *mut u64, u32) -> ();
    exit_stats_reason_name: fn(u32) -> *const c::c_char;
    exit_stats_reason_symbol: fn(u32) -> *const c::c_char;
}

/// The header's structure and ours have one layout, field by field.
macro_rules! same_layout {
    ($($theirs:ident = $ours:ident { $($their:ident = $our:ident),* })*) => {
        $(const _: () = {
            assert!(size_of::<c::$theirs>() == size_of::<$ours>());
            assert!(align_of::<c::$theirs>() == align_of::<$ours>());
            $(assert!(offset_of!(c::$theirs, $their) == offset_of!($ours, $our));)*
        };)*
    };
}

type Regs = abi::Regs;

same_layout! {
    exit_stats_row = Row {
        exits = exits, cycles = cycles, min = min, max = max,
        blocked = blocked, user = user, l2 = l2, dropped = dropped
    }
    exit_stats_counters = Counters {
        row = rows, failed = failed, emulated = emulated, generation = generation,
        reserved = reserved
    }
    exit_stats_hist = Hist { group = groups, used = used, line = lines }
    exit_stats_clock = Clock {
        start = start, reason = reason, phase = phase, since = since, spent = spent,
        hist = hist, reserved = reserved
    }
    exit_stats_vcpu = Vcpu { clock = clock, counters = counters }
    exit_stats_config = Config {
        enabled = enabled, layout = layout, tsc_khz = tsc_khz,
        host_scope = host_scope, hist = hist, reserved = reserved
    }
    exit_stats_query = Query {
        value = value, second = second, reason = reason, field = field,
        shape = shape, step = step, added = added, broken = broken
    }
    exit_stats_regs = Regs { eax = eax, ebx = ebx, ecx = ecx, edx = edx }
}

/// The header's numbers are ours.
macro_rules! same_number {
    ($($theirs:ident = $ours:expr;)*) => {
        $(const _: () = assert!(c::$theirs as usize == $ours as usize);)*
    };
}

same_number! {
    EXIT_STATS_REASONS = reason::COUNT;
    EXIT_STATS_ROWS = ROWS;
    EXIT_STATS_BUCKETS = abi::BUCKETS;
    EXIT_STATS_HIST_GROUPS = GROUPS;
    EXIT_STATS_HIST_LINES = LINES;
    EXIT_STATS_BEYOND = abi::BEYOND;
    EXIT_STATS_EMULATED = abi::EMULATED;
    EXIT_STATS_FAILED = abi::FAILED;
    EXIT_STATS_TOTAL = abi::TOTAL;
    EXIT_STATS_EXITS = abi::EXITS;
    EXIT_STATS_CYCLES = abi::CYCLES;
    EXIT_STATS_MIN = abi::MIN;
    EXIT_STATS_MAX = abi::MAX;
    EXIT_STATS_BLOCKED = abi::BLOCKED;
    EXIT_STATS_USER = abi::USER;
    EXIT_STATS_STATE = abi::STATE;
    EXIT_STATS_L2 = abi::L2;
    EXIT_STATS_DROPPED = abi::DROPPED;
    EXIT_STATS_BUCKET = abi::BUCKET;
    EXIT_STATS_SNAPSHOT = abi::SNAPSHOT;
    EXIT_STATS_HANDLING_L1 = HANDLING;
    EXIT_STATS_HANDLING_L2 = HANDLING_L2;
    EXIT_STATS_BLOCK_BEGIN = Event::BlockBegin;
    EXIT_STATS_BLOCK_END = Event::BlockEnd;
    EXIT_STATS_USER_BEGIN = Event::UserBegin;
    EXIT_STATS_USER_END = Event::UserEnd;
    EXIT_STATS_SCHED_OUT = Event::SchedOut;
    EXIT_STATS_SCHED_IN = Event::SchedIn;
    EXIT_STATS_ENTRY_FAILED = Event::EntryFailed;
    EXIT_STATS_ENTRY_EMULATED = Event::EntryEmulated;
    EXIT_STATS_SPRING22 = abi::Layout::Spring22;
    EXIT_STATS_FALL22 = abi::Layout::Fall22;
    EXIT_STATS_COMBINED = abi::Layout::Combined;
    EXIT_STATS_NOT_SERVED = Step::NotServed;
    EXIT_STATS_READY = Step::Ready;
    EXIT_STATS_ADD_LIVE = Step::AddLive;
    EXIT_STATS_ADD_SNAPSHOT = Step::AddSnapshot;
    EXIT_STATS_TAKE_SNAPSHOT = Step::TakeSnapshot;
}
