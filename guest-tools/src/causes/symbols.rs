// SPDX-License-Identifier: GPL-2.0
//! Functions of the guest's kernel by their addresses: a System.map, or a /proc/kallsyms.

use crate::error::{Error, Result};

/// Functions by their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// Reads a System.map or a /proc/kallsyms.
    ///
    /// # Errors
    ///
    /// The line that is not understood; a file in which all addresses are 0, which is what
    /// the kernel shows to those who are not root.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let mut symbols = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let mut words = line.split_ascii_whitespace();
            let address = words
                .next()
                .and_then(|word| u64::from_str_radix(word, 16).ok());
            let (Some(address), Some(kind), Some(name)) = (address, words.next(), words.next())
            else {
                let what = "no line such as \"ffffffff81000000 T _text\"";
                return Err(Error::input(file, place + 1, format!("{what}: {line:?}")));
            };
            // Code, and code that may be defined elsewhere.
            if matches!(kind, "t" | "T" | "w" | "W") {
                let module = words
                    .next()
                    .map_or(String::new(), |module| format!(" {module}"));
                symbols.push((address, format!("{name}{module}")));
            }
        }
        // Of several names of an address the first is the one that the file has first.
        symbols.sort_by_key(|(address, _)| *address);
        match symbols.last() {
            None => Err(Error::input(file, 0, "there are no functions in it")),
            Some((0, _)) => {
                let problem = "all addresses in it are 0: the kernel shows them to root only";
                Err(Error::input(file, 0, problem))
            }
            Some(_) => Ok(Self(symbols)),
        }
    }

    /// `native_write_msr+0x6`. `None` below the first function and from the last one on.
    pub fn name(&self, address: u64) -> Option<String> {
        let next = self.0.partition_point(|(start, _)| *start <= address);
        self.0.get(next)?;
        let (start, _) = *self.0.get(next.checked_sub(1)?)?;
        // Half of the address space is between the functions of a kernel and userspace.
        if start >> 63 != address >> 63 {
            return None;
        }
        let first = self.0.partition_point(|(other, _)| *other < start);
        let (_, name) = self.0.get(first)?;
        let (name, module) = match name.split_once(' ') {
            Some((name, module)) => (name, format!(" {module}")),
            None => (name.as_str(), String::new()),
        };
        Some(match address - start {
            0 => format!("{name}{module}"),
            offset => format!("{name}+{offset:#x}{module}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "ffffffff81000000 T _text\nffffffff81000000 T _stext\n\
        ffffffff81000040 t one\nffffffff81000050 D data\nffffffffc0001000 t two\t[kvm]\n\
        ffffffffc0002000 t last\t[kvm]\n";

    #[test]
    fn an_address_has_the_name_of_the_function_that_it_is_in() {
        let symbols = Symbols::parse(MAP, "map").unwrap();
        assert_eq!(symbols.name(0xffff_ffff_8100_0000).unwrap(), "_text");
        assert_eq!(symbols.name(0xffff_ffff_8100_0052).unwrap(), "one+0x12");
        assert_eq!(
            symbols.name(0xffff_ffff_c000_1004).unwrap(),
            "two+0x4 [kvm]"
        );
        assert_eq!(symbols.name(0xffff_ffff_c000_2000), None);
        assert_eq!(symbols.name(0x5555_5555_0000), None);
    }

    #[test]
    fn a_file_without_addresses_is_refused() {
        let zeros = "0000000000000000 T _text\n0000000000000000 t one\n";
        let message = |text| Symbols::parse(text, "map").unwrap_err().to_string();
        assert!(message(zeros).contains("root"));
        assert!(message("ffffffff81000000 D data\n").contains("no functions"));
        assert!(message("nonsense\n").starts_with("map:1: "));
    }
}
