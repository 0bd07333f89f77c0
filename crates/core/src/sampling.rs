//! Sampling: rows that are the samples of a signal, one after another at equal distances, and who lost that.

/// How rows follow one another in the time of a signal. Sample `i`, from 0, is at `start + i / rate` seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Samples per second.
    pub rate: f64,
    /// When the first sample was taken, in seconds of the signal's own time.
    pub start: f64,
    /// Whether a row's place counts the samples from 0: then any worker knows which samples it has, whatever it has not seen.
    pub numbered: bool,
}

impl Sampling {
    /// So many samples per second from time 0 on.
    pub fn of(rate: f64) -> Self {
        Self {
            rate,
            start: 0.0,
            numbered: false,
        }
    }

    /// The same, beginning at `start` seconds.
    #[must_use]
    pub fn from(mut self, start: f64) -> Self {
        self.start = start;
        self
    }

    /// The same of rows whose places count them, or not.
    #[must_use]
    pub fn numbered(mut self, numbered: bool) -> Self {
        self.numbered = numbered;
        self
    }

    /// When a sample was taken, in seconds.
    pub fn time(&self, sample: u64) -> f64 {
        self.start + sample as f64 / self.rate
    }
}

/// What is known of the sampling of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Sampled {
    /// They are samples.
    Regular(Sampling),
    /// They were, before the component of this id.
    Lost(String),
    /// They are not known to be samples.
    #[default]
    Unknown,
}

impl Sampled {
    /// The sampling, if there is one.
    pub fn known(&self) -> Option<Sampling> {
        match self {
            Self::Regular(sampling) => Some(*sampling),
            Self::Lost(_) | Self::Unknown => None,
        }
    }

    /// The same for rows of which some are taken out: only places would tell which, and nobody who numbers samples looks there.
    #[must_use]
    pub fn unnumbered(&self) -> Self {
        match self {
            Self::Regular(sampling) => Self::Regular(sampling.numbered(false)),
            other => other.clone(),
        }
    }

    /// Why there is none, and what to do: the end of a sentence, and a help.
    pub fn missing(&self) -> (String, String) {
        match self {
            Self::Lost(id) => (
                format!(
                    "`{id}` leaves out, adds or reorders rows, so they are no regular samples behind it"
                ),
                format!(
                    "take the rows from before `{id}`, or say how many rows per second there are: `rate => 1e6`"
                ),
            ),
            Self::Unknown | Self::Regular(_) => (
                "nothing says how many samples there are per second".into(),
                "say it in the source, `sampling = { rate = 1e6 }`, or in the call, `rate => 1e6`"
                    .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_times() {
        let sampling = Sampling::of(4.0).from(-1.0).numbered(true);
        assert_eq!(sampling.time(6), 0.5);
        let sampled = Sampled::Regular(sampling);
        assert_eq!(sampled.known(), Some(sampling));
        let unnumbered = sampled.unnumbered().known();
        assert_eq!(unnumbered, Some(Sampling::of(4.0).from(-1.0)));
    }

    #[test]
    fn who_lost_it_is_told() {
        let (why, help) = Sampled::Lost("clean".into()).missing();
        assert!(why.contains("`clean`") && help.contains("before `clean`"));
        assert_eq!(Sampled::default().known(), None);
    }
}
