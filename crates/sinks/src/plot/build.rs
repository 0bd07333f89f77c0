//! From what was written to what is drawn: keys that go together, columns that are there, numbers that make sense.

use std::sync::Arc;

use arrow_schema::Schema;
use dataflow_core::transform::Input;
use dataflow_core::{Check, Located};
use serde::Deserialize;

use super::axis::{Meaning, Moments, Scale};
use super::columns::{Column, Measure, Wanted, find};
use super::content::bars::{Categories, Intervals};
use super::content::{cells, lines, spectra};
use super::sink::Drawing;
use super::{Names, Plot, PlotKind};

/// The key of a schema's or a column's metadata that says for which frequencies the values of its lists are.
const FREQUENCIES: &str = "dataflow.frequencies";

/// More cells than this along an axis are no gain where rows are cells.
const MOST_CELLS: usize = 512;
/// Lists are drawn in cells of about a pixel at least; so many along an axis are what memory should hold.
const MOST_OF_LISTS: usize = 1_024;

/// Evenly spaced frequencies, as they are noted beside a column.
#[derive(Deserialize)]
struct Frequencies {
    first: f64,
    step: f64,
    count: u64,
}

impl Plot {
    /// What is drawn, or what is wrong with it.
    pub(super) fn drawing(&self, input: &Input, check: &mut Check<'_>) -> Option<Drawing> {
        let fits = self.check_keys(check);
        let drawing = match self.kind.value {
            PlotKind::Line => self.lines(input, check),
            PlotKind::Histogram => self.histogram(&input.schema, check),
            PlotKind::Bars => self.bars(&input.schema, check),
            PlotKind::Heatmap if self.value.is_some() => self.cells(&input.schema, check),
            PlotKind::Heatmap => self.spectra(&input.schema, check),
        };
        fits.and(drawing)
    }

    /// Keys that mean nothing for this kind would only be a mistake.
    fn check_keys(&self, check: &mut Check<'_>) -> Option<()> {
        use PlotKind::{Heatmap, Line};
        let kind = self.kind.value;
        let keys = [
            ("by", self.by.as_ref().map(|key| key.span), Line),
            ("marks", self.marks.as_ref().map(|key| key.span), Line),
            ("value", self.value.as_ref().map(|key| key.span), Heatmap),
            ("range", self.range.as_ref().map(|key| key.span), Heatmap),
        ];
        let mut fits = Some(());
        for (name, written, only) in keys {
            let Some(span) = written else { continue };
            if kind != only {
                let key = Located { value: (), span };
                let word = if only == Line { "line" } else { "heatmap" };
                let help = Some(format!("leave it out, or write `kind = \"{word}\"`"));
                check.error_at(&key, format!("`{name}` is for `{word}`"), help);
                fits = None;
            }
        }
        fits
    }

    fn lines(&self, input: &Input, check: &mut Check<'_>) -> Option<Drawing> {
        let (schema, sampling) = (&input.schema, input.sampled.known());
        let x = self.optional(self.one(self.x.as_ref(), "x", check), schema, check);
        let y = self.several(schema, check);
        let named = |name: &Option<Located<String>>, wanted, check: &mut Check<'_>| match name {
            Some(name) => find(name, schema, wanted, check).map(Some),
            None => Some(None),
        };
        let by = named(&self.by, Wanted::Words, check);
        let marks = named(&self.marks, Wanted::Booleans, check);
        let range = self.y_ends(check);
        let (x, y) = (x?, y?);
        let (unnamed, unit) = match sampling {
            Some(_) => ("time", Some("s".to_string())),
            None => ("row", None),
        };
        let label = x.as_ref().map_or(unnamed, |column| column.name.as_str());
        let mut meanings = [
            self.x_meaning(label, x.as_ref().map(|column| column.measure)),
            self.y_meaning(only(&y), y[0].measure),
        ];
        if x.is_none() && meanings[0].unit.is_none() {
            meanings[0].unit = unit;
        }
        Some(Drawing::Lines(Arc::new(lines::Plan {
            x,
            sampling,
            y,
            by: by?,
            marks: marks?,
            meanings,
            range: range?,
            most: (2 * self.width.value as usize).next_power_of_two(),
        })))
    }

    fn histogram(&self, schema: &Schema, check: &mut Check<'_>) -> Option<Drawing> {
        let names = match &self.x {
            Some(names) => Names::list(names),
            None => ["from", "to"].map(|name| self.implied(name)).to_vec(),
        };
        let [from, to] = names.as_slice() else {
            if let Some(names) = &self.x {
                let message = "a histogram has two columns along x";
                let help = "where intervals begin and where they end, as in `[\"from\", \"to\"]`";
                check.error_at(names, message, Some(help.into()));
            }
            return None;
        };
        let from = find(from, schema, Wanted::Numbers, check);
        let to = find(to, schema, Wanted::Numbers, check);
        let count = match &self.y {
            Some(_) => self.one(self.y.as_ref(), "y", check)?,
            None => None,
        };
        let count = count.unwrap_or_else(|| self.implied("count"));
        let count = find(&count, schema, Wanted::Numbers, check);
        let range = self.y_ends(check);
        let (from, to, count) = (from?, to?, count?);
        let meanings = [
            self.x_meaning("value", Some(from.measure)),
            self.y_meaning(&count.name, count.measure),
        ];
        Some(Drawing::Histogram(Arc::new(Intervals {
            from,
            to,
            count,
            meanings,
            range: range?,
        })))
    }

    fn bars(&self, schema: &Schema, check: &mut Check<'_>) -> Option<Drawing> {
        let name = self.one(self.x.as_ref(), "x", check);
        if let Some(None) = name {
            check.error_at(&self.kind, "`x` is missing: the column of the names", None);
        }
        if self.x_scale.value != Scale::Linear {
            let message = "names stand side by side: they have no scale";
            check.error_at(&self.x_scale, message, Some("leave it out".into()));
            return None;
        }
        let name = name.flatten();
        let name = name.and_then(|name| find(&name, schema, Wanted::Words, check));
        let y = self.several(schema, check);
        let range = self.y_ends(check);
        let (name, y) = (name?, y?);
        let meanings = [
            Meaning {
                moments: None,
                ..self.x_meaning(&name.name, None)
            },
            self.y_meaning(only(&y), y[0].measure),
        ];
        Some(Drawing::Bars(Arc::new(Categories {
            name,
            y,
            meanings,
            range: range?,
        })))
    }

    fn cells(&self, schema: &Schema, check: &mut Check<'_>) -> Option<Drawing> {
        let mut column = |names: Option<&Located<Names>>, key: &'static str, wanted| {
            let name = self.one(names, key, check)?;
            if name.is_none() {
                let message = format!("`{key}` is missing: with `value`, x and y are columns");
                check.error_at(&self.kind, message, None);
            }
            find(&name?, schema, wanted, check)
        };
        let x = column(self.x.as_ref(), "x", Wanted::NumbersOrMoments);
        let y = column(self.y.as_ref(), "y", Wanted::Numbers);
        let value = self.value.as_ref();
        let value = value.and_then(|name| find(name, schema, Wanted::Numbers, check));
        let range = ends(self.range.as_ref(), self.value_scale.value, check);
        let (x, y, value) = (x?, y?, value?);
        let meanings = [
            self.x_meaning(&x.name, Some(x.measure)),
            self.y_meaning(&y.name, y.measure),
            self.value_meaning(&value.name, value.measure),
        ];
        Some(Drawing::Cells(Arc::new(cells::Plan {
            x,
            y,
            value,
            meanings,
            range: range?,
            combine: self.combine.value,
            most: [MOST_CELLS; 2],
        })))
    }

    fn spectra(&self, schema: &Schema, check: &mut Check<'_>) -> Option<Drawing> {
        let x = self.optional(self.one(self.x.as_ref(), "x", check), schema, check);
        let y = self.one(self.y.as_ref(), "y", check);
        if let Some(None) = y {
            let message = "`y` is missing: the column of lists, or the vertical axis of `value`";
            check.error_at(&self.kind, message, None);
        }
        let y = y.flatten();
        let y = y.and_then(|name| find(&name, schema, Wanted::Lists, check));
        let range = ends(self.range.as_ref(), self.value_scale.value, check);
        // What the values stand for, not the ends of the axis: a zero is no trouble.
        let given = ends(self.y_range.as_ref(), Scale::Linear, check);
        let (x, y) = (x?, y?);
        let frequencies = frequencies(schema, &y);
        let label = x.as_ref().map_or("row", |column| column.name.as_str());
        let mut upwards = self.y_meaning(
            frequencies.map_or("number in the list", |_| "frequency"),
            Measure::Number,
        );
        if frequencies.is_some() && self.y_unit.is_none() {
            upwards.unit = Some("Hz".into());
        }
        let meanings = [
            self.x_meaning(label, x.as_ref().map(|column| column.measure)),
            upwards,
            self.value_meaning(&y.name, y.measure),
        ];
        Some(Drawing::Spectra(Arc::new(spectra::Plan {
            x,
            y,
            meanings,
            stand_for: given?.or(frequencies),
            range: range?,
            combine: self.combine.value,
            most: [&self.width, &self.height].map(|size| MOST_OF_LISTS.min(size.value as usize)),
        })))
    }

    /// A name that was not written, with the place of the kind that asks for it.
    fn implied(&self, name: &str) -> Located<String> {
        Located {
            value: name.to_string(),
            span: self.kind.span,
        }
    }

    /// The one name of a key; `Some(None)` if it was not written, `None` if there are several.
    fn one(
        &self,
        names: Option<&Located<Names>>,
        key: &str,
        check: &mut Check<'_>,
    ) -> Option<Option<Located<String>>> {
        let Some(names) = names else {
            return Some(None);
        };
        match Names::list(names).as_slice() {
            [one] => Some(Some(one.clone())),
            _ => {
                check.error_at(names, format!("`{key}` is one column here"), None);
                None
            }
        }
    }

    fn optional(
        &self,
        name: Option<Option<Located<String>>>,
        schema: &Schema,
        check: &mut Check<'_>,
    ) -> Option<Option<Column>> {
        match name? {
            Some(name) => find(&name, schema, Wanted::NumbersOrMoments, check).map(Some),
            None => Some(None),
        }
    }

    /// The columns of `y`.
    fn several(&self, schema: &Schema, check: &mut Check<'_>) -> Option<Vec<Column>> {
        let Some(names) = &self.y else {
            check.error_at(&self.kind, "`y` is missing: the column of the values", None);
            return None;
        };
        let list = Names::list(names);
        if list.is_empty() || list.len() > lines::MOST_LINES {
            let message = format!("`y` is one column, or up to {}", lines::MOST_LINES);
            check.error_at(names, message, None);
            return None;
        }
        let found = list
            .iter()
            .map(|name| find(name, schema, Wanted::Numbers, check));
        let found: Vec<Option<Column>> = found.collect();
        found.into_iter().collect()
    }

    fn x_meaning(&self, label: &str, measure: Option<Measure>) -> Meaning {
        let moments = match measure {
            Some(Measure::Moment { zoned }) => Some(Moments { origin: 0, zoned }),
            _ => None,
        };
        Meaning {
            label: self.x_label.clone().unwrap_or_else(|| label.to_string()),
            unit: self.x_unit.clone().or(measure.and_then(seconds)),
            // Moments are divided by the calendar.
            scale: match moments {
                Some(_) => Scale::Linear,
                None => self.x_scale.value,
            },
            moments,
        }
    }

    fn y_meaning(&self, label: &str, measure: Measure) -> Meaning {
        Meaning {
            label: self.y_label.clone().unwrap_or_else(|| label.to_string()),
            unit: self.y_unit.clone().or(seconds(measure)),
            scale: self.y_scale.value,
            moments: None,
        }
    }

    fn value_meaning(&self, label: &str, measure: Measure) -> Meaning {
        Meaning {
            label: self
                .value_label
                .clone()
                .unwrap_or_else(|| label.to_string()),
            unit: self.value_unit.clone().or(seconds(measure)),
            scale: self.value_scale.value,
            moments: None,
        }
    }

    /// The ends of the vertical axis, if they were written.
    fn y_ends(&self, check: &mut Check<'_>) -> Option<Option<(f64, f64)>> {
        ends(self.y_range.as_ref(), self.y_scale.value, check)
    }
}

/// The unit of durations.
fn seconds(measure: Measure) -> Option<String> {
    matches!(measure, Measure::Duration(_)).then(|| "s".to_string())
}

/// The label of several columns is none: the legend names them.
fn only(columns: &[Column]) -> &str {
    match columns {
        [one] => &one.name,
        _ => "",
    }
}

/// Two numbers as ends of an axis, in places of its scale.
fn ends(
    written: Option<&Located<Vec<f64>>>,
    scale: Scale,
    check: &mut Check<'_>,
) -> Option<Option<(f64, f64)>> {
    let Some(written) = written else {
        return Some(None);
    };
    // Decibels are written as such.
    let place = |value: f64| match scale {
        Scale::Log => Scale::Log.position(value),
        Scale::Linear | Scale::Decibels => Scale::Linear.position(value),
    };
    if let [low, high] = written.value.as_slice()
        && let (Some(low), Some(high)) = (place(*low), place(*high))
        && low < high
    {
        return Some(Some((low, high)));
    }
    let above = if scale == Scale::Log { " above 0" } else { "" };
    let message = format!("a range is two numbers{above}, the lower one first");
    check.error_at(written, message, Some("as in `[1, 100]`".into()));
    None
}

/// The frequencies of the first and of the last value of lists, if they are noted beside the column or the columns.
fn frequencies(schema: &Schema, column: &Column) -> Option<(f64, f64)> {
    let beside = schema.field(column.index).metadata().get(FREQUENCIES);
    let text = beside.or_else(|| schema.metadata().get(FREQUENCIES))?;
    let noted: Frequencies = serde_json::from_str(text).ok()?;
    let last = noted.first + noted.step * noted.count.saturating_sub(1) as f64;
    (last > noted.first).then_some((noted.first, last))
}
