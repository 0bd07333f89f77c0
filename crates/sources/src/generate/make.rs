//! From the declared settings of a column to the column, with all that can be wrong about them.

use super::column::{Column, Finish, Strange, weighted};
use super::kind::{ColumnConfig, Scalar};
use super::random::{Stream, wave};

type Wrong = (String, Option<String>);

fn wrong(message: impl Into<String>, help: impl Into<String>) -> Wrong {
    (message.into(), Some(help.into()))
}

/// A share of rows must be one.
pub(crate) fn share(key: &str, value: f64) -> Result<f64, Wrong> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(wrong(
        format!("`{key}` is {value}"),
        "write a share of the rows, from 0 to 1",
    ))
}

impl ColumnConfig {
    /// Whether anomalies can be put into it.
    pub(crate) fn is_number(&self) -> bool {
        match self {
            Self::Uniform { whole, .. } => !whole,
            Self::Normal { .. } | Self::Sine { .. } => true,
            _ => false,
        }
    }

    fn rates(&self) -> (f64, f64) {
        match self {
            Self::Uniform {
                null_rate,
                nan_rate,
                ..
            }
            | Self::Normal {
                null_rate,
                nan_rate,
                ..
            }
            | Self::Sine {
                null_rate,
                nan_rate,
                ..
            } => (*null_rate, *nan_rate),
            Self::Sequence { null_rate, .. }
            | Self::Time { null_rate, .. }
            | Self::Categories { null_rate, .. }
            | Self::Boolean { null_rate, .. }
            | Self::Constant { null_rate, .. } => (*null_rate, 0.0),
        }
    }

    /// Makes the column, or says what is wrong with it.
    pub(crate) fn column(
        &self,
        name: &str,
        seed: u64,
        rows: u64,
        strange: Option<Strange>,
    ) -> Result<Column, Wrong> {
        let (null_rate, nan_rate) = self.rates();
        share("null_rate", null_rate)?;
        share("nan_rate", nan_rate)?;
        let values = Stream::new(seed, name, "value");
        let made = match self {
            Self::Sequence { start, step, .. } => sequence(name, *start, *step, rows)?,
            Self::Time { .. } => self.times(name, values, rows)?,
            Self::Uniform { whole: true, .. } => self.whole_numbers(name, values)?,
            Self::Uniform { .. } | Self::Normal { .. } | Self::Sine { .. } => {
                self.numbers(name, seed, strange)?
            }
            Self::Categories { .. } => self.texts(name, values)?,
            Self::Boolean { share: rate, .. } => {
                let rate = share("share", *rate)?;
                Column::flags(name, move |row| values.hit(row, rate))
            }
            Self::Constant { value, .. } => constant(name, value.clone()),
        };
        Ok(made.with_nulls(seed, null_rate))
    }

    fn times(&self, name: &str, values: Stream, rows: u64) -> Result<Column, Wrong> {
        let Self::Time {
            start,
            every,
            jitter,
            ..
        } = self
        else {
            unreachable!("called for times only")
        };
        let start = arrow_cast::parse::string_to_timestamp_nanos(start).map_err(|_| {
            wrong(
                format!("`{start}` is not a time"),
                "write a date or a time such as \"2025-01-01T00:00:00Z\"",
            )
        })?;
        let (every, jitter) = (every.nanoseconds(), jitter.nanoseconds());
        if jitter < 0 {
            return Err(wrong("`jitter` is negative", "write it as \"250ms\""));
        }
        let last = i128::from(start) + i128::from(every) * i128::from(rows);
        if i64::try_from(last + i128::from(jitter)).is_err() || i64::try_from(last).is_err() {
            return Err(wrong(
                format!("{rows} rows of `every` leave the years 1677 to 2262"),
                "make `every` shorter, or `rows` fewer",
            ));
        }
        Ok(Column::times(name, move |row| {
            let late = match jitter {
                0 => 0,
                _ => values.below(row, jitter as u64) as i64,
            };
            start + every * row as i64 + late
        }))
    }

    fn whole_numbers(&self, name: &str, values: Stream) -> Result<Column, Wrong> {
        let Self::Uniform {
            low,
            high,
            decimals,
            nan_rate,
            ..
        } = self
        else {
            unreachable!("called for uniform numbers only")
        };
        let exact = |x: f64| x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0;
        if !(exact(*low) && exact(*high) && low <= high) {
            return Err(wrong(
                format!("there are no whole numbers from {low} to {high}"),
                "with `whole = true`, `low` and `high` are whole numbers, `low` not above `high`",
            ));
        }
        if *nan_rate > 0.0 || decimals.is_some() {
            return Err(wrong(
                "whole numbers have no NaN and no decimals",
                "remove `nan_rate` and `decimals`, or `whole`",
            ));
        }
        let (low, high) = (*low as i64, *high as i64);
        let count = (high - low) as u64 + 1;
        Ok(Column::whole(name, move |row| {
            low + values.below(row, count) as i64
        }))
    }

    fn numbers(&self, name: &str, seed: u64, strange: Option<Strange>) -> Result<Column, Wrong> {
        let values = Stream::new(seed, name, "value");
        let finish = |decimals: Option<u8>, nan_rate: f64, deviation: f64| {
            if decimals.is_some_and(|d| d > 15) {
                return Err(wrong(
                    "`decimals` is above 15",
                    "a float64 holds about 15 digits",
                ));
            }
            Ok(Finish {
                name: name.to_string(),
                seed,
                strange,
                deviation,
                decimals,
                nan_rate,
            })
        };
        match *self {
            Self::Uniform {
                low,
                high,
                decimals,
                nan_rate,
                ..
            } => {
                let span = high - low;
                if !(span.is_finite() && span >= 0.0) {
                    return Err(wrong(
                        format!("`low` = {low} is not below `high` = {high}"),
                        "swap them",
                    ));
                }
                let finish = finish(decimals, nan_rate, span / 12_f64.sqrt())?;
                Ok(finish.column(move |row| low + span * values.unit(row)))
            }
            Self::Normal {
                mean,
                deviation,
                decimals,
                nan_rate,
                ..
            } => {
                not_negative("deviation", deviation)?;
                let finish = finish(decimals, nan_rate, deviation)?;
                Ok(finish.column(move |row| mean + deviation * values.normal(row)))
            }
            Self::Sine {
                mean,
                amplitude,
                period,
                phase,
                noise,
                decimals,
                nan_rate,
                ..
            } => {
                not_negative("noise", noise)?;
                if !(period.is_finite() && period > 0.0) {
                    return Err(wrong(
                        format!("`period` is {period}"),
                        "write the rows of one wave, above 0",
                    ));
                }
                let deviation = (amplitude * amplitude / 2.0 + noise * noise).sqrt();
                let finish = finish(decimals, nan_rate, deviation)?;
                Ok(finish.column(move |row| {
                    // The remainder first: a float keeps a whole wave's share of it, however long the trace.
                    let turns = (row as f64 % period) / period + phase;
                    let noise = match noise {
                        0.0 => 0.0,
                        noise => noise * values.normal(row),
                    };
                    mean + amplitude * wave(turns) + noise
                }))
            }
            _ => unreachable!("called for numbers only"),
        }
    }

    fn texts(&self, name: &str, stream: Stream) -> Result<Column, Wrong> {
        let Self::Categories {
            values,
            weights,
            count,
            prefix,
            in_turn,
            ..
        } = self
        else {
            unreachable!("called for categories only")
        };
        let texts = match count {
            Some(_) if !values.is_empty() => {
                return Err(wrong(
                    "both `values` and `count` are given",
                    "keep one of them",
                ));
            }
            Some(count) if *count > 1_000_000 => {
                return Err(wrong(
                    format!("`count` is {count}, and all texts are held in memory"),
                    "at most 1000000; for more, use `kind = \"uniform\"` with `whole = true`",
                ));
            }
            Some(count) => {
                let prefix = prefix.clone().unwrap_or_else(|| format!("{name}-"));
                (0..*count).map(|i| format!("{prefix}{i}")).collect()
            }
            None => values.clone(),
        };
        if texts.is_empty() {
            return Err(wrong(
                "there are no texts to choose from",
                "write `values = [\"a\", \"b\"]` or `count = 20`",
            ));
        }
        let many = texts.len() as u64;
        if *in_turn {
            return Ok(Column::texts(name, texts, move |row| (row % many) as usize));
        }
        if weights.is_empty() {
            return Ok(Column::texts(name, texts, move |row| {
                stream.below(row, many) as usize
            }));
        }
        let bounds = cumulative(weights, texts.len())?;
        Ok(Column::texts(name, texts, move |row| {
            weighted(&bounds, stream.unit(row))
        }))
    }
}

fn not_negative(key: &str, value: f64) -> Result<(), Wrong> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(wrong(
        format!("`{key}` is {value}"),
        "write a number, 0 or above",
    ))
}

fn sequence(name: &str, start: i64, step: i64, rows: u64) -> Result<Column, Wrong> {
    let last = i128::from(start) + i128::from(step) * i128::from(rows);
    if i64::try_from(last).is_err() {
        return Err(wrong(
            format!("{rows} steps of {step} from {start} are more than an int64 holds"),
            "make `step` smaller, or `rows` fewer",
        ));
    }
    Ok(Column::whole(name, move |row| start + step * row as i64))
}

fn constant(name: &str, value: Scalar) -> Column {
    match value {
        Scalar::Boolean(b) => Column::flags(name, move |_| b),
        Scalar::Integer(n) => Column::whole(name, move |_| n),
        Scalar::Number(x) => Column::numbers(name, move |_| x),
        Scalar::Text(text) => Column::texts(name, [text], |_| 0),
    }
}

/// The upper bounds of each weight's part of 0 to 1.
fn cumulative(weights: &[f64], texts: usize) -> Result<Vec<f64>, Wrong> {
    let total: f64 = weights.iter().sum();
    let fine = weights.iter().all(|w| *w >= 0.0) && total.is_finite() && total > 0.0;
    if weights.len() != texts || !fine {
        return Err(wrong(
            format!("{} `weights` for {texts} texts", weights.len()),
            "write one number for each text, 0 or above, not all 0",
        ));
    }
    let bounds = weights.iter().scan(0.0, |sum, weight| {
        *sum += weight / total;
        Some(*sum)
    });
    Ok(bounds.collect())
}
