// SPDX-License-Identifier: GPL-2.0
//! Values of options, as people type them.

use std::net::ToSocketAddrs;
use std::time::Duration;

/// Reads a decimal or hexadecimal number of 32 bits.
pub fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "not a number of 32 bits, decimal or with 0x".into())
}

pub(crate) fn range(text: &str) -> Result<(u32, u32), String> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    match last.checked_sub(first) {
        None => Err("the range ends before it begins".into()),
        Some(65536..) => Err("more than 65,536 subleaves".into()),
        Some(_) => Ok((first, last)),
    }
}

/// As [`interval`], but a number without a unit is in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<Duration, String> {
    if text.ends_with(|last: char| last.is_ascii_digit()) {
        interval(&format!("{text}ms"))
    } else {
        interval(text)
    }
}

pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_millis(10) => Err("shorter than 10ms".into()),
        interval => Ok(interval),
    }
}

/// Reads an address to listen at: a host's name or number and a port, or a port only.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let problem = "not an address such as :9000, localhost:9000 or [::1]:9000";
    let (host, port) = text.rsplit_once(':').ok_or(problem)?;
    let _: u16 = port.parse().map_err(|_| problem)?;
    if host.is_empty() || text.to_socket_addrs().is_ok() {
        Ok(text.into())
    } else {
        Err(format!("no host is called {host}"))
    }
}

pub(crate) fn mask(text: &str) -> Result<u64, String> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| "not a hexadecimal number of 64 bits".into())
}

/// Reads a time such as `500ms`, `2s`, `1.5s` or `3m`; without a unit it is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("the units are ms, s, m and h".into()),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| "not a time such as 500ms or 2s")?;
    match number * unit {
        seconds if (0.0..=1e9).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a time between 0 and some years".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_the_options_are_sound() {
        use clap::CommandFactory;
        crate::args::Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units_and_wrong_ones_are_refused() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "-1s", "5 parsecs", "nan", "inf", "1e30h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
