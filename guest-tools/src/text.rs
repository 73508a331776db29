// SPDX-License-Identifier: GPL-2.0
//! Text that others wrote, such as the name of a VM.

use serde::{Deserialize, Deserializer};

/// Replaces control characters by what people can read: they could give commands to the
/// terminal of whoever looks at a list of VMs, who is mostly root.
pub fn harmless(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

/// The same of a text of several lines.
pub fn harmless_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(harmless).collect();
    lines.join("\n")
}

/// For serde's `deserialize_with`.
pub fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    Ok(harmless(&String::deserialize(from)?).into())
}
