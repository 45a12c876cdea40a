//! Claims about the whole control, in closed loops.

use super::sim::*;
use super::*;

fn show(name: &str, sim: &Sim, capacity: f64, spans: &[(usize, usize, f64)]) {
    for (from, to, factor) in spans {
        println!(
            "{name} {from}..{to}: goodput {:.3} tokens {:.0} refused {:.4} behind {:.1} limits {:?}",
            sim.goodput(*from, *to) / (capacity * factor),
            sim.tokens(*from, *to),
            sim.refused(*from, *to),
            sim.behind(*from, *to),
            sim.seconds[*from..*to].iter().step_by(((to - from) / 10).max(1)).map(|s| s.limit).collect::<Vec<_>>()
        );
    }
    println!(
        "   cuts {} queueing {} view {:?}",
        sim.control.view(sim_now(sim)).cuts,
        sim.control.view(sim_now(sim)).queueing_cuts,
        sim.control.blame
    );
}
fn sim_now(sim: &Sim) -> Instant {
    sim.control.origin() + Duration::from_nanos(sim.now)
}

#[test]
fn explore_slots() {
    for (slots, rest, per) in [(4, 5.0, 0.0), (16, 5.0, 0.0), (16, 5.0, 0.001), (200, 5.0, 0.0), (200, 20.0, 0.0005)] {
        let mut sim = Sim::new(ControlRules::default(), Behind::Slots(slots), Demand::Endless, 7);
        sim.rest.mean = rest;
        sim.per_input_token = per;
        let capacity = slots as f64 / (rest + 0.3 + per * 500.0);
        sim.run(150);
        sim.behind = Behind::Slots(slots / 2);
        sim.run(250);
        sim.behind = Behind::Slots(slots);
        sim.run(400);
        show(
            &format!("slots {slots} {rest} {per}"),
            &sim,
            capacity,
            &[(30, 150, 1.0), (150, 180, 0.5), (180, 250, 0.5), (250, 280, 1.0), (280, 400, 1.0)],
        );
    }
}

#[test]
fn explore_bucket() {
    for (rate, depth, unit, pause) in [
        (20.0, 20.0, Unit::Request, None),
        (20.0, 2.0, Unit::Request, None),
        (20.0, 200.0, Unit::Request, None),
        (100.0, 100.0, Unit::Request, None),
        (100.0, 6000.0, Unit::Request, None),
        (20.0, 40.0, Unit::Request, Some(1)),
        (10.0, 10.0, Unit::Request, None),
        (50.0, 50.0 * 800.0, Unit::Token, None),
        (50.0, 500.0 * 800.0, Unit::Token, None),
    ] {
        let scale = if unit == Unit::Token { 800.0 } else { 1.0 };
        let make = |factor: f64| {
            let mut b = bucket(rate * factor * scale, depth * factor, unit);
            if let Behind::Bucket { retry_after, level, .. } = &mut b {
                *retry_after = pause.map(Duration::from_secs);
                if factor != 1.0 {
                    *level = 0.0;
                }
            }
            b
        };
        let mut sim = Sim::new(ControlRules::default(), make(1.0), Demand::Endless, 7);
        sim.run(150);
        let set = |sim: &mut Sim, factor: f64| {
            let mut b = make(factor);
            if let Behind::Bucket { at, level, .. } = &mut b {
                *at = sim.now;
                *level = 0.0;
            }
            sim.behind = b;
        };
        set(&mut sim, 0.5);
        sim.run(250);
        set(&mut sim, 1.0);
        sim.run(400);
        show(
            &format!("bucket {rate} {depth} {unit:?} {pause:?}"),
            &sim,
            rate,
            &[(30, 150, 1.0), (150, 180, 0.5), (180, 250, 0.5), (250, 280, 1.0), (280, 400, 1.0)],
        );
    }
}

#[test]
fn explore_refusing() {
    for (slots, rest) in [(16, 5.0), (100, 5.0), (100, 1.0)] {
        let mut sim = Sim::new(ControlRules::default(), Behind::Refusing(slots), Demand::Endless, 7);
        sim.rest.mean = rest;
        sim.run(150);
        sim.behind = Behind::Refusing(slots / 2);
        sim.run(250);
        sim.behind = Behind::Refusing(slots);
        sim.run(400);
        show(
            &format!("refusing {slots} {rest}"),
            &sim,
            slots as f64 / (rest + 0.3),
            &[(30, 150, 1.0), (150, 180, 0.5), (180, 250, 0.5), (250, 280, 1.0), (280, 400, 1.0)],
        );
    }
}
