// SPDX-License-Identifier: GPL-2.0
//! Exit reasons as people type them.

use exit_stats::reason::{Reason, Vendor};

use crate::error::{Error, Result};

fn symbol(reason: &Reason) -> String {
    reason.symbol.to_string_lossy().to_lowercase()
}

fn name(reason: &Reason) -> String {
    reason.name.to_string_lossy().to_lowercase()
}

/// Finds the number of a vendor's reason: by number, by Linux's name with or without its
/// prefix, by the manual's name, or by a part of one that fits only one reason.
pub fn number(vendor: Vendor, text: &str) -> Result<u32> {
    let (manual, prefix) = match vendor {
        Vendor::Vmx => ("SDM", "exit_reason_"),
        Vendor::Svm => ("APM", "svm_exit_"),
    };
    if let Ok(number) = crate::values::number(text) {
        return if vendor.get(number).is_some() {
            Ok(number)
        } else {
            Err(Error::Usage(format!(
                "the {manual} defines no exit reason {number}"
            )))
        };
    }
    let lower = text.trim().to_lowercase();
    let as_symbol = lower.replace(['-', ' '], "_");
    let as_symbol = as_symbol.strip_prefix(prefix).unwrap_or(&as_symbol);
    let all = || vendor.reasons().iter();
    let exact = all().find(|reason| symbol(reason) == as_symbol || name(reason) == lower);
    if let Some(reason) = exact {
        return Ok(reason.number.into());
    }
    // A part begins where a word does: "ept" is no part of "exception".
    let begins = |text: &str, part: &str| {
        let at = |place: usize| place == 0 || !text.as_bytes()[place - 1].is_ascii_alphanumeric();
        text.match_indices(part).any(|(place, _)| at(place))
    };
    let parts: Vec<&Reason> = all()
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
    use super::{number, Vendor};

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
            assert_eq!(number(Vendor::Vmx, text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn an_exit_code_of_amds_is_found_likewise() {
        for (text, expected) in [("0x72", 0x72), ("cpuid", 0x72), ("SVM_EXIT_NPF", 0x400)] {
            assert_eq!(number(Vendor::Svm, text).unwrap(), expected, "{text}");
        }
        let message = number(Vendor::Svm, "35000").unwrap_err().to_string();
        assert!(message.starts_with("the APM defines no exit reason"));
    }

    #[test]
    fn a_name_that_fits_none_or_several_is_refused_by_name() {
        let message = |text| number(Vendor::Vmx, text).unwrap_err().to_string();
        assert!(message("35").contains("35"));
        assert!(message("nonsense").contains("nonsense"));
        assert!(message("EPT").ends_with(": 48 (ept_violation), 49 (ept_misconfig)"));
    }
}
