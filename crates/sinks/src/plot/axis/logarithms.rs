//! Ticks of an axis that is divided by powers of ten.

use super::Tick;
use super::numbers::{self, grouped};
use super::unit::power_of_ten;

/// Powers of ten that are written out rather than with an exponent.
const WRITTEN_OUT: std::ops::RangeInclusive<i32> = -3..=6;

/// Ticks between two places, which are decimal logarithms.
pub fn ticks((from, to): (f64, f64), most: usize) -> Vec<Tick> {
    let (first, last) = (from.floor() as i32, to.ceil() as i32);
    let inside = |at: f64| at >= from - 1e-9 && at <= to + 1e-9;
    let decades = (first..=last).filter(|e| inside(f64::from(*e))).count();
    let written = WRITTEN_OUT.contains(&first) && WRITTEN_OUT.contains(&last);
    if decades >= 3 || (decades == 2 && most < 6) {
        return by_decades(
            (first, last),
            decades.div_ceil(most.max(1)) as i32,
            written,
            inside,
        );
    }
    let few: Vec<Tick> = (first..=last)
        .flat_map(|e| [1, 2, 5].map(|digit| (digit, e)))
        .map(|(digit, e)| Tick::new(place(digit, e), text(digit, e, written)))
        .filter(|tick| inside(tick.at))
        .collect();
    if (3..=most + 1).contains(&few.len()) {
        return with_rest(few, (first, last), inside);
    }
    evenly((from, to), most)
}

/// A number at every power of ten, or at every so many.
fn by_decades(
    (first, last): (i32, i32),
    every: i32,
    written: bool,
    inside: impl Fn(f64) -> bool,
) -> Vec<Tick> {
    let numbered = (first..=last).filter(|e| e.rem_euclid(every) == 0);
    let ticks: Vec<Tick> = numbered
        .map(|e| Tick::new(f64::from(e), text(1, e, written)))
        .filter(|tick| inside(tick.at))
        .collect();
    if every > 1 {
        return ticks;
    }
    with_rest(ticks, (first, last), inside)
}

/// With faint lines at the other digits.
fn with_rest(
    mut ticks: Vec<Tick>,
    (first, last): (i32, i32),
    inside: impl Fn(f64) -> bool,
) -> Vec<Tick> {
    let all = (first..=last).flat_map(|e| (1..10).map(move |digit| place(digit, e)));
    let rest: Vec<Tick> = all
        .filter(|at| inside(*at) && ticks.iter().all(|tick| tick.at != *at))
        .map(Tick::between)
        .collect();
    ticks.extend(rest);
    ticks
}

/// For a small part of a decade: as on an even axis.
fn evenly((from, to): (f64, f64), most: usize) -> Vec<Tick> {
    let range = (10f64.powf(from), 10f64.powf(to));
    let even = numbers::values(range, most).into_iter();
    even.map(|(value, label)| Tick::new(value.log10(), label))
        .collect()
}

fn place(digit: i32, exponent: i32) -> f64 {
    f64::from(exponent) + f64::from(digit).log10()
}

fn text(digit: i32, exponent: i32, written: bool) -> String {
    if written {
        let digits = exponent.min(0).unsigned_abs() as usize;
        let value = f64::from(digit) * 10f64.powi(exponent);
        return grouped(&format!("{value:.digits$}"));
    }
    match digit {
        1 => power_of_ten(exponent),
        digit => format!("{digit}×{}", power_of_ten(exponent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_numbered() {
        for (range, most, expected) in [
            ((0.0, 3.0), 8, "1 10 100 1,000"),
            ((-2.0, 1.0), 8, "0.01 0.1 1 10"),
            ((-12.0, -9.0), 8, "10⁻¹² 10⁻¹¹ 10⁻¹⁰ 10⁻⁹"),
            ((-12.0, 0.0), 5, "10⁻¹² 10⁻⁹ 10⁻⁶ 10⁻³ 10⁰"),
            ((0.1, 1.2), 8, "2 5 10"),
            ((2.01, 2.05), 4, "105 110"),
            ((-9.0, -8.0), 8, "10⁻⁹ 2×10⁻⁹ 5×10⁻⁹ 10⁻⁸"),
        ] {
            let found: Vec<String> = ticks(range, most)
                .into_iter()
                .filter_map(|t| t.label)
                .collect();
            assert_eq!(found.join(" "), expected, "{range:?}");
        }
    }

    #[test]
    fn digits_between_have_faint_lines() {
        let found = ticks((0.0, 3.0), 8);
        assert_eq!(found.len(), 4 + 24);
        assert!(found.iter().all(|tick| (-0.01..3.01).contains(&tick.at)));
        assert_eq!(
            ticks((0.0, 30.0), 8)
                .iter()
                .filter(|t| t.label.is_none())
                .count(),
            0
        );
    }
}
