// SPDX-License-Identifier: GPL-2.0
//! What made a VM's exits, as its host keeps it.

use super::table;
use crate::error::{Error, Result};
use crate::view::{hexadecimal, KeptCause};

/// Reads the table, and how many exits it is about; `None` if there is none, because no
/// causes are kept. The last line has the exits that no other has: they all add up.
pub(super) fn parse(text: &str, file: &str) -> Result<Option<(Vec<KeptCause>, u64)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let head = table::head(text);
    let (mut causes, mut rest) = (Vec::new(), None);
    for line in table::lines(text, &head, file) {
        if line.cell("reason")? == "rest" {
            rest = Some(line.number("exits")?);
            continue;
        }
        let optional = |column: &str| match line.cell(column)? {
            "-" => Ok(None),
            cell => hexadecimal::parse(cell)
                .map(Some)
                .ok_or_else(|| line.wrong(format!("no number in column {column:?}: {cell:?}"))),
        };
        let flag = |column: &str| Ok::<_, Error>(line.number::<u8>(column)? != 0);
        causes.push(KeptCause {
            reason: line.number("reason")?,
            key: optional("key")?,
            rip: optional("rip")?,
            cpl3: flag("cpl3")?,
            nested: flag("l2")?,
            exits: line.number("exits")?,
            cycles: line.number("cycles")?,
            error: line.number("error")?,
        });
    }
    let Some(rest) = rest.filter(|_| text.ends_with('\n')) else {
        return Err(Error::input(file, 0, "the table is cut off"));
    };
    let exits = causes.iter().map(|cause: &KeptCause| cause.exits);
    let exits = exits.fold(rest, u64::saturating_add);
    Ok(Some((causes, exits)))
}
