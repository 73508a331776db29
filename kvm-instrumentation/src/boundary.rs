// SPDX-License-Identifier: GPL-2.0

//! The C boundary: what `exit_stats.h` declares, and where the contracts are.
//!
//! These functions only turn pointers into references and numbers into types.
//! Everything behind the pointers is of atomic words where another thread may
//! write meanwhile, so shared references are enough.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use crate::answer::{Config, Query};
use crate::clock::{Armed, Event, Vcpu};
use crate::counters::{Counters, Figure, Scope};
use crate::hist::Hist;
use crate::{abi, c, reason};

static ARMED: Armed = Armed::new();

/// Returns what C calls a string. The kernel's `char` is unsigned, unlike Rust's here.
fn c_string(string: &'static CStr) -> *const c::c_char {
    string.to_bytes_with_nul().as_ptr().cast()
}

/// Counts and times the latest exit: it has been handled.
///
/// # Safety
///
/// `s` is valid, `hist` valid or null, and no other thread records to them meanwhile.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_handled(
    s: *mut c::exit_stats_vcpu,
    hist: *mut c::exit_stats_hist,
    tsc: u64,
) {
    // SAFETY: `s` is valid, and `hist` valid or null, by the requirement of this function.
    let (vcpu, hist) = unsafe { (&*s.cast::<Vcpu>(), hist.cast::<Hist>().as_ref()) };
    vcpu.handled(&ARMED, hist, tsc);
}

/// Records a rarer event.
///
/// # Safety
///
/// `s` is valid, and no other thread records to it meanwhile.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_event(s: *mut c::exit_stats_vcpu, event: u32, tsc: u64) {
    // SAFETY: `s` is valid by the requirement of this function.
    let vcpu = unsafe { &*s.cast::<Vcpu>() };
    if let Some(event) = Event::from_number(event) {
        vcpu.event(&ARMED, event, tsc);
    }
}

/// Says whether all places that record are live.
///
/// # Safety
///
/// Always safe to call; callers serialise it.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_arm(on: bool, tsc: u64) {
    ARMED.arm(on, tsc);
}

/// Decodes a leaf.
///
/// # Safety
///
/// `q` is valid for writing, `config` for reading.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_query_begin(
    q: *mut c::exit_stats_query,
    config: *const c::exit_stats_config,
    leaf: u32,
    subleaf: u32,
) -> u32 {
    // SAFETY: `config` is valid by the requirement of this function.
    let config = unsafe { &*config.cast::<Config>() };
    let (query, step) = Query::begin(config, leaf, subleaf);
    // SAFETY: `q` is valid for writing by the requirement of this function.
    unsafe { q.cast::<Query>().write(query) };
    step as u32
}

/// Adds what one set of counters has to say.
///
/// # Safety
///
/// `q` was filled in by [`exit_stats_query_begin`] and is not shared; `counters` is
/// valid; `hist` is valid or null.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_query_add(
    q: *mut c::exit_stats_query,
    counters: *const c::exit_stats_counters,
    hist: *const c::exit_stats_hist,
) {
    // SAFETY: `q` is valid and not shared, by the requirement of this function.
    let query = unsafe { &mut *q.cast::<Query>() };
    // SAFETY: `counters` is valid, and `hist` valid or null, likewise.
    let (counters, hist) = unsafe { (&*counters.cast::<Counters>(), hist.cast::<Hist>().as_ref()) };
    query.add(counters, hist);
}

/// Makes the registers.
///
/// # Safety
///
/// `q` was filled in by [`exit_stats_query_begin`]; `regs` is valid for writing.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_query_end(
    q: *const c::exit_stats_query,
    regs: *mut c::exit_stats_regs,
) {
    // SAFETY: `q` is valid by the requirement of this function.
    let answer = unsafe { &*q.cast::<Query>() }.end();
    // SAFETY: `regs` is valid for writing by the requirement of this function.
    unsafe { regs.cast::<abi::Regs>().write(answer) };
}

/// Empties a snapshot and raises its generation.
///
/// # Safety
///
/// `snap` is valid, `hist` valid or null; no other thread writes to them meanwhile.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_snapshot_begin(
    snap: *mut c::exit_stats_counters,
    hist: *mut c::exit_stats_hist,
) {
    // SAFETY: `snap` is valid, and `hist` valid or null, by the requirement of this function.
    let (snap, hist) = unsafe { (&*snap.cast::<Counters>(), hist.cast::<Hist>().as_ref()) };
    snap.begin_snapshot();
    if let Some(hist) = hist {
        hist.clear();
    }
}

/// Adds one set to another.
///
/// # Safety
///
/// All are valid, or null if histograms; no other thread writes to `dst` and
/// `dst_hist` meanwhile.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_merge(
    dst: *mut c::exit_stats_counters,
    dst_hist: *mut c::exit_stats_hist,
    src: *const c::exit_stats_counters,
    src_hist: *const c::exit_stats_hist,
) {
    // SAFETY: Both are valid, or null if histograms, by the requirement of this function.
    let (dst, dst_hist) = unsafe { (&*dst.cast::<Counters>(), dst_hist.cast::<Hist>().as_ref()) };
    // SAFETY: Likewise.
    let (src, src_hist) = unsafe { (&*src.cast::<Counters>(), src_hist.cast::<Hist>().as_ref()) };
    dst.merge(src);
    if let Some(hist) = dst_hist {
        hist.merge(src, src_hist);
    }
}

/// Takes a baseline away.
///
/// # Safety
///
/// As of [`exit_stats_merge`].
#[no_mangle]
pub unsafe extern "C" fn exit_stats_subtract(
    dst: *mut c::exit_stats_counters,
    dst_hist: *mut c::exit_stats_hist,
    base: *const c::exit_stats_counters,
    base_hist: *const c::exit_stats_hist,
) {
    // SAFETY: Both are valid, or null if histograms, by the requirement of this function.
    let (dst, dst_hist) = unsafe { (&*dst.cast::<Counters>(), dst_hist.cast::<Hist>().as_ref()) };
    // SAFETY: Likewise.
    let (base, base_hist) =
        unsafe { (&*base.cast::<Counters>(), base_hist.cast::<Hist>().as_ref()) };
    dst.subtract(base);
    if let Some(hist) = dst_hist {
        hist.subtract(base, base_hist);
    }
}

/// Returns one figure.
///
/// # Safety
///
/// `counters` is valid, `hist` valid or null, `value` valid for writing.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_value(
    counters: *const c::exit_stats_counters,
    hist: *const c::exit_stats_hist,
    reason: u32,
    field: u32,
    value: *mut u64,
) -> bool {
    // SAFETY: `counters` is valid, and `hist` valid or null, by the requirement of
    // this function.
    let (counters, hist) = unsafe { (&*counters.cast::<Counters>(), hist.cast::<Hist>().as_ref()) };
    let figure = Scope::from_number(reason)
        .zip(Figure::from_field(field))
        .and_then(|(scope, figure)| counters.value(hist, scope, figure));
    let Some(figure) = figure else {
        return false;
    };
    // SAFETY: `value` is valid for writing by the requirement of this function.
    unsafe { value.write(figure) };
    true
}

/// Returns one field of every row.
///
/// # Safety
///
/// `counters` is valid, and `out` valid for writing `len` words.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_column(
    counters: *const c::exit_stats_counters,
    field: u32,
    out: *mut u64,
    len: u32,
) {
    // SAFETY: `counters` is valid by the requirement of this function.
    let counters = unsafe { &*counters.cast::<Counters>() };
    // SAFETY: `out` is valid for writing `len` words; they need not be initialised.
    let out =
        unsafe { core::slice::from_raw_parts_mut(out.cast::<MaybeUninit<u64>>(), len as usize) };
    let figure = Figure::from_field(field);
    let mut column = figure
        .into_iter()
        .flat_map(|figure| counters.column(figure));
    for word in out {
        word.write(column.next().unwrap_or(0));
    }
}

/// Returns the SDM's name of a reason, or null.
///
/// # Safety
///
/// Always safe to call.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_reason_name(reason: u32) -> *const c::c_char {
    reason::name(reason).map_or(core::ptr::null(), c_string)
}

/// Returns a reason's name as an identifier, or null.
///
/// # Safety
///
/// Always safe to call.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_reason_symbol(reason: u32) -> *const c::c_char {
    reason::symbol(reason).map_or(core::ptr::null(), c_string)
}
