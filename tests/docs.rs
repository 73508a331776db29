// SPDX-License-Identifier: GPL-2.0
//! The Markdown of the tables.
#![allow(missing_docs)]

use vmx_caps::msr::Kind;
use vmx_caps::tables::MSRS;

#[test]
fn the_markdown_has_every_row_of_every_table() {
    let mut text = String::new();
    vmx_caps::markdown::write(&mut text).unwrap();
    let has = |row: String| assert!(text.contains(&row), "{row}");
    for msr in MSRS {
        has(format!("| {:#x} | {} |", msr.index, msr.name));
        for control in msr.controls() {
            has(format!("| {} | {} |", control.bit, control.name));
        }
        if let Kind::Fields { fields } = msr.kind {
            fields
                .iter()
                .for_each(|field| has(format!("{} | {} |", field.low, field.name)));
        }
    }
    let columns = |line: &str| line.matches('|').count();
    let tables = text.split("\n\n").filter(|block| block.starts_with('|'));
    for table in tables {
        let width = columns(table.lines().next().unwrap());
        assert!(table.lines().all(|line| columns(line) == width), "{table}");
    }
}
