// SPDX-License-Identifier: GPL-2.0
//! What a `hist` file of ftrace holds: a table for each trigger of its event.

use crate::error::{Error, Result};

/// The table of one trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hist {
    /// The fields by which it counts, without modifiers such as `.buckets=4096`.
    pub keys: Vec<String>,
    /// The value of each field, and how many events had these. Of a range of values,
    /// which a field with buckets has, this is the lowest.
    pub entries: Vec<(Vec<u64>, u64)>,
    /// Events that found the table full, and so have no entry.
    pub dropped: u64,
}

/// Reads a `hist` file.
///
/// # Errors
///
/// The file's name and the line that is not understood. A table whose entries do not add
/// up to the number of events that it states is not understood either.
pub fn parse(text: &str, file: &str) -> Result<Vec<Hist>> {
    let mut tables = Vec::new();
    let mut open: Option<Hist> = None;
    for (place, line) in text.lines().enumerate() {
        let problem = |problem: String| Error::input(file, place + 1, problem);
        if let Some(info) = line.strip_prefix("# trigger info: ") {
            if open.is_some() {
                return Err(problem("the table before this one has no totals".into()));
            }
            let keys = keys(info).ok_or_else(|| problem(format!("no keys in {info:?}")))?;
            open = Some(Hist {
                keys,
                ..Hist::default()
            });
            continue;
        }
        let Some(table) = &mut open else { continue };
        if line.starts_with('{') {
            let entry = entry(line, &table.keys);
            let entry = entry.ok_or_else(|| problem(format!("no entry: {line:?}")))?;
            table.entries.push(entry);
        } else if let Some((name, figure)) = line.trim().split_once(": ") {
            let figure = figure.trim().parse::<u64>();
            let figure = || figure.map_err(|_| problem(format!("no number: {line:?}")));
            match name {
                "Hits" => {
                    let (stated, sum) = (figure()?, table.events());
                    if sum != Some(stated) {
                        let sum = sum.map_or("too many".into(), |sum| sum.to_string());
                        let text = format!("the entries are {sum} events, but it had {stated}");
                        return Err(problem(text));
                    }
                }
                "Dropped" => {
                    table.dropped = figure()?;
                    tables.extend(open.take());
                }
                _ => (),
            }
        }
    }
    match open {
        None => Ok(tables),
        Some(_) => {
            let problem = "the last table is cut off: it has no line \"Dropped:\"";
            Err(Error::input(file, text.lines().count(), problem))
        }
    }
}

impl Hist {
    /// The number of events that have an entry; `None` if 64 bits do not hold it.
    pub fn events(&self) -> Option<u64> {
        let mut counts = self.entries.iter().map(|(_, count)| *count);
        counts.try_fold(0, u64::checked_add)
    }
}

/// The fields of `hist:keys=rw,port,size:vals=hitcount:...`.
fn keys(info: &str) -> Option<Vec<String>> {
    let keys = info
        .split(':')
        .find_map(|part| part.strip_prefix("keys="))?;
    let name = |key: &str| key.split('.').next().unwrap_or(key).to_string();
    Some(keys.split(',').map(name).collect())
}

/// `{ rw:          0, port:       1016, size:          1 } hitcount:         12`.
fn entry(line: &str, keys: &[String]) -> Option<(Vec<u64>, u64)> {
    let (fields, count) = line.strip_prefix('{')?.split_once('}')?;
    let count = count
        .trim()
        .strip_prefix("hitcount:")?
        .trim()
        .parse()
        .ok()?;
    let mut keys = keys.iter();
    let values = fields.split(", ").map(|field| {
        let (name, value) = field.trim().split_once(':')?;
        (keys.next()? == name).then(|| number(value.trim()))?
    });
    let values: Option<Vec<u64>> = values.collect();
    values
        .filter(|_| keys.next().is_none())
        .map(|values| (values, count))
}

/// `12`, or `~ 4096-8191` for a bucket.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("~ ") {
        Some(range) => range.split_once('-')?.0.parse().ok(),
        None => text.parse().ok(),
    }
}
