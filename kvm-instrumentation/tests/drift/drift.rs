// SPDX-License-Identifier: GPL-2.0

//! Holds the boundary against the header: what differs does not compile.
//!
//! A test adds this module to the kernel's root, with bindgen's reading of the
//! header in the place of `c.rs`.

#![forbid(unsafe_code)]

use core::mem::{align_of, offset_of, size_of};

use crate::answer::Config;
use crate::causes::{Head, ENTRIES};
use crate::clock::{event, phase, Vcpu, CAUSED, FROM_L2, OVER};
use crate::counters::{Set, NONE, ROWS, SLOTS};
use crate::hist::Hist;
use crate::vendor::Vendor;
use crate::{abi, boundary, c};

/// The header's declaration and our function have one type.
// SAFETY: nothing is called here: `unsafe` is part of that type.
macro_rules! same_signature {
    ($($name:ident: fn($($argument:ty),*) -> $result:ty;)*) => {
        $(const _: [unsafe extern "C" fn($($argument),*) -> $result; 2] =
            [boundary::$name, c::$name];)*
    };
}

same_signature! {
    exit_stats_handled: fn(*mut c::exit_stats_vcpu) -> ();
    exit_stats_event: fn(*mut c::exit_stats_vcpu, u32) -> ();
    exit_stats_answer: fn(
        *const c::exit_stats_config, u32, u32, *const c::exit_stats, *mut c::exit_stats_regs
    ) -> bool;
    exit_stats_clear: fn(*mut c::exit_stats) -> ();
    exit_stats_add: fn(*mut c::exit_stats, *const c::exit_stats) -> ();
    exit_stats_value: fn(*const c::exit_stats, u32, u32) -> u64;
    exit_stats_cause: fn(*const c::exit_stats, u32, u32) -> u64;
    exit_stats_reason: fn(u32, u32) -> u32;
    exit_stats_slot: fn(u32) -> u32;
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
    exit_stats_vcpu = Vcpu {
        start = start, mark = mark, since = since, first = first, latest = latest,
        set = set, phase = phase, reserved = reserved, cause = cause
    }
    exit_stats = Set {
        hist = hist, failed = failed, emulated = emulated, generation = generation,
        causes = causes, vendor = vendor, used = used, reserved = reserved, map = map, row = rows
    }
    exit_stats_hist = Hist { row = rows }
    exit_stats_causes = Head {
        seeds = seeds, used = used, missed = missed, fewest = fewest, candidates = candidates,
        capacity = capacity, reserved = reserved, first = first
    }
    exit_stats_config = Config {
        enabled = enabled, instance = instance, layout = layout, vendor = vendor,
        tsc_khz = tsc_khz, hist = hist, entry = entry, beside = beside, causes = causes
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
    EXIT_STATS_VMX = Vendor::Vmx;
    EXIT_STATS_SVM = Vendor::Svm;
    EXIT_STATS_ROWS = ROWS;
    EXIT_STATS_SLOTS = SLOTS;
    EXIT_STATS_NO_ROW = NONE;
    EXIT_STATS_BUCKETS = abi::BUCKETS;
    EXIT_STATS_BEYOND = abi::BEYOND;
    EXIT_STATS_SVM_BUSY = 0xfff0;
    EXIT_STATS_SVM_IDLE = 0xfff1;
    EXIT_STATS_SVM_INVALID = 0xfff2;
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
    EXIT_STATS_AWAY = abi::AWAY;
    EXIT_STATS_ENTRY = abi::ENTRY;
    EXIT_STATS_GUEST = abi::GUEST;
    EXIT_STATS_BUCKET = abi::BUCKET;
    EXIT_STATS_SNAPSHOT = abi::SNAPSHOT;
    EXIT_STATS_FIRST_LEAF = abi::CAUSES;
    EXIT_STATS_CAUSES = abi::CAUSES;
    EXIT_STATS_EXTENSION = abi::EXTENSION;
    EXIT_STATS_LAST_LEAF = abi::FIRST | 3;
    EXIT_STATS_NEW = phase::NEW;
    EXIT_STATS_RUNNING = phase::RUNNING;
    EXIT_STATS_BLOCKED_NOW = phase::BLOCKED;
    EXIT_STATS_IN_USER = phase::USER;
    EXIT_STATS_FROM_L2 = FROM_L2;
    EXIT_STATS_CAUSED = CAUSED;
    EXIT_STATS_OVER = OVER;
    EXIT_STATS_CAUSE_ENTRIES = ENTRIES;
    EXIT_STATS_CAUSE_ID = abi::CAUSE_ID;
    EXIT_STATS_CAUSE_KEY = abi::CAUSE_KEY;
    EXIT_STATS_CAUSE_RIP = abi::CAUSE_RIP;
    EXIT_STATS_CAUSE_EXITS = abi::CAUSE_EXITS;
    EXIT_STATS_CAUSE_CYCLES = abi::CAUSE_CYCLES;
    EXIT_STATS_CAUSE_ERROR = abi::CAUSE_ERROR;
    EXIT_STATS_CAUSE_REST = abi::REST;
    EXIT_STATS_CAUSE_HAS_KEY = abi::CAUSE_HAS_KEY;
    EXIT_STATS_CAUSE_HAS_RIP = abi::CAUSE_HAS_RIP;
    EXIT_STATS_CAUSE_CPL3 = abi::CAUSE_CPL3;
    EXIT_STATS_CAUSE_L2 = abi::CAUSE_L2;
    EXIT_STATS_BLOCK_BEGIN = event::BLOCK_BEGIN;
    EXIT_STATS_BLOCK_END = event::BLOCK_END;
    EXIT_STATS_USER_BEGIN = event::USER_BEGIN;
    EXIT_STATS_STOP_BEGIN = event::STOP_BEGIN;
    EXIT_STATS_USER_END = event::USER_END;
    EXIT_STATS_SCHED_OUT = event::SCHED_OUT;
    EXIT_STATS_SCHED_IN = event::SCHED_IN;
    EXIT_STATS_BEFORE_ENTRY = event::BEFORE_ENTRY;
    EXIT_STATS_ENTRY_FAILED = event::ENTRY_FAILED;
    EXIT_STATS_ENTRY_EMULATED = event::ENTRY_EMULATED;
}
