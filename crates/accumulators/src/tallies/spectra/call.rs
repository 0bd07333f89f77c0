//! The calls that make spectra, read and checked: lengths, windows, scalings, the rate of the samples.

use std::str::FromStr;

use arrow_schema::DataType;
use dataflow_core::Value;
use dataflow_core::accumulator::{Accepted, Argument, Call, CallProblem, OrderClass, Reading};
use dataflow_signal::{Detrend, Grid, Shape, Window};

use super::{Kind, Scaling, Settings, Spectra};
use crate::states::lists;
use crate::states::options::{Options, number, unfit, whole, wrong};
use crate::tallies::bytes::ordered;

/// The longest segment: a transform of it takes 4 GiB.
const LONGEST: i64 = 1 << 28;

/// A segment of all samples.
const ENDLESS: u64 = u64::MAX;

/// Checks a call of `welch`.
pub(crate) fn welch(call: &Call, usage: &'static str) -> Result<Accepted, CallProblem> {
    let mut reading = Given::of(call, usage)?;
    let segment = reading.length("nperseg", 1, LONGEST)?.unwrap_or(256);
    let hop = reading.hop("noverlap", segment)?;
    let shape = reading.shape(segment, Window::Hann, Detrend::Constant)?;
    let scaling = reading.scaling()?;
    let nearly = reading.truth("approximate")?;
    let kind = match reading.word("average", &["mean", "median"])? {
        Some("median") if nearly == Some(true) => Kind::Nearly,
        Some("median") => Kind::Median,
        _ => Kind::Mean,
    };
    let grid = reading.grid(segment as u64, hop as u64);
    reading.accept("welch", "power", shape, grid, kind, scaling)
}

/// Checks a call of `periodogram`.
pub(crate) fn periodogram(call: &Call, usage: &'static str) -> Result<Accepted, CallProblem> {
    let mut reading = Given::of(call, usage)?;
    // Without a length of its own, the transform is as long as the signal.
    let shape = reading.shape(usize::MAX, Window::Boxcar, Detrend::Constant)?;
    let scaling = reading.scaling()?;
    let grid = reading.grid(ENDLESS, ENDLESS);
    reading.accept("periodogram", "power", shape, grid, Kind::Mean, scaling)
}

/// Checks a call of `spectrum`.
pub(crate) fn spectrum(call: &Call, usage: &'static str) -> Result<Accepted, CallProblem> {
    let mut reading = Given::of(call, usage)?;
    let segment = reading.length("segment", 1, LONGEST)?.unwrap_or(4096);
    let hop = reading.hop("overlap", segment)?;
    let shape = reading.shape(segment, Window::Hann, Detrend::None)?;
    let grid = reading.grid(segment as u64, hop as u64);
    let amplitude = Scaling::Amplitude;
    reading.accept(
        "spectrum",
        "decibels",
        shape,
        grid,
        Kind::Magnitude,
        amplitude,
    )
}

/// The arguments of such a call.
struct Given<'a> {
    call: &'a Call,
    options: Options<'a>,
    complex: bool,
}

impl<'a> Given<'a> {
    fn of(call: &'a Call, usage: &'static str) -> Result<Self, CallProblem> {
        // One column, or two: the real and the imaginary part.
        let columns = call.arguments.len().clamp(1, 2);
        let options = Options::of(call, columns, usage)?;
        for column in 0..columns {
            let data_type = options.column(column);
            if !data_type.is_numeric() && data_type != DataType::Null {
                return Err(unfit(
                    &data_type,
                    "numbers",
                    "convert the column to a number",
                ));
            }
        }
        Ok(Self {
            call,
            options,
            complex: columns == 2,
        })
    }

    /// A length, by its name or as the first literal.
    fn length(
        &mut self,
        name: &'static str,
        least: i64,
        most: i64,
    ) -> Result<Option<usize>, CallProblem> {
        let given = self.options.needed(name).ok();
        given
            .map(|argument| whole(argument, least, most))
            .transpose()
    }

    /// Samples from segment to segment: half of one unless something else is said.
    fn hop(&mut self, name: &'static str, segment: usize) -> Result<usize, CallProblem> {
        let Some(given) = self.options.named(name) else {
            return Ok(segment - segment / 2);
        };
        match whole(given, 0, LONGEST)? {
            overlap if overlap < segment => Ok(segment - overlap),
            _ => Err(wrong(
                given,
                &format!("less than the {segment} samples of a segment"),
            )
            .help("segments that overlap entirely never end; take a smaller overlap")),
        }
    }

    fn shape(
        &mut self,
        segment: usize,
        window: Window,
        detrend: Detrend,
    ) -> Result<Shape, CallProblem> {
        let points = match self.options.named("nfft") {
            None => segment,
            Some(given) => match whole(given, 1, LONGEST)? {
                points if points >= segment || segment == usize::MAX => points,
                _ => {
                    let least = format!("at least the {segment} samples of a segment");
                    return Err(wrong(given, &least));
                }
            },
        };
        let sided = self.truth("onesided")?;
        Ok(Shape {
            segment,
            points,
            window: self.parsed("window")?.unwrap_or(window),
            detrend: self.parsed("detrend")?.unwrap_or(detrend),
            complex: self.complex,
            two_sided: sided == Some(false),
        })
    }

    fn scaling(&mut self) -> Result<Scaling, CallProblem> {
        Ok(match self.word("scaling", &["density", "spectrum"])? {
            Some("spectrum") => Scaling::Power,
            _ => Scaling::Density,
        })
    }

    fn text(&mut self, name: &'static str) -> Result<Option<(&'a str, &'a Argument)>, CallProblem> {
        match self.options.named(name) {
            None => Ok(None),
            Some(given) => match &given.value {
                Value::Text(text) => Ok(Some((text, given))),
                _ => Err(wrong(given, "a text in quotes")),
            },
        }
    }

    fn parsed<T: FromStr<Err = String>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, CallProblem> {
        let Some((text, given)) = self.text(name)? else {
            return Ok(None);
        };
        let parsed = text.parse();
        parsed
            .map(Some)
            .map_err(|message: String| CallProblem::new(message).at(given.at.clone()))
    }

    fn word(
        &mut self,
        name: &'static str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, CallProblem> {
        let Some((text, given)) = self.text(name)? else {
            return Ok(None);
        };
        let found = words.iter().find(|word| **word == text);
        let list = || format!("one of '{}'", words.join("', '"));
        found
            .copied()
            .map(Some)
            .ok_or_else(|| wrong(given, &list()))
    }

    fn truth(&mut self, name: &'static str) -> Result<Option<bool>, CallProblem> {
        match self.options.named(name) {
            None => Ok(None),
            Some(given) => match given.value {
                Value::Boolean(truth) => Ok(Some(truth)),
                _ => Err(wrong(given, "true or false")),
            },
        }
    }

    fn grid(&self, segment: u64, hop: u64) -> Grid {
        Grid {
            segment,
            hop,
            width: 1 + usize::from(self.complex),
        }
    }

    /// Samples per second: as the call says, else as the source does.
    fn rate(&mut self) -> Result<f64, CallProblem> {
        if let Some(given) = self.options.named("rate") {
            let rate = number(given)?;
            let right = rate > 0.0;
            return right
                .then_some(rate)
                .ok_or_else(|| wrong(given, "a rate above 0"));
        }
        let known = self.call.sampled.known().map(|sampling| sampling.rate);
        known.ok_or_else(|| {
            let (why, help) = self.call.sampled.missing();
            CallProblem::new(format!("the sampling rate is not known: {why}")).help(help)
        })
    }

    fn accept(
        mut self,
        name: &'static str,
        value: &'static str,
        shape: Shape,
        grid: Grid,
        kind: Kind,
        scaling: Scaling,
    ) -> Result<Accepted, CallProblem> {
        let rate = self.rate();
        let known = self.call.sampled.known();
        // A slip of the pen is told before what is missing.
        self.options.end()?;
        let rate = rate?;
        let settings = Settings {
            whole: grid.segment == ENDLESS,
            numbered: known.is_some_and(|sampling| sampling.numbered),
            shape,
            grid,
            rate,
            kind,
            scaling,
            value,
        };
        let order = match settings.numbered {
            true => OrderClass::Place,
            false => OrderClass::Sequence,
        };
        let output = lists::short(&DataType::Struct(settings.item()));
        let state = format!("{name} {settings:?}");
        let coerce = vec![DataType::Float64; settings.grid.width];
        let make = move || Spectra::new(&settings);
        Ok(ordered(
            state,
            Reading::of(name),
            output,
            coerce,
            order,
            make,
        ))
    }
}
