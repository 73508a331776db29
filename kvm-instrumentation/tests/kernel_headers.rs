// SPDX-License-Identifier: GPL-2.0

//! The exit reasons against the kernel's: every number that asm/vmx.h and asm/svm.h have
//! for userspace is in the table of its vendor, under the same name.
//!
//! VMXSCOPE_KERNEL_TREES names kernel source trees, separated by colons; `make test` sets it.

use std::collections::BTreeMap;
use std::path::Path;

use exit_stats::reason::Vendor;

/// Macros of these families that are no exit reason.
const NO_REASON: &[&str] = &[
    "SVM_EXIT_EXCP_BASE",
    "SVM_EXIT_LAST_EXCP",
    "SVM_EXIT_SW",
    "SVM_EXIT_ERR",
];

/// Numbers by name, of macros with this prefix.
fn defined(header: &Path, prefix: &str) -> BTreeMap<String, u32> {
    let text = std::fs::read_to_string(header)
        .unwrap_or_else(|error| panic!("{}: {error}", header.display()));
    let number = |word: &str| {
        let word = word
            .trim_matches(['(', ')'])
            .trim_end_matches(['u', 'l', 'U', 'L']);
        match word.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => word.parse().ok(),
        }
    };
    let macros = text.lines().filter_map(|line| {
        let (name, value) = line
            .strip_prefix("#define")?
            .trim()
            .split_once(char::is_whitespace)?;
        let value = value.split("/*").next()?.trim();
        let symbol = name.strip_prefix(prefix)?;
        Some((symbol.to_string(), number(value)?))
    });
    macros
        .filter(|(symbol, _)| !NO_REASON.contains(&format!("{prefix}{symbol}").as_str()))
        .collect()
}

fn check(tree: &Path, vendor: Vendor, header: &str, prefix: &str, at_least: usize) {
    let header = tree.join("arch/x86/include/uapi/asm").join(header);
    let theirs = defined(&header, prefix);
    let file = header.display();
    assert!(
        theirs.len() >= at_least,
        "{file}: only {} were found",
        theirs.len()
    );
    for (symbol, number) in &theirs {
        let found = vendor
            .symbol(*number)
            .map(|symbol| symbol.to_str().unwrap());
        assert_eq!(
            found,
            Some(symbol.as_str()),
            "{file}: {prefix}{symbol} is {number}"
        );
    }
}

#[test]
#[ignore = "it needs kernel source trees: `make test` runs it"]
fn every_reason_has_the_number_and_the_name_of_the_kernels_headers() {
    let trees = std::env::var("VMXSCOPE_KERNEL_TREES");
    let trees = trees.expect("VMXSCOPE_KERNEL_TREES names kernel source trees");
    for tree in trees.split(':').map(Path::new) {
        check(tree, Vendor::Vmx, "vmx.h", "EXIT_REASON_", 60);
        check(tree, Vendor::Svm, "svm.h", "SVM_EXIT_", 60);
    }
}
