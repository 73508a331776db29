// SPDX-License-Identifier: GPL-2.0
//! Exit reasons as people type them.

use exit_stats::reason::{self, Reason};

use crate::error::{Error, Result};

fn symbol(reason: &Reason) -> String {
    reason.symbol.to_string_lossy().to_lowercase()
}

fn name(reason: &Reason) -> String {
    reason.name.to_string_lossy().to_lowercase()
}

/// Finds the number of a reason: by number, by Linux's name with or without its
/// prefix, by the SDM's name, or by a part of one that fits only one reason.
pub fn number(text: &str) -> Result<u32> {
    if let Ok(number) = crate::args::number(text) {
        return match reason::is_defined(number) {
            true => Ok(number),
            false => Err(Error::Usage(format!(
                "the SDM defines no exit reason {number}"
            ))),
        };
    }
    let lower = text.trim().to_lowercase();
    let as_symbol = lower.replace(['-', ' '], "_");
    let as_symbol = as_symbol.strip_prefix("exit_reason_").unwrap_or(&as_symbol);
    let exact = reason::all().find(|reason| symbol(reason) == as_symbol || name(reason) == lower);
    if let Some(reason) = exact {
        return Ok(reason.number.into());
    }
    // A part begins where a word does: "ept" is no part of "exception".
    let begins = |text: &str, part: &str| {
        let at = |place: usize| place == 0 || !text.as_bytes()[place - 1].is_ascii_alphanumeric();
        text.match_indices(part).any(|(place, _)| at(place))
    };
    let parts: Vec<&Reason> = reason::all()
        .filter(|reason| begins(&symbol(reason), as_symbol) || begins(&name(reason), &lower))
        .collect();
    let describe = |reason: &&Reason| format!("{} ({})", reason.number, symbol(reason));
    match parts.as_slice() {
        [one] => Ok(one.number.into()),
        [] => Err(Error::Usage(format!(
            "no exit reason is called {text:?}: `vmxscope exits --all` lists them"
        ))),
        several => {
            let list: Vec<String> = several.iter().map(describe).collect();
            Err(Error::Usage(format!(
                "{text:?} fits several exit reasons: {}",
                list.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_reason_is_found_by_number_and_by_either_name() {
        for (text, expected) in [
            ("12", 12),
            ("0x30", 48),
            ("hlt", 12),
            ("EPT_VIOLATION", 48),
            ("ept-misconfig", 49),
            ("EXIT_REASON_CPUID", 10),
            ("Control-register accesses", 28),
            ("preemption", 52),
        ] {
            assert_eq!(number(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_fits_none_or_several_is_refused_by_name() {
        let message = |text| number(text).unwrap_err().to_string();
        assert!(message("35").contains("35"));
        assert!(message("nonsense").contains("nonsense"));
        assert!(message("EPT").ends_with(": 48 (ept_violation), 49 (ept_misconfig)"));
    }
}
