// SPDX-License-Identifier: GPL-2.0
//! Capability values out of what people have: logs of all kinds.
//!
//! A line that has nothing to say is skipped. One that names a capability MSR and
//! gives something for its value that is none is an error, with its number.

use std::collections::BTreeMap;

use vmx_caps::parse::raw_line;
use vmx_caps::tables::{entry, exit, feature_control, pin, primary, secondary, tertiary, MSRS};

use crate::caps::known::Known;
use crate::caps::{aida64, json, vmxcap};
use crate::error::{Error, Result};

/// What can be read, for a message and for the help.
pub const READABLE: &str = "\
the JSON of `vmxscope caps`, the log of vmx_caps (also in dmesg), lines such as
\"0x481 0x7f00000016\" or \"IA32_VMX_BASIC = 0x...\", a shell session with rdmsr, the output of
QEMU's vmxcap, VirtualBox logs, AIDA64's dumps (\"MSR 00000480: 00DA-0400-0000-0004\"), and
logs of the course's modules";

/// Reads a text. `first` is the MSR of the first of lines of bare values, as rdmsr
/// prints them.
pub fn text(text: &str, file: &str, first: Option<u32>) -> Result<Known> {
    if text.trim_start().starts_with('{') {
        return json::parse(text, file);
    }
    if let Some(known) = module_log(text, file)? {
        return Ok(known);
    }
    if let Some(known) = vmxcap::parse(text, file)? {
        return Ok(known);
    }
    if let Some(known) = aida64::parse(text, file)? {
        return Ok(known);
    }
    let mut found = BTreeMap::new();
    let mut notes = Vec::new();
    let mut asked = None;
    let mut bare = first;
    for (number, line) in text.lines().enumerate() {
        let error = |problem| Error::input(file, number + 1, problem);
        if let Some(index) = rdmsr(line) {
            asked = Some(index);
            continue;
        }
        let pair = match (asked.take().or(bare), bare_value(line)) {
            (Some(index), Some(value)) => {
                if Some(index) == bare {
                    bare = index.checked_add(1);
                }
                Some((index, value))
            }
            _ => found_in(line).map_err(error)?,
        };
        let Some((index, value)) = pair else { continue };
        if !MSRS.iter().any(|msr| msr.index == index) {
            notes.push(format!(
                "line {}: {index:#x} is no VMX capability MSR",
                number + 1
            ));
            continue;
        }
        if let Some(before) = found.insert(index, value).filter(|before| *before != value) {
            notes.push(format!(
                "line {}: {index:#x} was {before:#x} before, and is {value:#x} here: the last one counts",
                number + 1
            ));
        }
    }
    if found.is_empty() {
        let mut problem =
            format!("no value of a VMX capability MSR is in it. What can be read is\n{READABLE}.");
        if text.lines().any(|line| bare_value(line).is_some()) {
            problem +=
                "\nIt has bare values: say of which MSR the first is, such as --first 0x480.";
        }
        return Err(Error::input(file, 0, problem));
    }
    let mut known = Known::of_values(file, &found);
    known.notes = notes;
    Ok(known)
}

/// The log of the capability module, by its raw lines; `None` if there are none.
fn module_log(text: &str, file: &str) -> Result<Option<Known>> {
    let mut known = Known::new(file);
    let mut seen = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some((index, state)) = raw_line(line) {
            // A later log in the same file counts: the module was loaded again.
            if seen.contains(&index) && Some(&index) == seen.first() {
                known = Known::new(file);
                seen.clear();
                known
                    .notes
                    .push("there are several logs: the last one counts".into());
            }
            if !known.caps.set(index, state) {
                known.notes.push(format!(
                    "line {}: {index:#x} is no VMX capability MSR",
                    number + 1
                ));
            }
            seen.push(index);
        } else if let Some((_, rest)) = line.split_once("msr 0x") {
            let after_cpu = line.contains("CPU");
            let of_the_module = rest.contains("IA32_") && !after_cpu;
            if of_the_module {
                return Err(Error::input(
                    file,
                    number + 1,
                    format!("not a line that vmx_caps logs: {:?}", line.trim()),
                ));
            }
        }
    }
    known.complete = MSRS.iter().all(|msr| seen.contains(&msr.index));
    Ok((!seen.is_empty()).then_some(known))
}

/// `rdmsr 0x480`, with a prompt and options; the value is on the next line.
fn rdmsr(line: &str) -> Option<u32> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| !word.ends_with("rdmsr"));
    words.next()?;
    let last = words.filter(|word| !word.starts_with('-')).last()?;
    hex(last)
        .or_else(|| crate::values::number(last).ok().map(u64::from))
        .and_then(|index| u32::try_from(index).ok())
}

/// A line that is one hexadecimal number.
fn bare_value(line: &str) -> Option<u64> {
    let line = line.trim();
    let digits = line.strip_prefix("0x").unwrap_or(line);
    digits_of(digits)
}

fn digits_of(digits: &str) -> Option<u64> {
    let fits =
        (1..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// A hexadecimal number with 0x.
fn hex(word: &str) -> Option<u64> {
    digits_of(
        word.strip_prefix("0x")
            .or_else(|| word.strip_prefix("0X"))?,
    )
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '=' | ':' | ',' | '(' | ')' | '[' | ']' | '|')
}

/// An MSR and its value in a line of any log.
fn found_in(line: &str) -> std::result::Result<Option<(u32, u64)>, String> {
    let words: Vec<&str> = line
        .split(is_separator)
        .filter(|word| !word.is_empty())
        .collect();
    let named = words.iter().rposition(|word| by_name(word).is_some());
    let (index, rest) = match (named, by_number(&words), by_phrase(line)) {
        (Some(place), _, _) => (by_name(words[place]), &words[place + 1..]),
        (None, Some(index), _) => (Some(index), &words[1..]),
        (None, None, Some(index)) => (Some(index), &words[1..]),
        (None, None, None) => return Ok(None),
    };
    let Some(index) = index else { return Ok(None) };
    // The first number is the value, but for the MSR's own; what follows is a remark.
    let mut numbers = rest.iter().filter_map(|word| hex(word));
    if let Some(value) = numbers.find(|number| *number != u64::from(index)) {
        return Ok(Some((index, value)));
    }
    // `481 0000007f00000016`, and the same with the name between.
    if let Some(value) = rest
        .last()
        .filter(|word| word.len() >= 8)
        .and_then(|word| digits_of(word))
    {
        return Ok(Some((index, value)));
    }
    match rest.last() {
        // Something that was meant as a value.
        Some(word) if word.starts_with("0x") || by_number(&words).is_some() => Err(format!(
            "the value of {index:#x} is no hexadecimal number of 64 bits: {word:?}"
        )),
        _ => Ok(None),
    }
}

/// The SDM's name, with or without what logs put before it.
fn by_name(word: &str) -> Option<u32> {
    let plain = word.strip_prefix("MSR_").unwrap_or(word);
    let plain = plain.strip_prefix("IA32_").unwrap_or(plain);
    let name = |name: &'static str| name.strip_prefix("IA32_").unwrap_or(name);
    let msr = MSRS
        .iter()
        .find(|msr| name(msr.name).eq_ignore_ascii_case(plain))?;
    Some(msr.index)
}

/// A line of two words, or of three, whose first is a number as MSRs have it.
fn by_number(words: &[&str]) -> Option<u32> {
    let first = words.first().filter(|_| matches!(words.len(), 2 | 3))?;
    let index = hex(first).or_else(|| digits_of(first).filter(|_| first.len() == 3))?;
    u32::try_from(index).ok()
}

/// The course's modules, and VirtualBox for one of them, use words.
fn by_phrase(line: &str) -> Option<u32> {
    let lower = line.to_lowercase();
    if lower.contains("feature control msr") {
        return Some(feature_control::MSR.index);
    }
    if !lower.contains("controls msr") && !lower.contains("ctls msr") {
        return None;
    }
    let has = |text| lower.contains(text);
    Some(match () {
        () if has("tertiary") => tertiary::MSR.index,
        () if has("secondary") => secondary::MSR.index,
        () if has("pinbased") || has("pin-based") || has("pin based") => pin::PLAIN.index,
        () if has("proc") || has("primary") => primary::PLAIN.index,
        () if has("entry") => entry::PLAIN.index,
        () if has("exit") => exit::PLAIN.index,
        () => return None,
    })
}

/// `0x482=0x...`, for the command line.
pub fn assignment(text: &str) -> std::result::Result<(u32, u64), String> {
    let (msr, value) = text.split_once('=').ok_or("not of the form 0x482=0x...")?;
    let index = match by_name(msr) {
        Some(index) => index,
        None => crate::values::number(msr).map_err(|problem| format!("{msr}: {problem}"))?,
    };
    if !MSRS.iter().any(|msr| msr.index == index) {
        return Err(format!("{msr} is no VMX capability MSR"));
    }
    let value = hex(value).ok_or(format!(
        "{value} is no hexadecimal number of 64 bits with 0x"
    ))?;
    Ok((index, value))
}
