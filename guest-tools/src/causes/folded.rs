// SPDX-License-Identifier: GPL-2.0
//! Folded stacks: a line for each stack, its frames with semicolons between them, and a
//! count, as flame graph tools take them.

use super::model::{Cause, Causes};
use super::names::{action, key, Names};
use crate::args::Folded;
use crate::error::Result;
use crate::output::Output;

/// Prints them. Exits that are in no line, because a table was full, are one of their own.
pub fn print(causes: &Causes, what: Folded, names: &Names, out: &mut Output<'_>) -> Result<()> {
    let (rows, dropped) = match what {
        Folded::Causes => (&causes.causes, None),
        Folded::Places => (
            &causes.places,
            causes.dropped.get("places in the guest's code"),
        ),
    };
    for cause in rows {
        let frames = match what {
            Folded::Causes => [frame(action(cause.kind)), frame(&thing(cause, names))],
            Folded::Places => {
                let reason = cause.reason.map(|reason| causes.symbol(reason));
                [
                    frame(&reason.unwrap_or_default()),
                    frame(&place(cause, names)),
                ]
            }
        };
        writeln!(out, "{} {}", frames.join(";"), cause.exits)?;
    }
    if what == Folded::Causes {
        // Reasons of which no cause is known, such as HLT.
        let known = |reason| causes.causes.iter().any(|cause| cause.reason == reason);
        for reason in causes.reasons.iter().filter(|cause| !known(cause.reason)) {
            let name = reason.reason.map(|reason| causes.symbol(reason));
            writeln!(out, "{} {}", frame(&name.unwrap_or_default()), reason.exits)?;
        }
    }
    match dropped {
        Some(dropped) => writeln!(out, "no place in the table {dropped}"),
        None => Ok(()),
    }
}

/// `0x608 ACPI PM timer`.
fn thing(cause: &Cause, names: &Names) -> String {
    match names.of(cause) {
        Some(name) => format!("{} {name}", key(cause)),
        None => key(cause),
    }
}

fn place(cause: &Cause, names: &Names) -> String {
    let rip = cause.rip.unwrap_or_default();
    names.function(rip).unwrap_or_else(|| format!("{rip:#x}"))
}

/// What a frame may not have in it is what parts frames, and lines.
fn frame(text: &str) -> String {
    text.replace([';', '\n'], ",")
}
