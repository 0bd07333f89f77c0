//! Ticks of an evenly divided axis: at multiples of 1, 2 or 5 times a power of ten.

use super::unit::prefixed;
use super::{Tick, Ticks, titled};

/// From here on a number is told as what it is more than another.
const FAR_FROM_ZERO: f64 = 1e5;

/// Ticks between two places, and the title with the unit that their numbers have.
pub fn ticks(label: &str, unit: Option<&str>, (from, to): (f64, f64), most: usize) -> Ticks {
    let largest = from.abs().max(to.abs());
    let far = largest / (to - from) > FAR_FROM_ZERO;
    let size = if far { to - from } else { largest };
    let (exponent, unit) = prefixed(unit.unwrap_or(""), size);
    let factor = 10f64.powi(exponent);
    let (low, high) = (from / factor, to / factor);
    let step = Step::of((high - low) / most.max(1) as f64);
    let base = match far {
        true => ((low + high) / 2.0 / (1e3 * step.size)).round() * 1e3 * step.size,
        false => 0.0,
    };
    let title = match far {
        true => titled(&format!("{label} − {}", short(step.text(base))), &unit),
        false => titled(label, &unit),
    };
    let first = ((low - base) / step.size - 1e-9).ceil() as i64;
    let last = ((high - base) / step.size + 1e-9).floor() as i64;
    let tick = |number: i64| {
        let value = number as f64 * step.size;
        let sign = if far && number > 0 { "+" } else { "" };
        let text = format!("{sign}{}", step.text(value));
        Tick::new((base + value) * factor, text)
    };
    Ticks {
        list: (first..=last).map(tick).collect(),
        title,
    }
}

/// Without zeros at the end of a fraction.
fn short(number: String) -> String {
    match number.contains('.') {
        true => number
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_string(),
        false => number,
    }
}

/// Values between two, and how they are written where there is no unit.
pub fn values((from, to): (f64, f64), most: usize) -> Vec<(f64, String)> {
    let step = Step::of((to - from) / most.max(1) as f64);
    let first = (from / step.size - 1e-9).ceil() as i64;
    let last = (to / step.size + 1e-9).floor() as i64;
    let value = |number: i64| number as f64 * step.size;
    (first..=last)
        .map(|number| (value(number), step.text(value(number))))
        .collect()
}

/// A distance between ticks.
struct Step {
    size: f64,
    /// Digits behind the point that its multiples have.
    digits: usize,
}

impl Step {
    /// The smallest nice one that is not below.
    fn of(least: f64) -> Self {
        let exponent = least.log10().floor() as i32;
        let power = 10f64.powi(exponent);
        let nice = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|nice| nice * power >= least * (1.0 - 1e-9));
        let nice = nice.unwrap_or(10.0);
        let exponent = if nice >= 10.0 { exponent + 1 } else { exponent };
        Self {
            size: nice * power,
            digits: exponent.min(0).unsigned_abs() as usize,
        }
    }

    fn text(&self, value: f64) -> String {
        // Beyond it digits are no longer those of the number.
        if self.digits > 12 {
            return format!("{value:.2e}").replace('-', "−");
        }
        grouped(&format!("{value:.*}", self.digits))
    }
}

/// A number as text with thousands set apart, and a minus that is as wide as a plus.
pub fn grouped(number: &str) -> String {
    let (sign, number) = match number.strip_prefix('-') {
        // Zero has no sign.
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => ("", rest),
        Some(rest) => ("−", rest),
        None => ("", number),
    };
    let (whole, fraction) = match number.find('.') {
        Some(point) => number.split_at(point),
        None => (number, ""),
    };
    let mut text = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(unit: &str, range: (f64, f64), most: usize) -> (String, String) {
        let ticks = ticks("x", Some(unit), range, most);
        let labels: Vec<String> = ticks.list.into_iter().filter_map(|t| t.label).collect();
        (labels.join(" "), ticks.title)
    }

    #[test]
    fn ticks_are_at_nice_numbers() {
        for (unit, range, most, expected, title) in [
            ("", (0.0, 10.0), 5, "0 2 4 6 8 10", "x"),
            ("", (-1.0, 1.0), 4, "−1.0 −0.5 0.0 0.5 1.0", "x"),
            ("Hz", (0.0, 5e5), 5, "0 100 200 300 400 500", "x (kHz)"),
            ("s", (0.0, 0.0021), 5, "0.0 0.5 1.0 1.5 2.0", "x (ms)"),
            ("", (0.0, 30_000.0), 3, "0 10,000 20,000 30,000", "x"),
            ("", (0.1, 0.35), 6, "0.10 0.15 0.20 0.25 0.30 0.35", "x"),
            ("", (3.0, 5.5), 5, "3.0 3.5 4.0 4.5 5.0 5.5", "x"),
            (
                "dB",
                (-121.0, -3.0),
                6,
                "−120 −100 −80 −60 −40 −20",
                "x (dB)",
            ),
            ("", (0.0, 4e9), 4, "0 1 2 3 4", "x (×10⁹)"),
            (
                "V",
                (1e8 - 0.1, 1e8 + 1.0),
                5,
                "0.0 +0.5 +1.0",
                "x − 100,000,000 (V)",
            ),
        ] {
            let found = labels(unit, range, most);
            assert_eq!(found, (expected.to_string(), title.to_string()));
        }
    }

    #[test]
    fn any_range_has_some_ticks_and_not_too_many() {
        for exponent in -280..300 {
            let size = 10f64.powi(exponent);
            for (low, high) in [(0.0, 1.0), (-1.0, 2.7), (1.0, 1.3), (-9.9, -1.1)] {
                for most in [2, 5, 12] {
                    let found = ticks("x", None, (low * size, high * size), most).list;
                    assert!(
                        (1..=most + 1).contains(&found.len()),
                        "{exponent} {low} {high} {most}: {found:?}"
                    );
                }
            }
        }
    }
}
