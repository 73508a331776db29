// SPDX-License-Identifier: GPL-2.0
//! The log: everything that is known about a machine, in lines.
//!
//! In this order: the raw value of every MSR, each section decoded, whether
//! the CPUs agree, what the audit found, and the verdict. On Bochs' Haswell these
//! are 223 lines and 10 KiB, less than a tenth of the kernel log buffer that
//! Kconfig proposes (CONFIG_LOG_BUF_SHIFT=17). No line is rate-limited, and none
//! reaches the thousand characters at which printk cuts lines off.

use core::fmt;

use crate::audit::audit;
use crate::capabilities::Capabilities;
use crate::cpuid::Identity;
use crate::cpus::{Cpus, Machine};
use crate::decode::{fields, unnamed_bits, Answer, Controls, RawLine};
use crate::tables::{Section, SECTIONS};
use crate::verdict::Verdict;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// A contradiction in the values, or CPUs that differ.
    Warning,
}

/// Where lines go.
pub trait Log {
    /// Takes one line, without a line feed.
    fn line(&mut self, level: Level, text: fmt::Arguments<'_>);
}

/// Lines into anything that takes text. After the first error nothing more is
/// written.
#[derive(Debug)]
pub struct Plain<'a, W> {
    /// Where the text goes.
    pub out: &'a mut W,
    /// The first error, if there was one.
    pub result: fmt::Result,
}

impl<'a, W: fmt::Write> Plain<'a, W> {
    /// Writes to `out`.
    pub fn new(out: &'a mut W) -> Self {
        Self {
            out,
            result: Ok(()),
        }
    }
}

impl<W: fmt::Write> Log for Plain<'_, W> {
    fn line(&mut self, _level: Level, text: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{text}");
        }
    }
}

/// Reads all CPUs and logs everything. Without VMX the verdict is the only
/// line, and no MSR is read.
pub fn report(cpus: &Cpus<'_, impl Machine>, log: &mut impl Log) -> Verdict {
    if let Err(verdict) = Verdict::from_cpuid(cpus.identity) {
        log.line(Level::Info, format_args!("{verdict}"));
        return verdict;
    }
    // There is always a CPU that is online: the one that runs this.
    let first = cpus.iter().next().unwrap_or(0);
    let caps = cpus.read(first);
    of_values(&caps, log);
    agreement(cpus, first, &caps, log);
    conclusion(cpus.identity, &caps, log)
}

/// The raw lines and the decoded sections of one CPU.
pub fn of_values(caps: &Capabilities, log: &mut impl Log) {
    for (msr, state) in caps.iter() {
        log.line(Level::Info, format_args!("{}", RawLine(msr, state)));
    }
    for section in SECTIONS {
        of_section(section, caps, log);
    }
}

/// The audit and the verdict on one CPU.
pub fn conclusion(identity: &Identity, caps: &Capabilities, log: &mut impl Log) -> Verdict {
    for violation in audit(caps) {
        log.line(Level::Warning, format_args!("audit: {violation}"));
    }
    let verdict = Verdict::of(identity, caps);
    log.line(Level::Info, format_args!("{verdict}"));
    verdict
}

/// One section: a header line and a line for every control or field.
pub fn of_section(section: &Section, caps: &Capabilities, log: &mut impl Log) {
    match *section {
        Section::Fields(msr) => {
            let (title, name, index) = (msr.title, msr.name, msr.index);
            let state = caps.state(msr);
            log.line(
                Level::Info,
                format_args!("{title} ({name} {index:#x}): {state}"),
            );
            let Some(value) = state.raw() else { return };
            for field in fields(msr, value) {
                log.line(Level::Info, format_args!("  {field}"));
            }
            for bit in unnamed_bits(msr, value) {
                log.line(Level::Info, format_args!("  unknown bit {bit}: Yes"));
            }
        }
        Section::Controls { .. } | Section::Fixed { .. } => of_controls(section, caps, log),
    }
}

fn of_controls(section: &Section, caps: &Capabilities, log: &mut impl Log) {
    let controls = Controls::of(section, caps);
    let (plain, other) = section.msrs();
    let source = controls.map_or(plain, |controls| controls.source);
    let (title, name, index) = (source.title, source.name, source.index);
    let state = caps.state(source);
    match (section, other) {
        (Section::Fixed { .. }, Some(fixed1)) => {
            let (name1, index1, state1) = (fixed1.name, fixed1.index, caps.state(fixed1));
            log.line(
                Level::Info,
                format_args!("{title} ({name} {index:#x}, {name1} {index1:#x}): {state}, {state1}"),
            );
        }
        _ => log.line(
            Level::Info,
            format_args!("{title} ({name} {index:#x}): {state}"),
        ),
    }
    let Some(controls) = controls else { return };
    for decoded in controls.iter() {
        log.line(Level::Info, format_args!("  {decoded}"));
    }
    let ignored = controls.ignored();
    if ignored != 0 {
        let answer = Answer {
            can_set: true,
            can_clear: true,
        };
        log.line(
            Level::Info,
            format_args!("  reserved bits {ignored:#x}, ignored by the CPU: {answer}"),
        );
    }
}

/// Whether all CPUs say the same.
// Kept out of line for the sake of the kernel's stack: inlined together, the
// frames of this file come to 2 KiB.
#[inline(never)]
pub fn agreement(
    cpus: &Cpus<'_, impl Machine>,
    first: u32,
    caps: &Capabilities,
    log: &mut impl Log,
) {
    let mut differences = 0u32;
    let count = cpus.compare(first, caps, &mut |line| {
        differences = differences.saturating_add(1);
        log.line(Level::Warning, line);
    });
    match (differences, count) {
        (0, 1) => log.line(Level::Info, format_args!("only CPU {first} is online")),
        (0, _) => log.line(Level::Info, format_args!("all {count} online CPUs agree")),
        _ => log.line(
            Level::Warning,
            format_args!("the {count} online CPUs do not agree with CPU {first}, see above"),
        ),
    }
}
