//! Exact sums of products of two numbers (squares, when they are the same), 32 bytes a group.

use super::kernel::{self, BLOCK, Scratch};
use super::number::Number;
use super::store::{Block, Store, Term};

struct Pairs<'a>(&'a [f64], &'a [f64]);

impl Block<4> for Pairs<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn cut(&self, unit: i32, limbs: &mut Scratch<4>) -> bool {
        kernel::products(self.0, self.1, unit, limbs)
    }
}

/// The exact sum of products of each group.
#[derive(Debug)]
pub struct Products {
    store: Store<4>,
}

impl Default for Products {
    fn default() -> Self {
        // Between these units the error of a product that the kernel accepts is itself a double.
        Self {
            store: Store::new((-899, 849), 8),
        }
    }
}

impl Products {
    /// Makes room for groups.
    pub fn resize(&mut self, groups: usize) {
        self.store.resize(groups);
    }

    /// Adds the products `x[i] * y[i]` of finite numbers to the groups.
    pub fn add(&mut self, groups: Option<&[u32]>, x: &[f64], y: &[f64]) {
        let trusted = kernel::rounds_to_nearest();
        let mut scratch = Scratch::default();
        for (block, (x, y)) in x.chunks(BLOCK).zip(y.chunks(BLOCK)).enumerate() {
            let groups = groups.map(|groups| &groups[block * BLOCK..][..x.len()]);
            let block = Pairs(x, y);
            let quick = trusted
                && !self.store.backs_off()
                && (self.store.quick(groups, &block, &mut scratch)
                    || self.store.quick_elsewhere(groups, &block, &mut scratch));
            if !quick {
                self.store.slow(groups, x.len(), |row| term(x[row], y[row]));
            }
        }
    }

    /// The exact sum of a group's products.
    pub fn number(&self, group: usize) -> Number {
        self.store.number(group)
    }

    /// Appends the canonical bytes of a group's sum.
    pub fn write(&self, group: usize, out: &mut Vec<u8>) {
        self.number(group).write(out);
    }

    /// Adds a sum that [`Products::write`] wrote; `None` if the bytes are no such thing. `settle` must follow.
    pub fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.store.merge(group, &Number::read(bytes)?);
        Some(())
    }

    /// Adds another sum to a group's; `settle` must follow.
    pub fn merge(&mut self, group: usize, sum: &Number) {
        self.store.merge(group, sum);
    }

    /// Ends a series of `terms` calls of [`Products::read`] or [`Products::merge`].
    pub fn settle(&mut self, terms: usize) {
        self.store.settle(terms);
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.store.clear();
    }
}

fn term(x: f64, y: f64) -> Term<[u64; 2]> {
    let ((x_negative, x, a), (y_negative, y, b)) = (kernel::decode(x), kernel::decode(y));
    let product = u128::from(x) * u128::from(y);
    Term {
        negative: x_negative != y_negative,
        integer: [product as u64, (product >> 64) as u64],
        exponent: a + b,
    }
}
