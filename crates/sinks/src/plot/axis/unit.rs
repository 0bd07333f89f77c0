//! Units with the prefix that makes numbers short: 500,000 Hz are 500 kHz.

/// Units that take any prefix.
const ANY: [&str; 26] = [
    "Hz", "V", "A", "W", "VA", "var", "J", "F", "H", "Ω", "ohm", "Pa", "N", "C", "T", "S", "eV",
    "Wh", "Ah", "Sa", "B", "bit", "g", "S/s", "Bq", "Gy",
];
/// Units that take those of small parts only: nobody says kiloseconds.
const SMALL: [&str; 3] = ["s", "m", "K"];

const PREFIXES: [(i32, &str); 10] = [
    (-15, "f"),
    (-12, "p"),
    (-9, "n"),
    (-6, "µ"),
    (-3, "m"),
    (0, ""),
    (3, "k"),
    (6, "M"),
    (9, "G"),
    (12, "T"),
];

/// The power of ten by which numbers of that size are divided, and the unit that they have then.
pub fn prefixed(unit: &str, size: f64) -> (i32, String) {
    let size = if size > 0.0 { size } else { 1.0 };
    // A hair above, so that 1000 is not 999.999....
    let exponent = (size.log10() + 1e-9).floor() as i32;
    let Some((least, most, power)) = prefixes_of(unit) else {
        return powered(unit, exponent);
    };
    let fits = |(ten, _): &&(i32, &str)| ten * power <= exponent && (least..=most).contains(ten);
    let (ten, prefix) = PREFIXES.iter().rev().find(fits).unwrap_or({
        // Smaller than the smallest.
        let first = PREFIXES.iter().find(|(ten, _)| *ten >= least);
        first.unwrap_or(&PREFIXES[5])
    });
    (ten * power, format!("{prefix}{unit}"))
}

/// The smallest and the largest prefix that a unit takes, and to which power that is: µV² is 10⁻¹² V².
fn prefixes_of(unit: &str) -> Option<(i32, i32, i32)> {
    let end = unit.find(['/', '²', '^', '·', '*', ' ', '³']);
    let (first, rest) = unit.split_at(end.unwrap_or(unit.len()));
    let power = match rest {
        rest if rest.starts_with('²') || rest.starts_with("^2") => 2,
        rest if rest.starts_with(['³', '^']) => return None,
        _ => 1,
    };
    match first {
        first if ANY.contains(&first) => Some((-15, 12, power)),
        first if SMALL.contains(&first) => Some((-15, 0, power)),
        _ => None,
    }
}

/// A unit that takes no prefix, or none at all: a power of ten where numbers would be long.
fn powered(unit: &str, exponent: i32) -> (i32, String) {
    if (-3..7).contains(&exponent) {
        return (0, unit.to_string());
    }
    let ten = exponent.div_euclid(3) * 3;
    let power = format!("×{}", power_of_ten(ten));
    let gap = if unit.is_empty() { "" } else { " " };
    (ten, format!("{power}{gap}{unit}"))
}

/// `10⁻³`.
pub fn power_of_ten(exponent: i32) -> String {
    let raised = exponent.to_string();
    let raised = raised.chars().map(|digit| match digit {
        '-' => '⁻',
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        _ => '⁹',
    });
    format!("10{}", raised.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_follows_from_the_size() {
        for (unit, size, ten, shown) in [
            ("Hz", 5e5, 3, "kHz"),
            ("Hz", 1000.0, 3, "kHz"),
            ("Hz", 999.0, 0, "Hz"),
            ("V", 2.5e-5, -6, "µV"),
            ("V", 0.0, 0, "V"),
            ("V", 1e-30, -15, "fV"),
            ("s", 1e4, 0, "s"),
            ("s", 2e-8, -9, "ns"),
            ("V²/Hz", 3e-12, -12, "µV²/Hz"),
            ("V²/Hz", 3e-5, -6, "mV²/Hz"),
            ("V^2", 4e6, 6, "kV^2"),
            ("V/√Hz", 4e-9, -9, "nV/√Hz"),
            ("m/s", 5e4, 0, "m/s"),
            ("m³", 5e-4, -6, "×10⁻⁶ m³"),
            ("kHz", 5e4, 0, "kHz"),
            ("°C", 80.0, 0, "°C"),
            ("dB", -80.0, 0, "dB"),
            ("%", 5e-5, -6, "×10⁻⁶ %"),
            ("", 5e8, 6, "×10⁶"),
            ("", 5e6, 0, ""),
        ] {
            assert_eq!(prefixed(unit, size), (ten, shown.into()), "{unit} {size}");
        }
    }
}
