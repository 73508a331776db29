// SPDX-License-Identifier: GPL-2.0
//! Raw lines back into values, so that a log can be decoded elsewhere.

use core::str::FromStr;

use crate::capabilities::{Capabilities, State, FAULTED, NOT_BY_RULE, NOT_ENUMERATED};

/// Reads the state of one MSR from a line of a log, which may have the time
/// stamp and prefix of a kernel log in front: `msr 0x480 IA32_VMX_BASIC
/// 0xda040000000004`. `None` for a line of any other kind, such as one of
/// another CPU than the first.
pub fn raw_line(line: &str) -> Option<(u32, State)> {
    let line = line.trim();
    let text = match line.split_once("vmx_caps: ") {
        Some((_, text)) => text,
        None => line,
    };
    let mut words = text.strip_prefix("msr ")?.splitn(3, ' ');
    let index = u32::try_from(hexadecimal(words.next()?)?).ok()?;
    words.next()?;
    let state = words.next()?.trim().parse().ok()?;
    Some((index, state))
}

/// A text that is no state of an MSR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoState;

/// Takes what [`State`] displays.
impl FromStr for State {
    type Err = NoState;

    fn from_str(text: &str) -> Result<Self, NoState> {
        let number = |text| hexadecimal(text).ok_or(NoState);
        Ok(match (text, text.split_once(' ')) {
            (NOT_ENUMERATED, _) => Self::NotEnumerated,
            (FAULTED, _) => Self::Faulted,
            (_, None) => Self::Present(number(text)?),
            (_, Some((value, note))) => {
                let note = note
                    .strip_prefix('(')
                    .and_then(|note| note.strip_suffix(')'));
                (note == Some(NOT_BY_RULE)).then_some(()).ok_or(NoState)?;
                Self::PresentNotEnumerated(number(value)?)
            }
        })
    }
}

/// Reads all raw lines of a log, and skips all others. MSRs of which the log
/// says nothing are not enumerated.
pub fn log(text: &str) -> Capabilities {
    let mut caps = Capabilities::EMPTY;
    for (index, state) in text.lines().filter_map(raw_line) {
        caps.set(index, state);
    }
    caps
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    // from_str_radix would take a sign.
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_digits.then(|| u64::from_str_radix(digits, 16).ok())?
}
