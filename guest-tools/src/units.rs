// SPDX-License-Identifier: GPL-2.0
//! Figures as people read them.

/// `13,760,741`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.char_indices() {
        if place != 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.23us`, in three digits, of nanoseconds.
pub fn time(nanoseconds: f64) -> String {
    if nanoseconds == 0.0 {
        return "0".into();
    }
    let mut value = nanoseconds;
    for unit in ["ns", "us", "ms"] {
        // 999.5 would be shown as 1000.
        if value < 999.5 {
            return three_digits(value, unit);
        }
        value /= 1000.0;
    }
    if value < 9_999.5 {
        return three_digits(value, "s");
    }
    format!("{}s", grouped(value.round() as u64))
}

fn three_digits(value: f64, unit: &str) -> String {
    let decimals = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{unit}")
}

/// `12.3%`; a share that is not 0 is not shown as 0.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0".into();
    }
    let share = part as f64 / whole as f64 * 100.0;
    match share {
        _ if share < 0.05 => "<0.1%".into(),
        _ => format!("{share:.1}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn times_have_three_digits_and_never_four() {
        let shown = [0.0, 0.5, 999.4, 999.6, 1234.0, 99_960.0, 1e9, 3.6e12, 1e13].map(time);
        let expected = [
            "0", "0.50ns", "999ns", "1.00us", "1.23us", "100us", "1.00s", "3600s", "10,000s",
        ];
        assert_eq!(shown, expected.map(String::from));
    }

    #[test]
    fn a_share_that_is_not_zero_is_not_shown_as_zero() {
        assert_eq!(percent(1, 1_000_000), "<0.1%");
        assert_eq!(percent(0, 5), "0");
        assert_eq!(percent(5, 0), "0");
        assert_eq!(percent(1, 3), "33.3%");
    }
}
