// SPDX-License-Identifier: GPL-2.0
//! AIDA64's CPUID dumps, in which most public values of real CPUs are.
//!
//! A dump has `MSR 00000480: 00DA-0400-0000-0004` for each MSR, in one section for the whole
//! machine, or in one for each `[ Logical CPU #0 ]`.

use vmx_caps::capabilities::State;
use vmx_caps::tables::MSRS;

use crate::caps::known::Known;
use crate::error::{Error, Result};

/// Reads a dump; `None` if the text is something else. The first logical CPU that has values
/// counts, and those that differ from it are noted.
pub fn parse(text: &str, file: &str) -> Result<Option<Known>> {
    let mut known = Known::new(file);
    let mut found = false;
    let mut cpu = None;
    for (number, line) in text.lines().enumerate() {
        if let Some((_, rest)) = line.split_once("[ Logical CPU #") {
            cpu = rest.split(' ').next().map(str::to_string);
            continue;
        }
        let Some((index, value)) = msr(line) else {
            continue;
        };
        let Some(msr) = MSRS.iter().find(|msr| msr.index == index) else {
            continue;
        };
        let value = value.ok_or_else(|| {
            let problem = format!("the value of {index:#x} is not of the form 00DA-0400-0000-0004");
            Error::input(file, number + 1, problem)
        })?;
        found = true;
        match known.caps.state(msr).value() {
            None => {
                known.caps.set(index, State::Present(value));
            }
            Some(first) if first != value => known.notes.push(format!(
                "line {}: {} is {value:#x}{}, and {first:#x} before",
                number + 1,
                msr.name,
                cpu.as_ref()
                    .map_or(String::new(), |cpu| format!(" on logical CPU {cpu}"))
            )),
            Some(_) => (),
        }
    }
    Ok(found.then_some(known))
}

/// The number of an MSR, and its value if it is one.
fn msr(line: &str) -> Option<(u32, Option<u64>)> {
    let (index, rest) = line.trim().strip_prefix("MSR ")?.split_once(": ")?;
    let index = (index.len() == 8).then(|| u32::from_str_radix(index, 16).ok())??;
    let word = rest.split_whitespace().next()?;
    let parts: Vec<&str> = word.split('-').collect();
    let whole = parts.len() == 4 && parts.iter().all(|part| part.len() == 4);
    let value = whole.then(|| u64::from_str_radix(&parts.concat(), 16).ok());
    Some((index, value.flatten()))
}
