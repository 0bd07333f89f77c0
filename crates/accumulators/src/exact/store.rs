//! Exact sums of one column for many groups: up to four windows, tried in turn, and the slow road for the rest.
//!
//! The first numbers choose a window (six or eight bits above the largest). Data that moves on, such as a current that rests
//! near zero and then flows, opens another one when a sixteenth of a block fits nowhere. Which windows there are changes
//! speed and memory, never a sum.

use super::kernel::{self, Scratch};
use super::number::{Number, bits, trailing_zeros};
use super::wide::{Big, Wide};
use super::window::Window;

const WINDOWS: usize = 4;

/// So many numbers that fit nowhere are outliers, and not worth a window.
const FEW: usize = 16;

/// A term `±integer * 2^exponent` on its way in.
#[derive(Clone, Copy, Debug)]
pub struct Term<W> {
    pub negative: bool,
    pub integer: W,
    pub exponent: i32,
}

/// At most [`kernel::BLOCK`] rows that can be cut into limbs all at once.
pub trait Block<const K: usize> {
    /// How many rows.
    fn rows(&self) -> usize;

    /// Cuts them in units of `2^unit`; false if one does not fit exactly.
    fn cut(&self, unit: i32, limbs: &mut Scratch<K>) -> bool;

    /// The sums of the limbs.
    fn total(&self, unit: i32, scratch: &mut Scratch<K>) -> Option<[i64; K]> {
        let mut total = [0; K];
        self.cut(unit, scratch).then(|| {
            kernel::gather(&mut total, &scratch.0[..self.rows()]);
            total
        })
    }
}

/// See the module.
#[derive(Debug)]
pub struct Store<const K: usize> {
    /// Where a window's unit may be, and the bits kept free above the largest number of the first block.
    units: (i32, i32),
    spare: i32,
    groups: usize,
    windows: Vec<Window<K>>,
    /// The window that fitted last.
    current: usize,
    /// Blocks to go row by row before the quick way is tried again, and how often in a row it failed.
    skip: u32,
    failures: u32,
    wide: Wide,
    /// What fitted no window so far in this block, and how much more there was in blocks before.
    waiting: Vec<(usize, Number)>,
    missed: usize,
}

/// The group of a row: they are given, or all rows are in group 0.
#[inline]
pub fn group(groups: Option<&[u32]>, row: usize) -> usize {
    groups.map_or(0, |groups| groups[row] as usize)
}

impl<const K: usize> Store<K> {
    /// Without groups and windows; units stay within `units`.
    pub fn new(units: (i32, i32), spare: i32) -> Self {
        Self {
            units,
            spare,
            groups: 0,
            windows: Vec::new(),
            current: 0,
            skip: 0,
            failures: 0,
            wide: Wide::default(),
            waiting: Vec::new(),
            missed: 0,
        }
    }

    /// Makes room for groups.
    pub fn resize(&mut self, groups: usize) {
        self.groups = groups.max(self.groups);
        for window in &mut self.windows {
            super::grow(&mut window.limbs, self.groups, [0; K]);
        }
    }

    /// Opens a window whose unit is given.
    pub fn open(&mut self, unit: i32) {
        let unit = unit.clamp(self.units.0, self.units.1);
        if self.windows.len() < WINDOWS && self.windows.iter().all(|w| w.unit() != unit) {
            self.windows.push(Window::new(unit, self.groups));
        }
    }

    /// Whether the quick way is not worth a try just now.
    pub fn backs_off(&self) -> bool {
        self.skip > 0
    }

    /// Adds a block, if the window that fitted last takes all of it.
    #[inline]
    pub fn quick(
        &mut self,
        groups: Option<&[u32]>,
        block: &impl Block<K>,
        scratch: &mut Scratch<K>,
    ) -> bool {
        let Some(window) = self.windows.get_mut(self.current) else {
            return false;
        };
        window.expect(block.rows(), &mut self.wide);
        let only = groups.map_or(Some(0), kernel::only_group);
        let fits = match (only, groups) {
            (None, Some(groups)) => {
                let fits = block.cut(window.unit(), scratch);
                if fits {
                    kernel::scatter(&mut window.limbs, groups, &scratch.0);
                }
                fits
            }
            (only, _) => match block.total(window.unit(), scratch) {
                Some(total) => {
                    window.add(only.unwrap_or(0) as usize, false, total);
                    true
                }
                None => false,
            },
        };
        self.failures = if fits { 0 } else { self.failures };
        fits
    }

    /// Tries the windows that did not fit last.
    pub fn quick_elsewhere(
        &mut self,
        groups: Option<&[u32]>,
        block: &impl Block<K>,
        scratch: &mut Scratch<K>,
    ) -> bool {
        let before = self.current;
        for window in (0..self.windows.len()).filter(|window| *window != before) {
            self.current = window;
            if self.quick(groups, block, scratch) {
                return true;
            }
        }
        self.current = before;
        false
    }

    /// Adds a block term by term.
    pub fn slow<W: AsRef<[u64]>>(
        &mut self,
        groups: Option<&[u32]>,
        rows: usize,
        term: impl Fn(usize) -> Term<W>,
    ) {
        if self.windows.is_empty() {
            let tops = (0..rows).filter_map(|row| top(&term(row)));
            let Some(top) = tops.max() else {
                return;
            };
            self.open(top + self.spare - Window::<K>::ROW);
        }
        self.expect(rows);
        let mut elsewhere = 0;
        for row in 0..rows {
            let (group, term) = (group(groups, row), term(row));
            let place = self.place(&term, Window::<K>::ROW);
            elsewhere += usize::from(place.as_ref().is_none_or(|(w, _)| *w != self.current));
            match place {
                Some((window, limbs)) => self.windows[window].add(group, term.negative, limbs),
                None => self.set_aside(group, &term),
            }
        }
        self.settle(rows);
        self.back_off(elsewhere > rows / 16);
    }

    /// After the n-th failure in a row, 2^n - 2 blocks go row by row at once.
    fn back_off(&mut self, failed: bool) {
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.failures = if failed {
                (self.failures + 1).min(8)
            } else {
                0
            };
            self.skip = (1_u32 << self.failures).saturating_sub(2);
        }
    }

    /// Adds another sum to a group; [`Store::settle`] must follow.
    pub fn merge(&mut self, group: usize, sum: &Number) {
        if sum.is_zero() {
            return;
        }
        let term = Term {
            negative: sum.is_negative(),
            integer: sum.words(),
            exponent: sum.exponent(),
        };
        if self.windows.is_empty() {
            // Sums reach higher than single numbers, and a window takes 20 more bits of them.
            self.open(sum.exponent() + bits(sum.words()) + 2 - Window::<K>::ROW);
        }
        self.expect(1);
        match self.place(&term, Window::<K>::SUM) {
            Some((window, limbs)) => {
                self.windows[window].add_sum(group, term.negative, limbs, &mut self.wide);
            }
            None => self.set_aside(group, &term),
        }
    }

    /// Where no window takes a term: it waits for a new one, if there may still be one.
    fn set_aside<W: AsRef<[u64]>>(&mut self, group: usize, term: &Term<W>) {
        let (negative, integer) = (term.negative, term.integer.as_ref());
        if self.windows.len() < WINDOWS {
            let number = Number::new(negative, integer, term.exponent);
            self.waiting.push((group, number));
        } else {
            self.wide.add(group, negative, integer, term.exponent);
        }
    }

    /// Finds room for what fitted no window: a new one if that was more than a sixteenth of `terms` and not a
    /// few outliers, else the slow road.
    pub fn settle(&mut self, terms: usize) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        self.missed += waiting.len();
        if waiting.len() <= terms / 16 {
            self.missed = 0;
        } else if self.missed > FEW {
            self.missed = 0;
            let tops = waiting.iter().map(|(_, n)| n.exponent() + bits(n.words()));
            let top = tops.max().unwrap_or(0);
            self.open(top + self.spare - Window::<K>::ROW);
            self.current = self.windows.len() - 1;
        }
        self.expect(waiting.len());
        for (group, sum) in waiting {
            let (negative, integer, exponent) = (sum.is_negative(), sum.words(), sum.exponent());
            let term = Term {
                negative,
                integer,
                exponent,
            };
            match self.place(&term, Window::<K>::SUM) {
                Some((window, limbs)) => {
                    self.windows[window].add_sum(group, negative, limbs, &mut self.wide);
                }
                None => self.wide.add(group, negative, integer, exponent),
            }
        }
    }

    fn expect(&mut self, rows: usize) {
        for window in &mut self.windows {
            window.expect(rows, &mut self.wide);
        }
    }

    /// The window that takes a term, and its limbs there.
    #[inline]
    fn place<W: AsRef<[u64]>>(&self, term: &Term<W>, room: i32) -> Option<(usize, [i64; K])> {
        let (words, exponent) = (term.integer.as_ref(), term.exponent);
        let low = exponent + trailing_zeros(words);
        let top = exponent + bits(words);
        let takes = |window: &Window<K>| low == top || window.takes(low, top, room);
        let current = self.windows.get(self.current).is_some_and(takes);
        let window = if current {
            self.current
        } else {
            self.windows.iter().position(takes)?
        };
        Some((window, self.windows[window].cut(words, exponent)))
    }

    /// The sum of a group.
    pub fn number(&self, group: usize) -> Number {
        if let ([window], true) = (self.windows.as_slice(), self.wide.is_empty()) {
            return window.number(group);
        }
        let used = |window: &&Window<K>| window.limbs[group].iter().any(|limb| *limb != 0);
        let mut windows = self.windows.iter().filter(used);
        let first = windows.next().map(|window| window.number(group));
        let (second, wide) = (windows.next(), self.wide.get(group));
        if second.is_none() && wide.is_none() {
            return first.unwrap_or(Number::ZERO);
        }
        let mut sum = wide.cloned().unwrap_or_else(Big::default);
        first.iter().for_each(|number| sum.add_number(number));
        for window in second.into_iter().chain(windows) {
            sum.add_number(&window.number(group));
        }
        sum.number()
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        let windows: usize = self.windows.iter().map(Window::bytes).sum();
        windows + self.wide.bytes() + self.waiting.capacity() * size_of::<(usize, Number)>()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.units, self.spare);
    }
}

/// The exponent of the power of two that a term stays below, unless it is zero.
fn top<W: AsRef<[u64]>>(term: &Term<W>) -> Option<i32> {
    let length = bits(term.integer.as_ref());
    (length > 0).then_some(term.exponent + length)
}
