//! What goes on from sample to sample: it can be written down as bytes, and another one goes on with them.

/// Something whose next result depends on the samples before.
pub trait Memory: Send {
    /// Writes down all that the next results depend on.
    fn save(&self, into: &mut Vec<u8>);

    /// Goes on with what one of the same settings wrote; none if the bytes are not of such a one.
    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()>;

    /// Bytes held.
    fn bytes(&self) -> usize;
}

impl<M: Memory + ?Sized> Memory for Box<M> {
    fn save(&self, into: &mut Vec<u8>) {
        (**self).save(into);
    }

    fn restore(&mut self, from: &mut Saved<'_>) -> Option<()> {
        (**self).restore(from)
    }

    fn bytes(&self) -> usize {
        (**self).bytes()
    }
}

/// Makes one value of each sample. A sample that is no number comes as NaN, and so does a value that there is none of.
pub trait Filter: Memory {
    /// Puts the values in the place of the next samples.
    fn push(&mut self, samples: &mut [f64]);
}

/// Writes a number.
pub(crate) fn put(into: &mut Vec<u8>, number: f64) {
    into.extend_from_slice(&number.to_le_bytes());
}

/// Writes a whole number.
pub(crate) fn put_whole(into: &mut Vec<u8>, number: u64) {
    into.extend_from_slice(&number.to_le_bytes());
}

/// Writes numbers and how many they are.
pub(crate) fn put_all(into: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = f64>) {
    put_whole(into, numbers.len() as u64);
    numbers.for_each(|number| put(into, number));
}

/// Bytes that were written down, read from the front.
pub struct Saved<'a>(&'a [u8]);

impl<'a> Saved<'a> {
    /// All of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all were read.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn eight(&mut self) -> Option<[u8; 8]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> Option<f64> {
        self.eight().map(f64::from_le_bytes)
    }

    /// The next whole number.
    pub(crate) fn whole(&mut self) -> Option<u64> {
        self.eight().map(u64::from_le_bytes)
    }

    /// The next numbers, as many as were written together.
    pub(crate) fn numbers(&mut self) -> Option<Vec<f64>> {
        let count = self.whole()?;
        // No more than there are bytes for, whatever the count says.
        (count <= self.0.len() as u64 / 8).then_some(())?;
        (0..count).map(|_| self.number()).collect()
    }
}

/// Whether one of them is NaN. It looks at all of them, several at once: there mostly is none.
pub fn has_gap(samples: &[f64]) -> bool {
    samples.iter().fold(false, |gap, x| gap | x.is_nan())
}

/// Calls for each stretch of neighbouring numbers; what is NaN between them stays.
pub(crate) fn each_stretch(samples: &mut [f64], mut of: impl FnMut(&mut [f64])) {
    if !samples.is_empty() && !has_gap(samples) {
        return of(samples);
    }
    let mut rest = samples;
    while !rest.is_empty() {
        let length = rest.iter().position(|x| x.is_nan()).unwrap_or(rest.len());
        let (stretch, behind) = rest.split_at_mut(length);
        if !stretch.is_empty() {
            of(stretch);
        }
        let gap = behind.iter().position(|x| !x.is_nan());
        let gap = gap.unwrap_or(behind.len());
        rest = &mut behind[gap..];
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Pieces in which the same signal comes.
    pub(crate) const PIECES: [usize; 4] = [1, 7, 100, 8192];

    /// A signal of whole numbers over a power of two: a triangle and noise of a linear congruential generator.
    pub(crate) fn noise(samples: usize) -> Vec<f64> {
        let mut state: u64 = 12345;
        let mut next = |i: usize| {
            state = (state * 1_103_515_245 + 12345) % (1 << 31);
            (i % 50) as f64 / 25.0 - 1.0 + (state as f64 / 2f64.powi(31) - 0.5)
        };
        (0..samples).map(&mut next).collect()
    }

    /// What a filter makes of samples that come in pieces; behind each it is written down, and another one goes on.
    pub(crate) fn filtered<F: Filter>(
        make: impl Fn() -> F,
        samples: &[f64],
        piece: usize,
    ) -> Vec<f64> {
        let (mut filter, mut out) = (make(), Vec::new());
        for some in samples.chunks(piece) {
            let mut some = some.to_vec();
            filter.push(&mut some);
            out.extend(some);
            let mut bytes = Vec::new();
            filter.save(&mut bytes);
            filter = make();
            let mut saved = Saved::new(&bytes);
            filter.restore(&mut saved).expect("its own bytes");
            assert!(saved.is_over());
        }
        out
    }

    /// The bits of numbers, so that they compare also where they are none.
    pub(crate) fn bits(numbers: &[f64]) -> Vec<u64> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn stretches_are_what_lies_between_gaps() {
        let mut samples = [f64::NAN, 1.0, 2.0, f64::NAN, f64::NAN, 3.0];
        let mut seen = Vec::new();
        each_stretch(&mut samples, |stretch| {
            seen.push(stretch.to_vec());
            stretch.fill(0.0);
        });
        assert_eq!(seen, [vec![1.0, 2.0], vec![3.0]]);
        assert!(samples[0].is_nan() && samples[3].is_nan() && samples[5] == 0.0);
    }

    #[test]
    fn bytes_that_are_cut_are_not_read() {
        let mut bytes = Vec::new();
        put_all(&mut bytes, [1.0, 2.0].into_iter());
        assert_eq!(Saved::new(&bytes).numbers(), Some(vec![1.0, 2.0]));
        assert_eq!(Saved::new(&bytes[..23]).numbers(), None);
        assert_eq!(Saved::new(&u64::MAX.to_le_bytes()).numbers(), None);
    }
}
