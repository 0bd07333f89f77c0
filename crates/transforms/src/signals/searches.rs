//! What `find` looks for, checked kind by kind.

use std::sync::Arc;

use dataflow_core::{Check, Located};
use dataflow_signal::events::{Direction as Way, Edges, Find as Finder};
use dataflow_signal::peaks::{Peaks, Wanted};
use dataflow_signal::stretches::{Dropouts, Glitches, Stretches};

use super::count;
use super::find::{Direction, Find, Kind};

/// Makes what finds the events of a signal.
pub(super) type Make = Arc<dyn Fn() -> Box<dyn Finder> + Send + Sync>;

fn make<F: Finder + Clone + Sync + 'static>(finder: F) -> Make {
    Arc::new(move || Box::new(finder.clone()))
}

impl Find {
    /// What finds the events of a signal.
    pub(super) fn finder(&self, check: &mut Check<'_>) -> Option<Make> {
        match self.kind.value {
            Kind::Crossings => self.crossings(check),
            Kind::Edges => self.edges(check),
            Kind::Glitches => self.glitches(check),
            Kind::Dropouts => self.dropouts(check),
            Kind::Runs => Some(make(Stretches::new(self.at_least(check)?))),
            Kind::Peaks => self.peaks(check),
        }
    }

    fn crossings(&self, check: &mut Check<'_>) -> Option<Make> {
        let Some(level) = &self.level else {
            check.error_at(
                &self.kind,
                "crossings need a level",
                Some("say which: `level = 0.0`".into()),
            );
            return None;
        };
        let level = number(level, check)?;
        Some(make(Edges::new(level, level, self.way())))
    }

    fn edges(&self, check: &mut Check<'_>) -> Option<Make> {
        let (Some(low), Some(high)) = (&self.low, &self.high) else {
            check.error_at(
                &self.kind,
                "edges need two levels",
                Some("say which: `low = 0.5` and `high = 2.5`".into()),
            );
            return None;
        };
        let levels = (number(low, check)?, number(high, check)?);
        if levels.0 > levels.1 {
            let message = format!("`low` is {}, above `high`, which is {}", levels.0, levels.1);
            check.error_at(low, message, Some("exchange the two".into()));
            return None;
        }
        Some(make(Edges::new(levels.0, levels.1, self.way())))
    }

    fn way(&self) -> Way {
        match self.direction.as_ref().map(|at| at.value) {
            Some(Direction::Rising) => Way::Rising,
            Some(Direction::Falling) => Way::Falling,
            Some(Direction::Both) | None => Way::Both,
        }
    }

    fn glitches(&self, check: &mut Check<'_>) -> Option<Make> {
        let (None, None) = (&self.low, &self.high) else {
            let level = |at: &Option<Located<f64>>, without: f64, check: &mut Check<'_>| match at {
                Some(at) => number(at, check),
                None => Some(without),
            };
            let above = level(&self.high, f64::INFINITY, check)?;
            let below = level(&self.low, f64::NEG_INFINITY, check)?;
            let Some(samples) = &self.samples else {
                let help = "say what is too long for one: `samples = 10`";
                check.error_at(&self.kind, "glitches are short", Some(help.into()));
                return None;
            };
            let shorter_than = count(samples, (2, "glitch's limit"), check)?;
            return Some(make(Glitches::new(above, below, shorter_than)));
        };
        let help = "say where they begin: `high = 3.5`, or `low = -3.5`, or both";
        check.error_at(&self.kind, "glitches need a level", Some(help.into()));
        None
    }

    fn dropouts(&self, check: &mut Check<'_>) -> Option<Make> {
        let below = match &self.below {
            Some(below) => number(below, check)?,
            None => f64::NEG_INFINITY,
        };
        let constant = self.constant.as_ref().is_some_and(|at| at.value);
        if let (true, None) = (constant, &self.samples) {
            let help = "say how many samples are the same in a dropout: `samples = 100`";
            let message = "any sample is the same as itself";
            check.error_at(&self.kind, message, Some(help.into()));
            return None;
        }
        let fewest = self.at_least(check)?;
        Some(make(Dropouts::new(below, constant, fewest)))
    }

    fn at_least(&self, check: &mut Check<'_>) -> Option<u64> {
        match &self.samples {
            Some(samples) => count(samples, (1, "event"), check),
            None => Some(1),
        }
    }

    fn peaks(&self, check: &mut Check<'_>) -> Option<Make> {
        let height = match &self.height {
            Some(height) => number(height, check)?,
            None => f64::NEG_INFINITY,
        };
        let distance = match &self.distance {
            Some(distance) => count(distance, (1, "distance"), check)?,
            None => 1,
        };
        let least = match &self.prominence {
            Some(least) => Some(number(least, check)?),
            None => None,
        };
        let window = match &self.wlen {
            Some(window) => Some(count(window, (2, "surroundings"), check)?),
            None => None,
        };
        if let (Some(at), None) = (&self.prominence, window) {
            let message = "how far a peak stands out of the whole signal is known only at its end";
            let help = "say in how many samples around it that is looked for: `wlen = 10_000`";
            check.error_at(at, message, Some(help.into()));
            return None;
        }
        let prominence = window.map(|window| (least.unwrap_or(f64::NEG_INFINITY), window));
        Some(make(Peaks::new(Wanted {
            height,
            distance,
            prominence,
        })))
    }
}

fn number(written: &Located<f64>, check: &mut Check<'_>) -> Option<f64> {
    if !written.value.is_nan() {
        return Some(written.value);
    }
    check.error_at(
        written,
        "nothing is above or below NaN",
        Some("write a number".into()),
    );
    None
}
