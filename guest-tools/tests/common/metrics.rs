// SPDX-License-Identifier: GPL-2.0
//! Prometheus' text format, read as strictly as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

/// One line.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Reads a page; panics where Prometheus would refuse it.
pub fn parse(text: &str) -> Vec<Sample> {
    let (mut samples, mut seen, mut families) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().unwrap();
            assert!(families.insert(name.to_string()), "{name} is there twice");
            family = name.into();
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, is) = of.split_once(' ').unwrap();
            assert_eq!(name, family, "{line}");
            kind = is.into();
        } else {
            let sample = sample(line);
            let name = match kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| sample.name.strip_suffix(end))
                    .unwrap_or_else(|| panic!("{line}")),
                _ => &sample.name,
            };
            assert_eq!(name, family, "{line}");
            assert!(
                seen.insert((sample.name.clone(), sample.labels.clone())),
                "twice: {line}"
            );
            samples.push(sample);
        }
    }
    samples
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, rest) = series.split_once('{').unwrap_or_else(|| panic!("{line}"));
    let (mut rest, mut labels) = (rest.strip_suffix('}').unwrap(), BTreeMap::new());
    while !rest.is_empty() {
        let (key, quoted) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        let (text, after) = unquote(quoted);
        assert!(labels.insert(key.to_string(), text).is_none(), "{line}");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Sample {
        name: name.into(),
        labels,
        value: value.parse().unwrap_or_else(|_| panic!("{line}")),
    }
}

/// The text up to the closing quote, and what is after that.
fn unquote(quoted: &str) -> (String, &str) {
    let (mut text, mut letters) = (String::new(), quoted.char_indices());
    loop {
        match letters.next().expect("a label ends with a quote") {
            (place, '"') => return (text, &quoted[place + 1..]),
            (_, '\\') => match letters.next().unwrap().1 {
                'n' => text.push('\n'),
                letter => text.push(letter),
            },
            (_, letter) => text.push(letter),
        }
    }
}
