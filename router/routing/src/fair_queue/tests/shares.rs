//! Who gets how much, one claim at a time.

use super::*;

/// Tokens per flow over so many turns, each flow kept waiting in one session, at these costs in turn.
fn shares(desk: &mut Desk, turns: usize, costs: &[u64]) -> Vec<u64> {
    let mut costs = costs.iter().copied().cycle();
    let mut tokens = vec![0; desk.flows.len()];
    for flow in 0..tokens.len() {
        for _ in 0..2 {
            desk.push(flow, 1, costs.next().expect("costs"));
        }
    }
    for _ in 0..turns {
        let popped = desk.pop().expect("all wait");
        let flow = desk.place(popped.flow);
        tokens[flow] += popped.charged.tokens();
        desk.push(flow, 1, costs.next().expect("costs"));
    }
    tokens
}

#[test]
fn weights_of_three_to_one_give_tokens_of_three_to_one() {
    let mut desk = Desk::new(&[(Qos::Silver, weight(3_000)), (Qos::Silver, weight(1_000))]);
    let tokens = shares(&mut desk, 20_000, &[10, 500, 70, 1_000, 3]);
    // The bound: a largest request of each, by its weight.
    assert!((tokens[0] / 3).abs_diff(tokens[1]) <= 1_000 / 3 + 1_000, "{tokens:?}");
    assert!(tokens[1] > 1_000_000);
}

#[test]
fn classes_share_five_to_three_to_one() {
    let mut desk = Desk::new(&[Qos::Gold, Qos::Silver, Qos::Bronze].map(|qos| (qos, Weight::ONE)));
    assert_eq!(shares(&mut desk, 900, &[100]), [50_000, 30_000, 10_000]);
}

#[test]
fn a_weight_set_while_many_wait_counts_from_then_on() {
    let mut desk = Desk::silver(2);
    let before = shares(&mut desk, 1_000, &[10]);
    assert!(before[0].abs_diff(before[1]) <= 20);
    desk.queue.set_weight(desk.flows[0], weight(4_000));
    let after = shares(&mut desk, 1_000, &[10]);
    assert!(after[0].abs_diff(4 * after[1]) <= 100, "{after:?}");
}

#[test]
fn tenants_are_unaffected_by_the_number_of_their_sessions() {
    let mut desk = Desk::silver(2);
    for session in 0..1_000 {
        desk.push(0, session, 100);
    }
    for _ in 0..100 {
        desk.push(1, 1, 100);
    }
    let turns: Vec<_> = (0..200).map(|_| desk.turn()).collect();
    assert_eq!(turns.iter().filter(|flow| **flow == 1).count(), 100);
}

#[test]
fn sessions_of_a_tenant_share_equally_or_by_their_weights() {
    let mut desk = Desk::silver(1);
    desk.queue.set_session_weight(desk.flows[0], 3, weight(2_000));
    // Session 0 asks for much at once, 1 for little, 2 and 3 for something between.
    let costs = [1_000, 10, 100, 100];
    for session in 0..4 {
        desk.push(0, session, costs[session as usize]);
        desk.push(0, session, costs[session as usize]);
    }
    let mut tokens = [0; 4];
    for _ in 0..50_000 {
        let popped = desk.pop().expect("all wait");
        tokens[popped.session as usize] += popped.charged.tokens();
        desk.push(0, popped.session, popped.charged.tokens());
    }
    for session in [1, 2] {
        assert!(tokens[0].abs_diff(tokens[session]) <= 1_000 + costs[session], "{tokens:?}");
    }
    assert!(tokens[0].abs_diff(tokens[3] / 2) <= 1_000 + 100, "{tokens:?}");
}

#[test]
fn nobody_saves_up_while_idle() {
    let mut desk = Desk::silver(2);
    for _ in 0..1_000 {
        desk.push(0, 1, 100);
    }
    assert!((0..900).all(|_| desk.turn() == 0));
    for _ in 0..100 {
        desk.push(1, 1, 100);
    }
    let turns: Vec<_> = (0..20).map(|_| desk.turn()).collect();
    assert_eq!(turns.iter().filter(|flow| **flow == 1).count(), 10, "{turns:?}");
}

#[test]
fn a_light_tenant_is_served_next_whatever_waits_for_one_other() {
    let mut desk = Desk::silver(2);
    for _ in 0..10_000 {
        desk.push(0, 1, 1_000);
    }
    for _ in 0..500 {
        desk.turn();
        desk.push(1, 1, 100);
        let turns = [desk.turn(), desk.turn()];
        assert!(turns.contains(&1));
    }
}

#[test]
fn what_is_used_alone_is_free() {
    let mut desk = Desk::silver(2);
    for _ in 0..50 {
        desk.push(0, 1, 100);
    }
    desk.turn();
    // It runs far beyond its estimate, and nobody else minds.
    desk.charge(0, 1, 1_000_000);
    for _ in 0..10 {
        desk.push(1, 1, 100);
    }
    let turns: Vec<_> = (0..10).map(|_| desk.turn()).collect();
    assert_eq!(turns.iter().filter(|flow| **flow == 0).count(), 5, "{turns:?}");
    // And when nobody waits at all.
    desk.drain();
    desk.charge(0, 1, 1_000_000);
    desk.push(1, 1, 100);
    desk.push(0, 1, 100);
    desk.push(0, 1, 100);
    desk.push(1, 1, 100);
    assert_eq!([desk.turn(), desk.turn()], [1, 0]);
}

#[test]
fn what_is_used_while_others_wait_is_paid_for() {
    let mut desk = Desk::silver(2);
    for _ in 0..100 {
        desk.push(1, 1, 100);
    }
    // A stream of a flow in which nothing waits.
    desk.charge(0, 1, 5_000);
    for _ in 0..100 {
        desk.push(0, 1, 100);
    }
    let turns: Vec<_> = (0..60).map(|_| desk.turn()).collect();
    assert_eq!(turns.iter().position(|flow| *flow == 0), Some(50), "5,000 tokens are fifty requests of a hundred");
}

#[test]
fn wrong_estimates_do_not_change_the_shares() {
    // What is used is 100 by everybody; the estimates are ten times too high, right, and too low.
    let estimates = [1_000, 100, 10];
    let mut desk = Desk::silver(3);
    let mut running = VecDeque::new();
    let mut used = [0u64; 3];
    for (flow, estimate) in estimates.into_iter().enumerate() {
        for _ in 0..20 {
            desk.push(flow, 1, estimate);
        }
    }
    for _ in 0..30_000 {
        let popped = desk.pop().expect("all wait");
        let flow = desk.place(popped.flow);
        desk.push(flow, 1, estimates[flow]);
        running.push_back((popped.flow, popped.session, 100 - popped.charged.tokens() as i64));
        used[flow] += 100;
        if running.len() > 16 {
            let (flow, session, error) = running.pop_front().expect("more than sixteen");
            desk.charge_flow(flow, session, error);
        }
    }
    // Sixteen in flight at once, each wrong by at most 900.
    assert!(used.iter().all(|tokens| tokens.abs_diff(1_000_000) <= 16 * 900), "{used:?}");
}

#[test]
fn a_reserve_counts_towards_the_share_and_its_debt_has_an_end() {
    let mut desk = Desk::new(&[(Qos::Gold, weight(100)), (Qos::Silver, weight(10_000))]);
    for _ in 0..60_000 {
        desk.push(0, 1, 10);
        desk.push(1, 1, 10);
    }
    let gold = Allowed::only(Qos::Gold);
    for _ in 0..20_000 {
        assert!(desk.queue.pop(desk.now, gold).is_some_and(|popped| desk.place(popped.flow) == 0));
    }
    // Gold's share is a sixtieth of silver's. It pays for 128 requests and not for 20,000.
    let turns = (0..60_000).take_while(|_| desk.turn() == 1).count();
    assert!((127 * 60..=130 * 60).contains(&turns), "{turns}");
}

#[test]
fn a_reserve_is_shared_by_weight_for_any_length_of_time() {
    let mut desk = Desk::new(&[(Qos::Gold, weight(3_000)), (Qos::Gold, weight(1_000)), (Qos::Silver, Weight::ONE)]);
    for _ in 0..10_000 {
        for flow in 0..3 {
            desk.push(flow, 1, 10);
        }
    }
    let mut tokens = [0; 2];
    for _ in 0..8_000 {
        let popped = desk.queue.pop(desk.now, Allowed::only(Qos::Gold)).expect("gold waits");
        tokens[desk.place(popped.flow)] += popped.charged.tokens();
    }
    assert!(tokens[0].abs_diff(3 * tokens[1]) <= 40, "{tokens:?}");
}

#[test]
fn only_allowed_classes_are_served() {
    let mut desk = Desk::new(&[Qos::Gold, Qos::Silver, Qos::Bronze].map(|qos| (qos, Weight::ONE)));
    for flow in 0..3 {
        desk.push(flow, 1, 10);
    }
    assert!(desk.queue.pop(desk.now, Allowed::NONE).is_none());
    let allowed = Allowed::only(Qos::Bronze).with(Qos::Gold);
    assert!(allowed.contains(Qos::Bronze) && allowed.contains(Qos::Gold) && !allowed.contains(Qos::Silver));
    let served: Vec<_> = std::iter::from_fn(|| desk.queue.pop(desk.now, allowed)).map(|popped| popped.item).collect();
    assert_eq!((served, desk.queue.len_of(Qos::Silver)), (vec![0, 2], 1));
    assert_eq!(desk.turn(), 1);
}

#[test]
fn a_new_session_for_every_request_does_not_starve_an_old_one() {
    let mut desk = Desk::silver(1);
    desk.push(0, u64::MAX, 100);
    // One that is new always waits beside the old one.
    let (mut old, mut new) = (0, 0);
    desk.push(0, new, 100);
    for _ in 0..1_000 {
        if desk.pop().expect("two wait").session == u64::MAX {
            old += 1;
            desk.push(0, u64::MAX, 100);
        } else {
            new += 1;
            desk.push(0, new, 100);
        }
    }
    assert!((499..=501).contains(&old), "{old} of a thousand");
}

#[test]
fn what_was_estimated_too_high_while_alone_is_not_paid_back_by_who_comes_later() {
    let mut desk = Desk::silver(2);
    for _ in 0..50 {
        desk.push(0, 1, 1_000);
    }
    assert!((0..16).all(|_| desk.turn() == 0));
    for _ in 0..10 {
        desk.push(1, 1, 1_000);
    }
    for _ in 0..16 {
        desk.charge(0, 1, -900);
    }
    let turns: Vec<_> = (0..10).map(|_| desk.turn()).collect();
    assert_eq!(turns.iter().filter(|flow| **flow == 1).count(), 5, "{turns:?}");
}

/// Tokens per flow over so many turns, all kept waiting.
fn split(flows: &[(usize, Qos, Weight)], turns: usize) -> Vec<u64> {
    shares(&mut Desk::of(flows), turns, &[100])
}

#[test]
fn a_tenant_of_several_classes_has_the_weight_of_its_best_and_divides_it_by_their_factors() {
    let one = Weight::ONE;
    let all = Qos::ALL.map(|qos| (0, qos, one));
    for (other, best) in [(Qos::Gold, 1), (Qos::Silver, 3)] {
        // The other tenant is of one class, and has by its weight what the first one's best class is worth.
        let flows = [all[0], all[1], all[2], (1, other, Weight::new(if best == 1 { 1.0 } else { 5.0 / 3.0 }).unwrap())];
        let tokens = split(&flows, 18_000);
        let own: u64 = tokens[..3].iter().sum();
        assert!(own.abs_diff(tokens[3]) <= 2_000, "{tokens:?}");
        for (class, factor) in [(0, 1), (1, 3), (2, 5)] {
            assert!(tokens[class].abs_diff(own * factor / 9) <= 600, "{tokens:?}");
        }
    }
    // A class alone is worth what it was.
    let tokens = split(&[(0, Qos::Gold, one), (1, Qos::Bronze, one)], 6_000);
    assert!(tokens[0].abs_diff(5 * tokens[1]) <= 600, "{tokens:?}");
}

#[test]
fn what_is_given_back_is_given_back_at_what_it_cost() {
    let flows = [(0, Qos::Gold, Weight::ONE), (0, Qos::Bronze, Weight::ONE), (1, Qos::Gold, Weight::ONE)];
    let mut desk = Desk::of(&flows);
    let ahead = |desk: &Desk| desk.queue.flows().next().expect("three flows").ahead;
    for flow in [0, 2] {
        desk.push(flow, 1, 100);
    }
    let (before, mut paid) = (ahead(&desk), Charge::default());
    desk.queue.charge(desk.flows[0], 1, 5_000, &mut paid);
    assert_eq!(ahead(&desk) - before, 5_000, "alone a token counts once");
    let bronze = desk.push(1, 1, 100);
    desk.queue.charge(desk.flows[0], 1, 5_000, &mut paid);
    // Rates are whole numbers: a token less is rounding.
    assert!((10_999..=11_000).contains(&(ahead(&desk) - before)), "beside bronze a fifth more");
    desk.queue.remove(bronze);
    desk.queue.charge(desk.flows[0], 1, -5_000, &mut paid);
    assert!((5_499..=5_500).contains(&(ahead(&desk) - before)) && paid.tokens() == 5_000, "half of it");
    desk.queue.charge(desk.flows[0], 1, -9_000, &mut paid);
    assert_eq!((ahead(&desk), paid), (before, Charge::default()), "and no more than all of it");
}

#[test]
fn who_uses_classes_in_turn_gains_nothing() {
    // Gold asks for much at once. Silver comes only when it is not in use, and never waits when gold is charged.
    let flows = [(0, Qos::Gold, Weight::ONE), (0, Qos::Silver, Weight::ONE), (1, Qos::Gold, Weight::ONE)];
    let mut desk = Desk::of(&flows);
    let (mut tokens, mut since) = ([0u64; 3], 0);
    for flow in [0, 2] {
        (0..2).for_each(|_| _ = desk.push(flow, 1, if flow == 0 { 10_000 } else { 100 }));
    }
    for _ in 0..100_000 {
        let popped = desk.pop().expect("two wait");
        let flow = desk.place(popped.flow);
        tokens[flow] += popped.charged.tokens();
        since = if flow == 0 { 0 } else { since + 1 };
        if flow != 1 {
            desk.push(flow, 1, popped.charged.tokens());
        }
        // In the first half of what gold was charged, so that it is over before gold's next turn.
        if since < 50 && desk.queue.waiting_of(desk.flows[1]) == 0 {
            desk.push(1, 1, 10);
        }
    }
    let own = tokens[0] + tokens[1];
    assert!(own <= tokens[2] + tokens[2] / 50, "{tokens:?}");
    assert!(tokens[1] > 10_000, "{tokens:?}");
}
