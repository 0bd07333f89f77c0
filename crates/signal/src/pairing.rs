//! Zeros and poles as sections of second order: a pole with the zero that is nearest to it, the poles nearest to the unit circle last,
//! so that no section's output grows far beyond what comes out in the end. The order is that of `scipy.signal.zpk2sos`.

use rustfft::num_complex::Complex;

use crate::design::Roots;
use crate::sections::Section;

/// A root, or of two that mirror each other one.
#[derive(Clone, Copy, Debug)]
enum Root {
    Pair(Complex<f64>),
    Real(f64),
}

impl Root {
    fn at(self) -> Complex<f64> {
        match self {
            Self::Pair(at) => at,
            Self::Real(at) => Complex::from(at),
        }
    }

    fn is_real(self) -> bool {
        matches!(self, Self::Real(_))
    }
}

/// Pairs by their real parts, and the others behind them.
fn in_order(mut roots: Roots) -> Vec<Root> {
    roots
        .pairs
        .sort_by(|a, b| a.re.total_cmp(&b.re).then(a.im.total_cmp(&b.im)));
    roots.reals.sort_by(f64::total_cmp);
    let pairs = roots.pairs.into_iter().map(Root::Pair);
    pairs
        .chain(roots.reals.into_iter().map(Root::Real))
        .collect()
}

/// Which root the least belongs to, of those that may be taken.
fn least(
    roots: &[Root],
    may: impl Fn(Root) -> bool,
    of: impl Fn(Complex<f64>) -> f64,
) -> Option<usize> {
    let some = roots.iter().enumerate().filter(|(_, root)| may(**root));
    let least = some.min_by(|(_, a), (_, b)| of(a.at()).total_cmp(&of(b.at())));
    least.map(|(at, _)| at)
}

/// `1 + c1/z + c2/z^2` with these roots.
fn polynomial(first: Option<Root>, second: Option<Root>) -> [f64; 3] {
    match (first, second) {
        (Some(Root::Pair(root)), _) => [1.0, -2.0 * root.re, root.norm_sqr()],
        (Some(Root::Real(a)), Some(Root::Real(b))) => [1.0, -(a + b), a * b],
        (Some(Root::Real(a)), _) => [1.0, -a, 0.0],
        (None, _) => [1.0, 0.0, 0.0],
    }
}

/// The sections; there are as many zeros as poles.
pub(crate) fn sections(mut zeros: Roots, mut poles: Roots, gain: f64) -> Vec<Section> {
    if poles.reals.len() % 2 == 1 {
        // One more at 0 each, which does nothing.
        poles.reals.push(0.0);
        zeros.reals.push(0.0);
    }
    let (mut zeros, mut poles) = (in_order(zeros), in_order(poles));
    let mut sections = Vec::new();
    while let Some(section) = next(&mut zeros, &mut poles) {
        sections.push(section);
    }
    sections.reverse();
    if let Some(first) = sections.first_mut() {
        first.b = first.b.map(|b| b * gain);
    }
    sections
}

/// The section of the pole that is nearest to the unit circle.
fn next(zeros: &mut Vec<Root>, poles: &mut Vec<Root>) -> Option<Section> {
    let from_circle = |at: Complex<f64>| (1.0 - at.norm()).abs();
    let pole = poles.remove(least(poles, |_| true, from_circle)?);
    let partner = match pole {
        Root::Pair(_) => None,
        Root::Real(_) => least(poles, Root::is_real, from_circle).map(|at| poles.remove(at)),
    };
    let near = |at: Complex<f64>| (at - pole.at()).norm();
    // The last zeros on the real axis are left for poles there.
    let reals = |roots: &[Root]| roots.iter().filter(|root| root.is_real()).count();
    let wanted = !pole.is_real() && reals(poles) == 1 && reals(zeros) == 1;
    let zero = least(zeros, |root| !(wanted && root.is_real()), near).map(|at| zeros.remove(at));
    let other = match zero {
        Some(Root::Real(_)) => least(zeros, Root::is_real, near).map(|at| zeros.remove(at)),
        _ => None,
    };
    let [_, a1, a2] = polynomial(Some(pole), partner);
    Some(Section {
        b: polynomial(zero, other),
        a: [a1, a2],
    })
}
