// SPDX-License-Identifier: GPL-2.0

//! The C boundary: what `exit_stats.h` declares, and where the contracts are.
//!
//! These functions only turn pointers into references and numbers into types.
//! Everything behind the pointers is of atomic words where another thread may
//! write meanwhile, so shared references are enough.

use core::slice;
use core::sync::atomic::Ordering::Relaxed;

use crate::answer::{answer, Config};
use crate::causes::{Causes, Entry};
use crate::clock::Vcpu;
use crate::counters::{slot, Set, View};
use crate::vendor::Vendor;
use crate::{abi, c};

/// Returns a set and its histograms without the causes, or `None` for null.
///
/// # Safety
///
/// `set` is valid or null, and so are its histograms, for as long as the result is used.
#[inline(always)]
unsafe fn counters<'a>(set: *const c::exit_stats) -> Option<View<'a>> {
    // SAFETY: `set` is valid or null by the requirement of this function.
    let set = unsafe { set.cast::<Set>().as_ref() }?;
    // SAFETY: So are its histograms.
    let hist = unsafe { set.hist.load(Relaxed).as_ref() };
    Some(View {
        set,
        hist,
        causes: None,
    })
}

/// Adds the causes to a set, if it has any.
///
/// # Safety
///
/// The table of causes is valid for as long as the result is used: its head, and behind
/// that as many entries as the head says.
#[inline(always)]
unsafe fn with_causes(mut view: View<'_>) -> View<'_> {
    let table = view.set.causes.load(Relaxed);
    // SAFETY: The head is valid or null by the requirement of this function.
    if let Some(head) = unsafe { table.as_ref() } {
        let capacity = head.capacity.load(Relaxed) as usize;
        // SAFETY: The entries follow the head, which is as aligned as they are.
        let entries = unsafe { slice::from_raw_parts(table.add(1).cast::<Entry>(), capacity) };
        view.causes = Some(Causes { head, entries });
    }
    view
}

/// Returns a set with all that it has, or `None` for null.
///
/// # Safety
///
/// `set` is valid or null, and so is what it has, for as long as the result is used.
unsafe fn view<'a>(set: *const c::exit_stats) -> Option<View<'a>> {
    // SAFETY: All of it is valid by the requirement of this function.
    unsafe { Some(with_causes(counters(set)?)) }
}

/// Returns what a vCPU does, and its counters if it has any.
///
/// # Safety
///
/// `v` is valid, as are its counters, for as long as the result is used.
#[inline(always)]
unsafe fn vcpu<'a>(v: *mut c::exit_stats_vcpu) -> Option<(&'a Vcpu, View<'a>)> {
    // SAFETY: `v` is valid by the requirement of this function.
    let vcpu = unsafe { &*v.cast::<Vcpu>() };
    // SAFETY: So are its counters, unless there are none.
    let to = unsafe { counters(vcpu.set.load(Relaxed).cast()) }?;
    Some((vcpu, to))
}

/// Reads the clock, as the kernel's `rdtsc()` does.
#[cfg(not(miri))]
#[inline(always)]
pub fn clock() -> u64 {
    // SAFETY: Every x86-64 CPU has RDTSC, and the kernel may always use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Stands for the clock in Miri, which has no RDTSC.
#[cfg(miri)]
pub fn clock() -> u64 {
    static CLOCK: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(1);
    CLOCK.fetch_add(100, Relaxed)
}

/// Counts and times the latest exit: it has been handled.
///
/// # Safety
///
/// `v` and its counters are valid, and no other thread records to them meanwhile.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_handled(v: *mut c::exit_stats_vcpu) {
    // SAFETY: By the requirement of this function.
    if let Some((vcpu, to)) = unsafe { vcpu(v) } {
        let tsc = clock();
        if !vcpu.handled_as_usual(to, tsc) {
            // SAFETY: Likewise.
            unsafe { handled_otherwise(v, tsc) }
        }
    }
}

/// Counts and times an exit that is not from L1, has no row yet or none of its own, or
/// whose cause is kept.
///
/// # Safety
///
/// As of [`exit_stats_handled`].
#[cold]
#[inline(never)]
unsafe fn handled_otherwise(v: *mut c::exit_stats_vcpu, tsc: u64) {
    // SAFETY: By the requirement of this function.
    if let Some((vcpu, to)) = unsafe { vcpu(v) } {
        // SAFETY: The causes are valid, likewise.
        vcpu.handled_otherwise(unsafe { with_causes(to) }, tsc);
    }
}

/// Records a rarer event.
///
/// # Safety
///
/// As of [`exit_stats_handled`].
#[no_mangle]
pub unsafe extern "C" fn exit_stats_event(v: *mut c::exit_stats_vcpu, event: u32) {
    // SAFETY: By the requirement of this function.
    if let Some((vcpu, to)) = unsafe { vcpu(v) } {
        vcpu.event(to, event, clock());
    }
}

/// Adds to the registers what a set says to a leaf.
///
/// # Safety
///
/// `config` and `regs` are valid, `set` valid or null, and `regs` not shared.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_answer(
    config: *const c::exit_stats_config,
    leaf: u32,
    subleaf: u32,
    set: *const c::exit_stats,
    regs: *mut c::exit_stats_regs,
) -> bool {
    // SAFETY: Both are valid, and `regs` not shared, by the requirement of this function.
    let (config, regs) = unsafe { (&*config.cast::<Config>(), &mut *regs.cast::<abi::Regs>()) };
    // SAFETY: `set` is valid or null, likewise.
    answer(config, leaf, subleaf, unsafe { view(set) }, regs)
}

/// Empties a snapshot and raises its generation.
///
/// # Safety
///
/// `dst` is valid; no other thread writes to it meanwhile.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_clear(dst: *mut c::exit_stats) {
    // SAFETY: `dst` is valid by the requirement of this function.
    if let Some(dst) = unsafe { view(dst) } {
        dst.clear();
    }
}

/// Adds one set to another.
///
/// # Safety
///
/// Both are valid; no other thread writes to `dst` meanwhile.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_add(dst: *mut c::exit_stats, src: *const c::exit_stats) {
    // SAFETY: Both are valid by the requirement of this function.
    if let (Some(dst), Some(src)) = unsafe { (view(dst), view(src)) } {
        dst.add(src);
    }
}

/// Returns one figure, or 0 if there is no such.
///
/// # Safety
///
/// `set` is valid.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_value(
    set: *const c::exit_stats,
    reason: u32,
    field: u32,
) -> u64 {
    // SAFETY: `set` is valid by the requirement of this function.
    let view = unsafe { view(set) };
    view.and_then(|view| view.value(reason, field)).unwrap_or(0)
}

/// Returns a word of an entry of the causes, or 0 if there is no such.
///
/// # Safety
///
/// `set` is valid.
#[no_mangle]
pub unsafe extern "C" fn exit_stats_cause(set: *const c::exit_stats, entry: u32, word: u32) -> u64 {
    // SAFETY: `set` is valid by the requirement of this function.
    let view = unsafe { view(set) };
    view.and_then(|view| view.cause(entry, word)).unwrap_or(0)
}

/// Returns the number of the vendor's n-th reason, or `EXIT_STATS_TOTAL` after the last.
#[no_mangle]
pub extern "C" fn exit_stats_reason(vendor: u32, n: u32) -> u32 {
    let vendor = Vendor::from_number(vendor);
    let reason = vendor.and_then(|vendor| vendor.numbers().nth(n as usize));
    reason.unwrap_or(abi::TOTAL)
}

/// Returns the slot of a number, which is its bit of `enabled`; `EXIT_STATS_SLOTS` is none.
#[no_mangle]
pub extern "C" fn exit_stats_slot(reason: u32) -> u32 {
    slot(reason) as u32
}
