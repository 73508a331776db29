// SPDX-License-Identifier: GPL-2.0

//! The atomics of everything that more than one thread touches: those of core.
//!
//! In a model, which tries every order of what threads do, they are those of loom. With
//! `loom_weaker` one of the two orderings is none any more, which a model has to notice.

#![forbid(unsafe_code)]

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicU8};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicU8};

#[cfg(not(loom_weaker = "acquire"))]
pub(crate) use core::sync::atomic::Ordering::Acquire;
pub(crate) use core::sync::atomic::Ordering::Relaxed;
#[cfg(loom_weaker = "acquire")]
pub(crate) use core::sync::atomic::Ordering::Relaxed as Acquire;
#[cfg(loom_weaker = "release")]
pub(crate) use core::sync::atomic::Ordering::Relaxed as Release;
#[cfg(not(loom_weaker = "release"))]
pub(crate) use core::sync::atomic::Ordering::Release;
