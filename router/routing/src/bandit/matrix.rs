//! The little linear algebra that a choice needs: symmetric matrices as large as a request has features.

use std::cmp::Ordering;

use super::D;

/// One number per feature.
pub(super) type Vector = [f64; D];
/// Rows of a symmetric matrix.
pub(super) type Matrix = [Vector; D];

pub(super) const ZERO: Vector = [0.0; D];
pub(super) const ZEROS: Matrix = [ZERO; D];

/// `a . b`, in two lanes so that the additions need not wait for each other.
pub(super) fn dot(a: &Vector, b: &Vector) -> f64 {
    let mut lanes = [0.0; 2];
    for (a, b) in a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}

/// `to += factor x`.
pub(super) fn add_scaled(to: &mut Vector, factor: f64, x: &Vector) {
    for (to, x) in to.iter_mut().zip(x) {
        *to += factor * x;
    }
}

/// `to += factor x xT`.
pub(super) fn add_outer(to: &mut Matrix, factor: f64, x: &Vector) {
    for (row, value) in to.iter_mut().zip(x) {
        add_scaled(row, factor * value, x);
    }
}

/// `m x` for a symmetric `m`: whole rows are added, which a compiler turns into vector instructions.
pub(super) fn times(m: &Matrix, x: &Vector) -> Vector {
    let mut out = ZERO;
    for (row, value) in m.iter().zip(x) {
        add_scaled(&mut out, *value, row);
    }
    out
}

/// A symmetric matrix of which each pair of equal numbers is kept once, doubled: column j down to row j, in whole pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Half([[f64; 2]; PAIRS]);

/// Columns 0 and 1 take one pair of rows each, 2 and 3 two, and so on.
const PAIRS: usize = D / 2 * (D / 2 + 1);

impl Half {
    pub(super) fn of(m: &Matrix) -> Self {
        let mut pairs = [[0.0; 2]; PAIRS];
        let mut to = pairs.iter_mut();
        for (column, values) in m.iter().enumerate() {
            let share = |row: usize| match row.cmp(&column) {
                Ordering::Less => 2.0,
                Ordering::Equal => 1.0,
                Ordering::Greater => 0.0,
            };
            let rows = values.as_chunks::<2>().0.iter().take(column / 2 + 1).enumerate();
            for ((pair, [first, second]), to) in rows.zip(to.by_ref()) {
                *to = [share(2 * pair) * first, share(2 * pair + 1) * second];
            }
        }
        Self(pairs)
    }

    /// `xT m x`, with little more than half of the products.
    pub(super) fn square(&self, x: &Vector) -> f64 {
        let mut sums = [[0.0; 2]; D / 2];
        let mut pairs = self.0.iter();
        for (column, factor) in x.iter().enumerate() {
            for (sum, pair) in sums.iter_mut().zip(pairs.by_ref().take(column / 2 + 1)) {
                sum[0] += factor * pair[0];
                sum[1] += factor * pair[1];
            }
        }
        let rows = x.as_chunks::<2>().0.iter().zip(&sums);
        let whole = rows.fold([0.0; 2], |whole, (x, sum)| [whole[0] + x[0] * sum[0], whole[1] + x[1] * sum[1]]);
        whole[0] + whole[1]
    }
}

/// The inverse of a symmetric positive definite matrix by its Cholesky factor: with `m = L LT` it is
/// `LinvT Linv`. A pivot that rounding made too small is lifted, so the result is finite for finite input.
#[expect(clippy::indexing_slicing, reason = "every index runs below D, the length of every row and of the matrix")]
pub(super) fn inverse(m: &Matrix) -> Matrix {
    const LEAST_PIVOT: f64 = 1e-9;
    let mut factor = ZEROS;
    for i in 0..D {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| factor[i][k] * factor[j][k]).sum();
            let rest = m[i][j] - known;
            factor[i][j] = if i == j { rest.max(LEAST_PIVOT).sqrt() } else { rest / factor[j][j] };
        }
    }
    // The factor's inverse, lower triangular too.
    let mut lower = ZEROS;
    for i in 0..D {
        lower[i][i] = 1.0 / factor[i][i];
        (0..i).for_each(|j| {
            let known: f64 = (j..i).map(|k| factor[i][k] * lower[k][j]).sum();
            lower[i][j] = -known / factor[i][i];
        });
    }
    let mut out = ZEROS;
    for i in 0..D {
        for j in 0..=i {
            out[i][j] = (i..D).map(|k| lower[k][i] * lower[k][j]).sum();
            out[j][i] = out[i][j];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_matrix_times_its_inverse_is_one(columns in prop::collection::vec(prop::array::uniform8(-1.0..1.0f64), 1..40)) {
            let mut m = ZEROS;
            for (place, row) in m.iter_mut().enumerate() {
                row[place] = 1.5;
            }
            for x in &columns {
                add_outer(&mut m, 3.0, x);
            }
            let inverse = inverse(&m);
            for (i, row) in m.iter().enumerate() {
                let product = times(&inverse, row);
                for (j, value) in product.iter().enumerate() {
                    let one = if i == j { 1.0 } else { 0.0 };
                    prop_assert!((value - one).abs() < 1e-9, "{i} {j} {value}");
                }
            }
            for x in &columns {
                prop_assert!((Half::of(&m).square(x) / dot(x, &times(&m, x)) - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_stays_finite() {
        let inverse = inverse(&ZEROS);
        assert!(inverse.iter().flatten().all(|value| value.is_finite()));
    }
}
