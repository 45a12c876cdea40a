//! Claims about bounds, bets and trials.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const ALPHA: f64 = 0.05;

/// Runs of coins of this win rate, and the share of them of which `wrong` was ever true.
fn share(rate: f64, samples: u32, wrong: impl Fn(&Trial) -> bool) -> f64 {
    const RUNS: u32 = 200;
    let mut count = 0;
    for seed in 0..RUNS {
        let mut dice = StdRng::seed_from_u64(u64::from(seed));
        let mut trial = Trial::new(ALPHA);
        for _ in 0..samples {
            let compared = if dice.random_bool(rate) { Compared::Win } else { Compared::Loss };
            trial.judge(compared, None);
            if wrong(&trial) {
                count += 1;
                break;
            }
        }
    }
    f64::from(count) / f64::from(RUNS)
}

#[test]
fn the_bounds_miss_the_true_rate_at_any_time_in_at_most_the_stated_share_of_runs() {
    for rate in [0.5, 0.7, 0.95] {
        let missed = share(rate, 1_000, |trial| {
            let standing = trial.standing(0);
            standing.low > rate || standing.high < rate
        });
        assert!(missed <= ALPHA, "{rate}: {missed}");
    }
}

#[test]
fn a_fair_coin_is_found_unfair_in_at_most_the_stated_share_of_runs() {
    let found = share(0.5, 1_000, |trial| trial.finding() != Finding::Open);
    assert!(found <= ALPHA, "{found}");
}

#[test]
fn a_better_challenger_is_found() {
    let found = share(0.65, 400, |trial| trial.finding() == Finding::Better);
    assert!(found >= 0.95, "{found}");
    let worse = share(0.65, 400, |trial| trial.finding() == Finding::Worse);
    assert!(worse <= ALPHA / 2.0, "{worse}");
}

#[test]
fn the_radius_is_that_of_the_paper() {
    let mut sequence = Sequence::default();
    for place in 0..100 {
        sequence.add(f64::from(place % 2));
    }
    let (low, high) = sequence.bounds(ALPHA);
    // sqrt(31.3 * ln(31.3 / (0.0025 * 6.3))) / 100, by hand.
    assert!((high - 0.5 - 0.154_189).abs() < 1e-4 && (0.5 - low - 0.154_189).abs() < 1e-4, "{low} {high}");
    assert_eq!(Sequence::default().bounds(ALPHA), (0.0, 1.0));
}

#[test]
fn a_bet_on_what_hardly_varies_is_won_soon() {
    let mut bet = Bet::against(Claim::AtMost(0.5));
    let mut after = 0;
    while bet.p_value() > ALPHA {
        bet.add(0.6 + 0.01 * f64::from(after % 3));
        after += 1;
        assert!(after < 60, "not won after {after}");
    }
    let mut other = Bet::against(Claim::AtLeast(0.5));
    for _ in 0..500 {
        other.add(0.6);
    }
    assert_eq!(other.p_value(), 1.0);
}

#[test]
fn a_watch_forgets_that_a_claim_has_held_for_long() {
    let (mut watch, mut test) = (Bet::watching(Claim::AtLeast(0.5)), Bet::against(Claim::AtLeast(0.5)));
    let mut dice = StdRng::seed_from_u64(7);
    let mut draw = |rate: f64| f64::from(u8::from(dice.random_bool(rate)));
    for _ in 0..1_000 {
        let value = draw(0.55);
        watch.add(value);
        test.add(value);
    }
    assert!(watch.log_capital() < 3.0);
    let mut after = 0;
    while watch.log_capital() < 1_000_f64.ln() {
        watch.add(draw(0.1));
        after += 1;
        assert!(after < 800, "not found after {after}");
    }
}

#[test]
fn a_watch_gives_false_alarms_less_often_than_its_threshold() {
    let mut dice = StdRng::seed_from_u64(11);
    let (mut alarms, total) = (0, 200_000);
    let mut watch = Bet::watching(Claim::AtLeast(0.5));
    for _ in 0..total {
        watch.add(f64::from(u8::from(dice.random_bool(0.5))));
        if watch.log_capital() >= 200_f64.ln() {
            alarms += 1;
            watch = Bet::watching(Claim::AtLeast(0.5));
        }
    }
    assert!(alarms <= total / 200, "{alarms}");
}

#[test]
fn scores_within_the_band_are_a_tie() {
    assert_eq!(Compared::scores(0.5, 0.54, 0.05), Compared::Tie);
    assert_eq!(Compared::scores(0.5, 0.56, 0.05), Compared::Win);
    assert_eq!(Compared::scores(0.5, 0.44, 0.05), Compared::Loss);
    assert_eq!(Compared::scores(f64::NAN, 0.4, 0.05), Compared::Tie);
}

#[test]
fn the_day_s_cap_holds_and_turns_at_midnight() {
    let mut trial = Trial::new(ALPHA);
    let (cap, noon) = (MicroUsd(100), DAY_MS * 20_000 + DAY_MS / 2);
    trial.pay(MicroUsd(70), noon);
    assert!(!trial.hold(MicroUsd(31), cap, noon) && trial.hold(MicroUsd(30), cap, noon));
    assert!(!trial.hold(MicroUsd(1), cap, noon), "what is held is as good as spent");
    trial.release(MicroUsd(30));
    let next = noon + DAY_MS / 2;
    assert!(trial.hold(MicroUsd(100), cap, next));
    trial.release(MicroUsd(100));
    trial.pay(MicroUsd(5), next);
    // The clock is put back over midnight: today is still today.
    trial.pay(MicroUsd(5), noon);
    let standing = trial.standing(next);
    assert_eq!((standing.spend, standing.spend_today), (MicroUsd(80), MicroUsd(10)));
}

#[test]
fn a_trial_reads_back_as_it_was() {
    let mut trial = Trial::new(ALPHA);
    for compared in [Compared::Win, Compared::Tie, Compared::Win, Compared::Loss] {
        trial.judge(compared, Some((MicroUsd(3), MicroUsd(2))));
    }
    let standing = trial.standing(0);
    assert_eq!((standing.samples, standing.wins, standing.ties, standing.losses), (4, 2, 1, 1));
    assert_eq!(
        (standing.win_rate, standing.champion_cost, standing.challenger_cost),
        (0.625, MicroUsd(12), MicroUsd(8))
    );
    let text = serde_json::to_string(&trial).unwrap();
    assert_eq!(serde_json::from_str::<Trial>(&text).unwrap(), trial);
}
