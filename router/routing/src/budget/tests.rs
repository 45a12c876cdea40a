//! Accounts by example, then 10,000 random interleavings of streams against the stated bound.

use atp_core::Price;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_763_664_495_123;
const PRICE: Price = Price { input: 150_000, output: 600_000, cached_input: 75_000 };

fn usd(cost: u64, per: Per) -> Budget {
    Budget { cost: Some(MicroUsd(cost)), tokens: None, per }
}

fn tokens(tokens: u64, per: Per) -> Budget {
    Budget { cost: None, tokens: Some(tokens), per }
}

fn amount(cost: u64, tokens: u64) -> Amount {
    Amount { cost: MicroUsd(cost), tokens }
}

#[test]
fn an_amount_is_granted_in_every_window_or_in_none() {
    let mut account = Account::new(&[usd(100, Per::Minute), tokens(50, Per::Day)], NOW);
    account.reserve(amount(60, 30), NOW).unwrap();
    let shortage = account.reserve(amount(41, 1), NOW).unwrap_err();
    assert_eq!((shortage.of, shortage.line.budget.per), (Short::Cost, Per::Minute));
    let shortage = account.reserve(amount(40, 21), NOW).unwrap_err();
    assert_eq!((shortage.of, shortage.line.budget.per, shortage.reserved), (Short::Tokens, Per::Day, amount(60, 30)));
    assert_eq!(account.reserved(), amount(60, 30), "what is refused is not held");
    account.reserve(amount(40, 20), NOW).unwrap();
    assert_eq!(account.room(NOW), Room { cost: Some(MicroUsd(0)), tokens: Some(0) });
}

#[test]
fn a_turn_frees_what_was_spent_and_nothing_that_is_held() {
    let mut account = Account::new(&[usd(100, Per::Minute), usd(1_000, Per::Day)], NOW);
    account.reserve(amount(40, 0), NOW).unwrap();
    account.reserve(amount(60, 0), NOW).unwrap();
    account.settle(amount(40, 0), amount(40, 0), NOW);
    assert!(account.reserve(amount(1, 0), NOW).is_err());
    let next = Per::Minute.turns(NOW).unwrap();
    assert_eq!(account.room(next).cost, Some(MicroUsd(40)), "60 are still held");
    account.settle(amount(60, 0), amount(70, 0), next);
    assert_eq!(account.room(next).cost, Some(MicroUsd(30)), "settled where it ends");
    assert_eq!(account.lines(next)[1].spent, amount(110, 0), "the day has seen both");
    // A clock that is set back opens no fresh window.
    assert_eq!(account.room(NOW - 3_600_000).cost, Some(MicroUsd(30)));
}

#[test]
fn changed_budgets_keep_what_is_known() {
    let mut account = Account::new(&[usd(100, Per::Hour)], NOW);
    account.reserve(amount(80, 8), NOW).unwrap();
    account.settle(amount(50, 5), amount(50, 5), NOW);
    account.change(&[usd(60, Per::Hour), tokens(10, Per::Day)], NOW);
    assert_eq!(account.reserved(), amount(30, 3));
    assert_eq!(account.room(NOW), Room { cost: Some(MicroUsd(0)), tokens: Some(2) }, "the hour's five are the day's");
    account.change(&[], NOW);
    assert!(account.is_unbounded() && account.reserve(amount(u64::MAX, u64::MAX), NOW).is_ok());
}

#[test]
fn a_seed_counts_in_its_window_alone() {
    let mut account = Account::new(&[usd(100, Per::Hour), usd(500, Per::Month)], NOW);
    account.seed(Per::Month, amount(450, 0));
    account.seed(Per::Month, amount(300, 9));
    account.seed(Per::Hour, amount(10, 0));
    assert_eq!(account.lines(NOW)[1].spent, amount(450, 9), "of two who know, who knows more");
    assert!(account.reserve(amount(51, 0), NOW).is_err());
    assert!(account.reserve(amount(50, 0), NOW).is_ok());
}

#[test]
fn a_grant_is_what_the_tightest_bound_pays_for() {
    let mut money = Account::new(&[usd(20, Per::Day)], NOW);
    let mut total = Account::new(&[tokens(1_000, Per::Total)], NOW);
    let mut tab = Tab::new(10, Some(PRICE), None);
    // 20 micro-dollars less 1.5 for the input pay for 30 output tokens at 0.6 each.
    let grant = open(&mut [&mut money, &mut total], &mut tab, 5, 100, NOW).unwrap();
    assert_eq!(grant, Grant { covered: 30, payable: Some(30) });
    assert_eq!((tab.held(), money.reserved(), total.reserved()), (amount(20, 40), amount(20, 40), amount(20, 40)));
    assert!(tab.uses(29), "one token is covered yet");
    assert!(!tab.uses(30) && !extend(&mut [&mut money, &mut total], &mut tab, NOW));
    settle(&mut [&mut money, &mut total], tab, tab.used(), NOW);
    assert_eq!((money.reserved(), total.reserved()), (Amount::NONE, Amount::NONE));
    assert_eq!(money.room(NOW).cost, Some(MicroUsd(0)));
}

#[test]
fn a_stream_is_extended_by_slices_and_then_by_what_is_left() {
    let mut account = Account::new(&[tokens(10 + 100 + SLICE + 7, Per::Total)], NOW);
    let mut tab = Tab::new(10, None, None);
    let grant = open(&mut [&mut account], &mut tab, 100, 100, NOW).unwrap();
    assert_eq!(grant, Grant { covered: 100, payable: Some(100 + SLICE + 7) });
    assert!(!tab.uses(100) && extend(&mut [&mut account], &mut tab, NOW));
    assert_eq!(tab.held().tokens, 110 + SLICE);
    assert!(!tab.uses(100 + SLICE) && extend(&mut [&mut account], &mut tab, NOW));
    assert_eq!(tab.held().tokens, 117 + SLICE);
    assert!(!tab.uses(107 + SLICE) && !extend(&mut [&mut account], &mut tab, NOW));
}

#[test]
fn a_ceiling_of_its_own_is_named_and_binds_like_a_budget() {
    let mut tab = Tab::new(10, Some(PRICE), Some(MicroUsd(20)));
    let denied = open(&mut [], &mut tab, 31, 100, NOW).unwrap_err();
    assert_eq!(denied, Denied::Cap { cap: MicroUsd(20), needed: MicroUsd(21) });
    assert_eq!(open(&mut [], &mut tab, 5, 100, NOW), Ok(Grant { covered: 30, payable: Some(30) }));
    assert!(!tab.uses(30) && !extend(&mut [], &mut tab, NOW));
}

#[test]
fn without_a_price_money_counts_none_and_tokens_count_all() {
    let mut account = Account::new(&[usd(1, Per::Day), tokens(50, Per::Day)], NOW);
    let mut tab = Tab::new(10, None, Some(MicroUsd(1)));
    assert_eq!(open(&mut [&mut account], &mut tab, 1, 100, NOW), Ok(Grant { covered: 40, payable: Some(40) }));
    assert_eq!(account.reserved(), amount(0, 50));
}

#[test]
fn a_refusal_says_whose_it_is() {
    let mut rich = Account::new(&[tokens(1_000, Per::Day)], NOW);
    let mut poor = Account::new(&[tokens(20, Per::Day)], NOW);
    let mut tab = Tab::new(10, None, None);
    let denied = open(&mut [&mut rich, &mut poor], &mut tab, 11, 11, NOW).unwrap_err();
    assert!(matches!(denied, Denied::Account { place: 1, needed: Amount { tokens: 21, .. }, .. }), "{denied:?}");
    assert_eq!((rich.reserved(), tab.held()), (Amount::NONE, Amount::NONE));
}

#[test]
fn another_price_keeps_what_is_held() {
    let mut account = Account::new(&[usd(1_000, Per::Day)], NOW);
    let mut tab = Tab::new(0, Some(PRICE), None);
    open(&mut [&mut account], &mut tab, 100, 100, NOW).unwrap();
    tab.reprice(Some(Price { output: 6_000_000, ..PRICE }));
    assert!(!tab.uses(100) && extend(&mut [&mut account], &mut tab, NOW));
    assert_eq!(tab.held().cost, MicroUsd(996), "166 tokens at 6");
    settle(&mut [&mut account], tab, amount(3, 3), NOW);
    assert_eq!(account.room(NOW).cost, Some(MicroUsd(997)));
}

/// One stream of the interleavings.
#[derive(Debug, Clone)]
struct Stream {
    accounts: Vec<usize>,
    input: u64,
    /// What the provider counts as input in the end.
    true_input: u64,
    guess: u64,
    price: Option<Price>,
    cap: Option<u64>,
    pieces: Vec<u64>,
    /// After so many pieces it breaks off or its caller leaves.
    leaves: usize,
}

/// What the model knows of a stream that runs.
struct Running {
    stream: Stream,
    tab: Tab,
    at: usize,
}

fn price() -> impl Strategy<Value = Option<Price>> {
    let price = |(input, output)| Price { input, output, cached_input: input / 2 };
    prop::option::weighted(0.9, (0u64..20_000_000, 0u64..80_000_000).prop_map(price))
}

fn stream() -> impl Strategy<Value = Stream> {
    let accounts = prop::sample::select(vec![vec![0], vec![1], vec![0, 2], vec![1, 2], vec![0, 2, 3]]);
    let pieces = prop::collection::vec(prop_oneof![9 => Just(1u64), 1 => 2u64..40], 0..60);
    let numbers = (0u64..500, 0u64..40, 1u64..200, prop::option::weighted(0.2, 1u64..20_000), 0usize..200);
    (accounts, price(), pieces, numbers).prop_map(|(accounts, price, pieces, (input, error, guess, cap, leaves))| {
        Stream { accounts, input, true_input: input + error, guess, price, cap, pieces, leaves }
    })
}

/// Draws on the accounts of a tab, in the order in which every exchange draws on them.
fn drawn<T>(accounts: &mut [Account], places: &[usize], draw: impl FnOnce(&mut [&mut Account]) -> T) -> T {
    let mut chosen: Vec<&mut Account> =
        accounts.iter_mut().enumerate().filter(|(place, _)| places.contains(place)).map(|(_, it)| it).collect();
    draw(&mut chosen)
}

fn budgets() -> impl Strategy<Value = Vec<Budget>> {
    let budget = (prop::sample::select(Per::ALL.to_vec()), 1u64..60_000, 1u64..6_000, 0u8..3);
    let budget = budget.prop_map(|(per, cost, tokens, which)| Budget {
        cost: (which != 1).then_some(MicroUsd(cost)),
        tokens: (which != 0).then_some(tokens),
        per,
    });
    prop::collection::vec(budget, 1..3)
}

// 10,000 interleavings of streams with random pieces, leaves, turns of windows and accounts in common. After
// each step what accounts hold is what the open tabs hold, and no line is overspent by more than its bound.
proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn no_interleaving_spends_more_than_the_budget_and_the_bound(
        rules in prop::collection::vec(budgets(), 4),
        streams in prop::collection::vec(stream(), 1..8),
        order in prop::collection::vec((any::<prop::sample::Index>(), 0u64..30_000), 1..200),
    ) {
        let mut now = NOW;
        let mut accounts: Vec<Account> = rules.iter().map(|rules| Account::new(rules, now)).collect();
        let mut coming = streams;
        let mut running: Vec<Running> = Vec::new();
        // What each account may be overdrawn by, by the last pieces of streams that ended beyond what they held.
        let mut bound = vec![Amount::NONE; accounts.len()];
        for (pick, pause) in order {
            now += pause;
            let all = coming.len() + running.len();
            if all == 0 {
                break;
            }
            let picked = pick.index(all);
            if picked < coming.len() {
                let stream = coming.swap_remove(picked);
                let mut tab = Tab::new(stream.input, stream.price, stream.cap.map(MicroUsd));
                let opened = drawn(&mut accounts, &stream.accounts, |accounts| {
                    open(accounts, &mut tab, stream.guess, stream.guess, now)
                });
                prop_assert_eq!(opened.is_err(), tab.held() == Amount::NONE);
                if opened.is_ok() {
                    running.push(Running { stream, tab, at: 0 });
                }
            } else {
                let place = picked - coming.len();
                let Running { stream, tab, at } = &mut running[place];
                let last = stream.pieces.get(*at).copied().filter(|_| *at < stream.leaves);
                let goes = last.is_some_and(|piece| {
                    *at += 1;
                    let output = tab.output() + piece;
                    tab.uses(output)
                        || drawn(&mut accounts, &stream.accounts, |accounts| extend(accounts, tab, now))
                });
                if !goes {
                    let Running { stream, tab, .. } = running.swap_remove(place);
                    let true_tab = Tab::new(stream.true_input, stream.price, None);
                    let used = true_tab.amount(tab.output());
                    let held = tab.held();
                    prop_assert!(stream.cap.is_none_or(|cap| held.cost.0 <= cap), "a ceiling holds");
                    // The stated bound: the last piece but for one token, and the error of the input.
                    let excess = last.unwrap_or(0).saturating_sub(1);
                    let honest = tab.amount(tab.output() - excess);
                    prop_assert!(honest.minus(held) == Amount::NONE, "{honest:?} {held:?}");
                    for place in &stream.accounts {
                        bound[*place] = bound[*place].plus(used.minus(held));
                    }
                    drawn(&mut accounts, &stream.accounts, |accounts| settle(accounts, tab, used, now));
                }
            }
            for (place, account) in accounts.iter_mut().enumerate() {
                let open = running.iter().filter(|run| run.stream.accounts.contains(&place));
                let held = open.fold(Amount::NONE, |sum, run| sum.plus(run.tab.held()));
                prop_assert_eq!(account.reserved(), held, "reservations are conserved");
                let reserved = account.reserved();
                for line in account.lines(now) {
                    let gone = line.spent.plus(reserved).minus(bound[place]);
                    prop_assert!(line.budget.cost.is_none_or(|most| gone.cost <= most), "{line:?} {reserved:?}");
                    prop_assert!(line.budget.tokens.is_none_or(|most| gone.tokens <= most), "{line:?} {reserved:?}");
                }
            }
        }
    }
}
