//! Exact sums of powers, and the moments about the mean that they give: numerators and denominators are big integers, so a
//! mean of 1e8 with a spread of 1 loses nothing, and the one rounding is at the end.
//!
//! With S1 to S4 the sums of the powers of n values, the second, third and fourth central moments times n^2, n^3 and n^4 are
//! A = n S2 - S1^2, B = n^2 S3 - 3 n S1 S2 + 2 S1^3 and C = n^3 S4 - 4 n^2 S1 S3 + 6 n S1^2 S2 - 3 S1^4.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_schema::DataType;
use dataflow_core::accumulator::{Accepted, Call, CallProblem, Reading};
use dataflow_core::{Places, Result};
use num_bigint::{BigInt, Sign};

use super::bytes::{Tally, in_bytes, values};
use super::ratio::{divided, root, scaled, unit};
use super::rows::{finite, present};
use super::{ddof, number};
use crate::exact::{Counts, Cubes, Fourths, Number, Products, Sums};
use crate::states::options::Options;

/// Checks a call of `variance` or `std`.
pub(crate) fn accept_spread(
    call: &Call,
    what: &'static str,
    usage: &'static str,
) -> Result<Accepted, CallProblem> {
    let mut options = Options::of(call, 1, usage)?;
    let reading = Reading {
        what,
        numbers: vec![ddof(&mut options)?],
    };
    finish(options, reading, "squares", false)
}

/// Checks a call of `rms`.
pub(crate) fn accept_rms(call: &Call, usage: &'static str) -> Result<Accepted, CallProblem> {
    let reading = Reading {
        what: "rms",
        numbers: vec![0.0],
    };
    finish(Options::of(call, 1, usage)?, reading, "squares", false)
}

/// Checks a call of `skewness` or `kurtosis`.
pub(crate) fn accept_shape(
    call: &Call,
    what: &'static str,
    usage: &'static str,
) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 1, usage)?;
    finish(options, Reading::of(what), "fourth powers", true)
}

fn finish(
    options: Options<'_>,
    reading: Reading,
    state: &str,
    higher: bool,
) -> Result<Accepted, CallProblem> {
    let column = number(&options, 0)?;
    options.end()?;
    let make = move || Moments {
        higher: higher.then(Default::default),
        counts: Counts::default(),
        sums: Sums::of_floats(),
        squares: Products::default(),
    };
    let state = format!("sums up to {state}");
    Ok(in_bytes(
        state,
        reading,
        DataType::Float64,
        vec![column],
        make,
    ))
}

/// The root of the mean of so many squares, given their sum.
pub(crate) fn root_of_mean_square(squares: &Number, count: u64) -> f64 {
    let Some(unit) = unit(squares, 2) else {
        return 0.0;
    };
    root(&scaled(squares, 2 * unit), &BigInt::from(count), 2 * unit)
}

struct Moments {
    counts: Counts,
    /// Also takes note of what is not finite.
    sums: Sums,
    squares: Products,
    higher: Option<(Cubes, Fourths)>,
}

impl Moments {
    fn value_of(&self, reading: &Reading, group: usize) -> Option<f64> {
        let count = self.counts.of(group);
        let lost = reading.numbers.first().map_or(1, |ddof| *ddof as u64);
        if count <= lost {
            return None;
        }
        if self.sums.strange(group).is_some() {
            return Some(f64::NAN);
        }
        Some(match reading.what {
            "rms" => root_of_mean_square(&self.squares.number(group), count),
            "variance" | "std" => self.spread(group, count, lost, reading.what == "std"),
            "skewness" => self.shape(group, count)?.skewness(),
            _ => self.shape(group, count)?.kurtosis(),
        })
    }

    fn spread(&self, group: usize, count: u64, lost: u64, squared_root: bool) -> f64 {
        let (s1, s2) = (self.sums.number(group), self.squares.number(group));
        let Some(unit) = unit(&s1, 1).into_iter().chain(unit(&s2, 2)).min() else {
            return 0.0;
        };
        let (s1, s2) = (scaled(&s1, unit), scaled(&s2, 2 * unit));
        let above = s2 * count - &s1 * &s1;
        let below = BigInt::from(count) * (count - lost);
        match squared_root {
            true => root(&above, &below, 2 * unit),
            false => divided(&above, &below, 2 * unit),
        }
    }

    /// The moments in units of a power of two, which leaves skewness and kurtosis as they are.
    fn shape(&self, group: usize, count: u64) -> Option<Shape> {
        let (cubes, fourths) = self.higher.as_ref()?;
        let sums = [
            self.sums.number(group),
            self.squares.number(group),
            cubes.number(group),
            fourths.number(group),
        ];
        let units = sums
            .iter()
            .zip(1..)
            .filter_map(|(sum, power)| unit(sum, power));
        let unit = units.min().unwrap_or(0);
        let [s1, s2, s3, s4] = [0, 1, 2, 3].map(|i| scaled(&sums[i], (i as i32 + 1) * unit));
        let n = BigInt::from(count);
        let (nn, s11) = (&n * &n, &s1 * &s1);
        Some(Shape {
            second: &n * &s2 - &s11,
            third: &nn * &s3 - &n * &s1 * &s2 * 3 + &s11 * &s1 * 2,
            fourth: &nn * &n * s4 - &nn * &s1 * s3 * 4 + n * &s11 * s2 * 6 - &s11 * &s11 * 3,
        })
    }
}

/// A, B and C of the module.
struct Shape {
    second: BigInt,
    third: BigInt,
    fourth: BigInt,
}

impl Shape {
    /// B / A^(3/2), as the root of B^2 / A^3.
    fn skewness(&self) -> f64 {
        if self.second.sign() == Sign::NoSign {
            return f64::NAN;
        }
        let size = root(&(&self.third * &self.third), &self.second.pow(3), 0);
        match self.third.sign() {
            Sign::Minus => -size,
            _ => size,
        }
    }

    /// C / A^2 - 3.
    fn kurtosis(&self) -> f64 {
        if self.second.sign() == Sign::NoSign {
            return f64::NAN;
        }
        let below = &self.second * &self.second;
        divided(&(&self.fourth - &below * 3), &below, 0)
    }
}

impl Tally for Moments {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
        self.sums.resize(groups);
        self.squares.resize(groups);
        if let Some((cubes, fourths)) = &mut self.higher {
            cubes.resize(groups);
            fourths.resize(groups);
        }
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let Self {
            counts,
            sums,
            squares,
            higher,
        } = self;
        let mut strange = Vec::new();
        present(
            groups,
            columns[0].as_primitive::<Float64Type>(),
            |groups, x| {
                counts.add(groups, x.len());
                let note = |group| strange.push(group);
                finite(groups, [x], note, |groups, [x]| {
                    sums.add(groups, x);
                    squares.add(groups, x, x);
                    if let Some((cubes, fourths)) = higher {
                        cubes.add(groups, x);
                        fourths.add(groups, x);
                    }
                });
            },
        );
        let all = strange.into_iter();
        all.for_each(|group| self.sums.note(group, f64::NAN));
        Ok(())
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        self.counts.write(group, out);
        self.sums.write(group, out);
        self.squares.write(group, out);
        if let Some((cubes, fourths)) = &self.higher {
            cubes.write(group, out);
            fourths.write(group, out);
        }
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.counts.read(group, bytes)?;
        self.sums.read(group, bytes)?;
        self.squares.read(group, bytes)?;
        if let Some((cubes, fourths)) = &mut self.higher {
            cubes.read(group, bytes)?;
            fourths.read(group, bytes)?;
        }
        Some(())
    }

    fn settle(&mut self, terms: usize) {
        self.sums.settle(terms);
        self.squares.settle(terms);
        if let Some((cubes, fourths)) = &mut self.higher {
            cubes.settle(terms);
            fourths.settle(terms);
        }
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        Ok(values(groups, |group| self.value_of(reading, group)))
    }

    fn bytes(&self) -> usize {
        let higher = self.higher.as_ref();
        let higher = higher.map_or(0, |(cubes, fourths)| cubes.bytes() + fourths.bytes());
        self.counts.bytes() + self.sums.bytes() + self.squares.bytes() + higher
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.sums.clear();
        self.squares.clear();
        if let Some((cubes, fourths)) = &mut self.higher {
            cubes.clear();
            fourths.clear();
        }
    }
}
