// SPDX-License-Identifier: GPL-2.0
//! Names of numbers, and of ranges of numbers.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A number, or a range with both of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
}

impl Range {
    /// Reads `0x70`, `12` or `0x70-0x71`.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self {
            first: number(first)?,
            last: number(last)?,
        };
        (range.first <= range.last).then_some(range)
    }

    /// Whether a number is in it.
    pub fn has(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Named ranges, which may lie in each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(Range, String)>);

impl Ranges {
    /// Of a table whose keys are numbers and ranges.
    ///
    /// # Errors
    ///
    /// The key that is neither.
    pub fn of(table: BTreeMap<String, String>) -> std::result::Result<Self, String> {
        let ranges = table.into_iter().map(|(key, name)| {
            let range = Range::parse(&key);
            let range = range.ok_or_else(|| format!("neither a number nor a range: {key:?}"));
            range.map(|range| (range, name))
        });
        ranges.collect::<std::result::Result<_, _>>().map(Self)
    }

    /// Reads /proc/ioports or /proc/iomem of a guest.
    ///
    /// # Errors
    ///
    /// The line that is not understood; a file in which all is 0, which is what the kernel
    /// shows to those who are not root.
    pub fn of_proc(text: &str, file: &str) -> Result<Self> {
        let mut ranges = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let parsed = line.trim().split_once(" : ").and_then(|(range, name)| {
                let (first, last) = range.split_once('-')?;
                let number = |digits| u64::from_str_radix(digits, 16).ok();
                let range = Range {
                    first: number(first)?,
                    last: number(last)?,
                };
                Some((range, name.to_string()))
            });
            let problem = || {
                let what = "no line such as \"0060-0060 : keyboard\"";
                Error::input(file, place + 1, format!("{what}: {line:?}"))
            };
            ranges.push(parsed.ok_or_else(problem)?);
        }
        if ranges.iter().all(|(range, _)| range.last == 0) {
            let problem = "there are no addresses in it: the kernel shows them to root only";
            Err(Error::input(file, 0, problem))
        } else {
            Ok(Self(ranges))
        }
    }

    /// The name of the narrowest range that a number is in; of those alike the last.
    pub fn name(&self, number: u64) -> Option<&str> {
        self.narrowest(number).map(|(_, name)| name)
    }

    /// The same, or what another knows of a narrower range.
    pub fn name_or<'r>(&'r self, other: &'r Self, number: u64) -> Option<&'r str> {
        let both = [self.narrowest(number), other.narrowest(number)];
        let found = both.into_iter().flatten().min_by_key(|(width, _)| *width);
        found.map(|(_, name)| name)
    }

    fn narrowest(&self, number: u64) -> Option<(u64, &str)> {
        let fits = self.0.iter().rev().filter(|(range, _)| range.has(number));
        let widths = fits.map(|(range, name)| (range.last - range.first, name.as_str()));
        widths.min_by_key(|(width, _)| *width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_name_of_the_narrowest_range() {
        let text = "0000-0cf7 : PCI Bus 0000:00\n  0020-0021 : pic1\n  0040-0043 : timer0\n";
        let ranges = Ranges::of_proc(text, "ioports").unwrap();
        assert_eq!(ranges.name(0x40), Some("timer0"));
        assert_eq!(ranges.name(0x44), Some("PCI Bus 0000:00"));
        assert_eq!(ranges.name(0xcf8), None);
        let table = [("0x608-0x60b".to_string(), "ACPI PM timer".to_string())];
        let table = Ranges::of(BTreeMap::from(table)).unwrap();
        assert_eq!(ranges.name_or(&table, 0x608), Some("ACPI PM timer"));
        assert_eq!(ranges.name_or(&table, 0x600), Some("PCI Bus 0000:00"));
        assert_eq!(ranges.name_or(&table, 0x40), Some("timer0"));
    }

    #[test]
    fn what_the_kernel_shows_to_others_than_root_is_refused() {
        let text = "00000000-00000000 : Reserved\n  00000000-00000000 : System RAM\n";
        let message = Ranges::of_proc(text, "iomem").unwrap_err().to_string();
        assert!(
            message.contains("iomem") && message.contains("root"),
            "{message}"
        );
        let message = Ranges::of_proc("nonsense", "iomem")
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("iomem:1: "), "{message}");
    }
}
