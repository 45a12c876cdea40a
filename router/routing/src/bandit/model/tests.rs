//! The model beside a direct solution of the whole system, offsets and all.

use proptest::prelude::*;

use super::*;
use crate::bandit::D;

const CLUSTERS: usize = 3;
const SIZE: usize = D + CLUSTERS;

/// A told score: features, cluster, score, weight.
type Told = (Vector, usize, f64, f64);

/// A request's place in the whole system.
fn joint(x: &Vector, cluster: usize) -> [f64; SIZE] {
    let mut row = [0.0; SIZE];
    row[..D].copy_from_slice(x);
    row[D + cluster] = 1.0;
    row
}

/// Solves `a y = b` by Gauss and Jordan with pivoting.
fn solved(mut a: [[f64; SIZE]; SIZE], mut b: [f64; SIZE]) -> [f64; SIZE] {
    for column in 0..SIZE {
        let pivot = (column..SIZE).max_by(|one, two| a[*one][column].abs().total_cmp(&a[*two][column].abs())).unwrap();
        a.swap(column, pivot);
        b.swap(column, pivot);
        for row in (0..SIZE).filter(|row| *row != column) {
            let factor = a[row][column] / a[column][column];
            (0..SIZE).for_each(|place| a[row][place] -= factor * a[column][place]);
            b[row] -= factor * b[column];
        }
    }
    std::array::from_fn(|row| b[row] / a[row][row])
}

/// Mean and variance, in units of the noise, by the closed form of ridge regression.
fn direct(prior: Prior, told: &[Told], share: f64, x: &Vector, cluster: usize) -> (f64, f64) {
    let mut precision = [[0.0; SIZE]; SIZE];
    for (place, row) in precision.iter_mut().enumerate() {
        row[place] = match place {
            0 => prior.weight,
            place if place < D => FEATURE_PRECISION,
            _ => CLUSTER_PRECISION,
        };
    }
    let mut sum = [0.0; SIZE];
    for (x, cluster, score, weight) in told {
        let row = joint(x, *cluster);
        for i in 0..SIZE {
            for j in 0..SIZE {
                precision[i][j] += share * weight * row[i] * row[j];
            }
            sum[i] += share * weight * row[i] * (score - prior.mean);
        }
    }
    let here = joint(x, cluster);
    let dot = |a: &[f64; SIZE], b: &[f64; SIZE]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    (prior.mean + dot(&here, &solved(precision, sum)), dot(&here, &solved(precision, here)))
}

fn features() -> impl Strategy<Value = Vector> {
    prop::array::uniform8(-1.0..1.0f64).prop_map(|mut x| {
        x[0] = 1.0;
        x
    })
}

fn scores() -> impl Strategy<Value = Vec<Told>> {
    prop::collection::vec((features(), 0..CLUSTERS, 0.0..1.0f64, 0.1..3.0f64), 0..60)
}

proptest! {
    #[test]
    fn mean_and_variance_are_those_of_the_whole_system(
        told in scores(), x in features(), cluster in 0..CLUSTERS, mean in 0.3..0.9f64, weight in 0.5..30.0f64,
        faded in 0.05..1.0f64,
    ) {
        let prior = Prior::new(mean, weight);
        let mut model = Model::new(prior);
        for (x, cluster, score, weight) in &told {
            model.learn(&Context { cluster: *cluster as u16, x: *x }, *cluster, (*score, *weight));
        }
        model.fade(faded);
        let guess = model.guess(&Context { cluster: cluster as u16, x }, cluster, 1.0);
        let (mean, spread) = direct(prior, &told, faded, &x, cluster);
        prop_assert!((guess.mean - mean.clamp(0.0, 1.0)).abs() < 1e-8, "{} {mean}", guess.mean);
        prop_assert!((guess.variance / model.noise() - spread).abs() < 1e-8, "{} {spread}", guess.variance);
    }

    #[test]
    fn another_prior_is_as_if_it_had_always_been(told in scores(), x in features(), first in 0.1..0.9f64) {
        let (mut moved, mut always) = (Model::new(Prior::new(first, 3.0)), Model::new(Prior::new(0.6, 8.0)));
        for (x, cluster, score, weight) in &told {
            for model in [&mut moved, &mut always] {
                model.learn(&Context { cluster: *cluster as u16, x: *x }, *cluster, (*score, *weight));
            }
        }
        moved.set_prior(Prior::new(0.6, 8.0));
        let guess = |model: &Model| model.guess(&Context { cluster: 1, x }, 1, 1.0);
        prop_assert!((guess(&moved).mean - guess(&always).mean).abs() < 1e-9);
    }

    #[test]
    fn what_fades_wholly_leaves_the_prior(told in scores(), x in features()) {
        let mut model = Model::new(Prior::new(0.7, 5.0));
        for (x, cluster, score, weight) in &told {
            model.learn(&Context { cluster: *cluster as u16, x: *x }, *cluster, (*score, *weight));
        }
        let context = Context { cluster: 0, x };
        let (now, gone) = (model.guess(&context, 0, 1.0), model.guess(&context, 0, 0.0));
        prop_assert!((gone.mean - 0.7).abs() < 1e-9 && gone.variance + 1e-12 >= now.variance, "{now:?} {gone:?}");
        let half = model.guess(&context, 0, 0.5);
        prop_assert!(half.variance + 1e-12 >= now.variance && half.variance <= gone.variance + 1e-12);
    }
}

#[test]
fn one_cluster_alone_is_a_weighted_mean() {
    // Bias and offset share what is seen: precision of their sum before is 1 / (1/10 + 1/2) = 10/6.
    let mut model = Model::new(Prior::new(0.5, 10.0));
    let mut x = ZERO;
    x[0] = 1.0;
    for _ in 0..20 {
        model.learn(&Context { cluster: 0, x }, 0, (0.9, 1.0));
    }
    let guess = model.guess(&Context { cluster: 0, x }, 0, 1.0);
    let expected = 0.5 + 0.4 * 20.0 / (20.0 + 10.0 / 6.0);
    assert!((guess.mean - expected).abs() < 1e-12, "{guess:?}, by hand {expected}");
    let elsewhere = model.guess(&Context { cluster: 1, x }, 1, 1.0);
    assert!(elsewhere.mean > 0.5 && elsewhere.mean < guess.mean, "part of it is thought to hold elsewhere");
}

#[test]
fn the_noise_of_scores_is_learnt() {
    let mut model = Model::new(Prior::new(0.5, 10.0));
    let mut x = ZERO;
    x[0] = 1.0;
    for turn in 0..600 {
        let score = if turn % 2 == 0 { 0.5 } else { 0.9 };
        model.learn(&Context { cluster: 0, x }, 0, (score, 1.0));
    }
    assert!((model.noise().sqrt() - 0.2).abs() < 0.02, "{}", model.noise().sqrt());
}
