// SPDX-License-Identifier: GPL-2.0
//! `vmxscope check`: does this host serve the leaves by their rules?
//!
//! The rules are those of the interface's documentation, as far as a guest can see
//! them.

use exit_stats::abi::{self, Regs, Role, Selector, State};
use exit_stats::counters::{slot, SLOTS};
use exit_stats::reader::{CpuidReader, Reader};

use crate::args::CheckArgs;
use crate::error::{status, Result};
use crate::guest::pin_to;
use crate::output::Output;
use crate::platform;
use crate::processor::{Counted, Processor};

/// More than the newest reason, and the course's own example.
const UNDEFINED: [u32; 3] = [444, 0x8000, u32::MAX];

type Outcome = std::result::Result<String, String>;

/// Runs the command; the status tells whether all rules are kept.
pub fn run(args: &CheckArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    let cpu = Counted::new(processor);
    pin_to(&cpu, args.cpu)?;
    let reader = Reader::probe(&cpu).map_err(|why| platform::no_statistics(&cpu, why))?;
    let mut broken = 0;
    let look = out.look;
    for (rule, test) in RULES {
        let (mark, told) = match test(&reader, &cpu) {
            Ok(told) => (look.good("ok  "), told),
            Err(told) => {
                broken += 1;
                (look.bad("FAIL"), told)
            }
        };
        writeln!(out, "{mark}  {rule}: {told}")?;
    }
    if args.random != 0 {
        let served = random(&reader, &cpu, args.random, args.seed);
        let mark = look.good("ok  ");
        writeln!(
            out,
            "{mark}  random selectors: asked {}, of which {served} exist (seed {})",
            args.random, args.seed
        )?;
    }
    writeln!(out, "{} CPUID exits by this program.", cpu.executed())?;
    Ok(if broken == 0 {
        status::OK
    } else {
        status::DIFFERS
    })
}

type Test = fn(&Reader<&Counted<'_>>, &Counted<'_>) -> Outcome;

const RULES: [(&str, Test); 7] = [
    ("discovery", discovery),
    ("undefined reasons give EDX=0xffffffff", undefined),
    ("reasons that are not enabled give 0", not_enabled),
    ("undefined selectors give EDX=0xffffffff", selectors),
    ("in a snapshot the total is the sum", sums),
    (
        "each histogram adds up to the exits with a time",
        histograms,
    ),
    ("every CPUID is counted", counts),
];

fn discovery(reader: &Reader<&Counted<'_>>, _: &Counted<'_>) -> Outcome {
    let interface = reader.interface();
    let text = format!(
        "version {}, layout {}, {}, {} reasons, {} histogram buckets, TSC of {} kHz",
        abi::VERSION,
        crate::guest::layout_name(interface.layout),
        if interface.host_scope {
            "the whole host"
        } else {
            "this VM"
        },
        interface.reasons,
        interface.buckets,
        interface.tsc_khz
    );
    match interface {
        _ if interface.tsc_khz == 0 => Err(format!("{text}: there is no frequency")),
        _ if interface.reasons == 0 => Err(format!("{text}: there are no reasons")),
        _ if interface.fields & (1 << abi::EXITS) == 0 => {
            Err(format!("{text}: no exits are served"))
        }
        _ => Ok(text),
    }
}

/// The answers of the leaves of exits and of cycles for a reason.
fn answers(reader: &Reader<&Counted<'_>>, reason: u32) -> impl Iterator<Item = Regs> {
    let roles = [Role::Exits, Role::Cycles];
    roles
        .map(|role| reader.leaf(role, reason))
        .into_iter()
        .flatten()
}

/// The numbers that a host of this vendor may count; those of SVM are far apart.
fn numbers(reader: &Reader<&Counted<'_>>) -> impl Iterator<Item = u32> {
    (0..reader.interface().reasons).filter(|&number| slot(number) < SLOTS)
}

fn undefined(reader: &Reader<&Counted<'_>>, _: &Counted<'_>) -> Outcome {
    let gaps = numbers(reader).filter(|&n| reader.state(n) == State::Undefined);
    let all: Vec<u32> = gaps.chain(UNDEFINED).collect();
    for &number in &all {
        if let Some(regs) = answers(reader, number).find(|regs| *regs != Regs::UNDEFINED) {
            return Err(format!("{number} gives {regs:x?}"));
        }
    }
    Ok(format!("{all:?}"))
}

fn not_enabled(reader: &Reader<&Counted<'_>>, _: &Counted<'_>) -> Outcome {
    let off = numbers(reader).filter(|&n| reader.state(n) == State::NotEnabled);
    let off: Vec<u32> = off.collect();
    for &number in &off {
        if let Some(regs) = answers(reader, number).find(|regs| *regs != Regs::default()) {
            return Err(format!("{number} gives {regs:x?}"));
        }
    }
    Ok(format!("{off:?}"))
}

fn selectors(_: &Reader<&Counted<'_>>, cpu: &Counted<'_>) -> Outcome {
    let of = |reason, field| Selector {
        reason,
        field,
        snapshot: false,
    };
    let wrong = [
        of(UNDEFINED[0], abi::EXITS),
        of(UNDEFINED[0], abi::BUCKET),
        of(abi::FAILED, abi::CYCLES),
        of(abi::EMULATED, abi::MAX),
        of(abi::TOTAL, abi::BUCKET + abi::BUCKETS),
        of(abi::TOTAL, abi::SNAPSHOT - 1),
        of(abi::TOTAL, abi::STATE),
    ];
    for selector in wrong {
        let regs = cpu.cpuid(abi::EXTENSION, selector.encode());
        if regs != Regs::UNDEFINED {
            return Err(format!("{:#x} gives {regs:x?}", selector.encode()));
        }
    }
    Ok(format!("{} tried", wrong.len()))
}

fn sums(reader: &Reader<&Counted<'_>>, _: &Counted<'_>) -> Outcome {
    let snapshot = reader.snapshot(100).ok_or("no snapshot could be had")?;
    let rows = || {
        let reasons = snapshot
            .reasons
            .iter()
            .flatten()
            .map(|(_, figures)| *figures);
        reasons.chain([snapshot.beyond])
    };
    let total = snapshot.total;
    for (what, sum, total) in [
        (
            "exits",
            rows().map(|row| row.exits).sum::<u64>(),
            total.exits,
        ),
        ("cycles", rows().map(|row| row.cycles).sum(), total.cycles),
        (
            "blocked cycles",
            rows().map(|row| row.blocked).sum(),
            total.blocked,
        ),
        (
            "userspace cycles",
            rows().map(|row| row.user).sum(),
            total.user,
        ),
        ("nested exits", rows().map(|row| row.l2).sum(), total.l2),
    ] {
        if sum != total {
            return Err(format!("{what} add up to {sum}, the total is {total}"));
        }
    }
    Ok(format!("{} exits, {} cycles", total.exits, total.cycles))
}

fn histograms(reader: &Reader<&Counted<'_>>, _: &Counted<'_>) -> Outcome {
    if reader.interface().buckets == 0 {
        return Ok("there are none".into());
    }
    for _ in 0..100 {
        let taken = reader.take().ok_or("no snapshot could be had")?;
        let verdict = histograms_of_snapshot(reader);
        if reader.generation() == Some(taken) {
            return verdict;
        }
    }
    Err("the snapshot was replaced again and again".into())
}

fn histograms_of_snapshot(reader: &Reader<&Counted<'_>>) -> Outcome {
    let mut checked = 0;
    let reasons = reader.interface().vendor.reasons().iter();
    for number in reasons.map(|reason| u32::from(reason.number)) {
        let Some(row) = reader.figures(number, true).filter(|row| row.exits != 0) else {
            continue;
        };
        let buckets = reader.histogram(number, true);
        let known: Option<Vec<u64>> = buckets
            .into_iter()
            .take(reader.interface().buckets as usize)
            .collect();
        let Some(known) = known else { continue };
        let (sum, timed) = (
            known.iter().sum::<u64>(),
            row.exits.saturating_sub(row.dropped),
        );
        // An exit that is being handled was counted, and has no time yet: at most
        // one a vCPU.
        if sum > timed {
            return Err(format!(
                "{number}: {sum} exits in the buckets, {timed} with a time"
            ));
        }
        checked += 1;
    }
    Ok(format!("{checked} reasons"))
}

/// The rule that other programs rely on: between two reads there is what happened.
fn counts(reader: &Reader<&Counted<'_>>, cpu: &Counted<'_>) -> Outcome {
    let cpuid = crate::view::cpuid(reader.interface().vendor);
    const EXECUTED: u64 = 100;
    let read = || {
        reader.select(Selector {
            reason: cpuid,
            field: abi::EXITS,
            snapshot: false,
        })
    };
    let (before, executed) = (read(), cpu.executed());
    for _ in 0..EXECUTED {
        cpu.cpuid(0, 0);
    }
    let counted = read();
    let executed = cpu.executed() - executed;
    match before.zip(counted) {
        Some((before, after)) if after.wrapping_sub(before) >= executed => Ok(format!(
            "{executed} executed, {} counted",
            after.wrapping_sub(before)
        )),
        Some((before, after)) => Err(format!(
            "{executed} executed, {} counted",
            after.wrapping_sub(before)
        )),
        None => Err("exits by CPUID are not served".into()),
    }
}

/// Asks arbitrary selectors of all the leaves, and returns how many exist.
fn random(reader: &Reader<&Counted<'_>>, cpu: &Counted<'_>, count: u64, seed: u64) -> u64 {
    // xorshift64*: enough to be without a pattern, and the same for a seed.
    let mut state = seed.max(1);
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    };
    let leaves = abi::EXTENSION..=abi::FIRST | 3;
    let mut served = 0;
    for _ in 0..count {
        let leaf = leaves.start() + next() % (leaves.end() - leaves.start() + 1);
        let ecx = match next() % 4 {
            // All of it, and what comes close to something that exists.
            0 => next(),
            1 => next() % reader.interface().reasons.max(1),
            2 => next() & 0x807f_007f,
            _ => next() | 0xfff0,
        };
        let regs = cpu.cpuid(leaf, ecx);
        served += u64::from(regs != Regs::UNDEFINED && regs != Regs::default());
    }
    served
}
