//! HyperLogLog: how many distinct values there were, from the longest runs of zeros in their hashes.
//!
//! 2^14 registers of a byte, standard error 0.81 %; the estimator is Ertl's (New cardinality estimation algorithms for
//! HyperLogLog sketches, 2017, algorithm 6), which needs no correction tables and is sound from one value on. Registers
//! are a function of the set of values alone, and merging takes the larger of each.

const BITS: u32 = 14;
/// How many registers there are.
pub(crate) const REGISTERS: usize = 1 << BITS;
/// The longest run that the rest of a hash can show, and one.
const LONGEST: usize = 64 - BITS as usize + 1;

/// The registers.
pub(crate) struct HyperLogLog(Box<[u8; REGISTERS]>);

impl HyperLogLog {
    /// Of no values.
    pub(crate) fn new() -> Self {
        Self(Box::new([0; REGISTERS]))
    }

    /// Adds a value by its hash, all of whose bits must be well mixed.
    #[inline(always)]
    pub(crate) fn add(&mut self, hash: u64) {
        let register = &mut self.0[(hash >> (64 - BITS)) as usize];
        // The bit below the hash's last ends a run of nothing but zeros.
        let rest = (hash << BITS) | (1 << (BITS - 1));
        *register = (*register).max(rest.leading_zeros() as u8 + 1);
    }

    /// Adds the values of another; `false` when these are not registers.
    pub(crate) fn merge(&mut self, other: &[u8]) -> bool {
        let fits = other.len() == REGISTERS && other.iter().all(|r| usize::from(*r) <= LONGEST);
        if fits {
            for (mine, theirs) in self.0.iter_mut().zip(other) {
                *mine = (*mine).max(*theirs);
            }
        }
        fits
    }

    /// The registers.
    pub(crate) fn registers(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The estimate.
    pub(crate) fn estimate(&self) -> f64 {
        let mut of_length = [0_u32; LONGEST + 1];
        for register in self.0.iter() {
            of_length[usize::from(*register)] += 1;
        }
        let m = REGISTERS as f64;
        let share = |length: usize| f64::from(of_length[length]) / m;
        let mut z = m * tau(1.0 - share(LONGEST));
        for length in (1..LONGEST).rev() {
            z = 0.5 * (z + f64::from(of_length[length]));
        }
        z += m * sigma(share(0));
        m * m / (2.0 * std::f64::consts::LN_2) / z
    }
}

/// x + sum of x^(2^k) 2^(k-1), the share of empty registers' correction.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// (1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3, the share of full registers' correction.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn estimates_are_close_at_every_size() {
        let mut sketch = HyperLogLog::new();
        assert_eq!(sketch.estimate(), 0.0);
        let mut next = 1_u64;
        for i in 1..=3_000_000_u64 {
            sketch.add(xxh3_64(&i.to_le_bytes()));
            if i == next {
                let off = (sketch.estimate() - i as f64).abs() / i as f64;
                assert!(off < 0.02, "{i}: {off}");
                next *= 3;
            }
        }
    }

    #[test]
    fn merging_is_the_union() {
        let (mut a, mut b, mut both) = (HyperLogLog::new(), HyperLogLog::new(), HyperLogLog::new());
        for i in 0..100_000_u64 {
            let hash = xxh3_64(&i.to_le_bytes());
            both.add(hash);
            if i % 3 == 0 { a.add(hash) } else { b.add(hash) }
        }
        assert!(a.merge(b.registers()));
        assert_eq!(a.registers(), both.registers());
        assert!(!a.merge(&[1, 2]) && !a.merge(&[99; REGISTERS]));
    }
}
