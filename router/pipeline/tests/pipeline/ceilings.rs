//! What one exchange may cost, however many models it asks.

use std::time::Duration;

use atp_core::{ErrorKind, Exchange, Fields, MicroUsd, Usage};
use atp_pipeline::snapshot::{Ensemble, EnsembleMode, Manner};

use crate::kit::*;
use crate::plan::{Three, for_at_most};

const SECOND: Duration = Duration::from_secs(1);

/// An answer in one piece, after so long, of so many tokens of output.
fn long(wait: Duration, text: &'static str, output: u64) -> Play {
    Play::Full(wait, text.into(), Some(Usage { input: 10, output, ..Usage::default() }))
}

/// A panel of the three models, of which the first two agree.
fn panel() -> Three {
    let plays = [vec![long(SECOND, "yes", 200)], vec![long(SECOND, "yes", 200)], vec![long(SECOND, "no", 200)]];
    Three::with(plays, |snapshot| {
        let ensemble = Ensemble { mode: EnsembleMode::Quorum, size: 3, agree: 0.85, patience: 5 * SECOND };
        snapshot.routes[0].manner = Manner::Several(ensemble);
        snapshot.models.iter_mut().for_each(|model| model.price = Some(PRICE));
    })
}

fn at_most(most: u64, exchange: Exchange) -> Exchange {
    Exchange { fields: Fields { max_tokens: Some(200), ..Fields::default() }, ..for_at_most(most, exchange) }
}

#[tokio::test(start_paused = true)]
async fn a_panel_divides_the_ceiling_of_its_exchange() {
    // Each member may cost 410: ten tokens in, two hundred out at twice the price.
    let three = panel();
    let reply = three.house.ask(at_most(3 * 410, chat("auto:fast"))).await;
    eprintln!(
        "calls {:?} {:?}",
        three.calls(),
        reply.notes.plan.as_ref().map(|p| p
            .candidates
            .iter()
            .map(|c| (c.dropped, c.forecast.guarded))
            .collect::<Vec<_>>())
    );
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "yes");
    assert_eq!(three.calls(), [1; 3]);
    assert!(three.house.row().cost.unwrap() <= MicroUsd(3 * 410));
    // A ceiling for two asks two.
    let three = panel();
    let reply = three.house.ask(at_most(2 * 410, chat("auto:fast"))).await;
    read(reply.result.unwrap().body).await.unwrap();
    let asked: usize = three.calls().iter().sum();
    assert_eq!(asked, 2, "what is left after two pays for no third");
    let cost = three.house.row().cost.unwrap();
    assert!(cost <= MicroUsd(2 * 410), "{cost}");
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_is_paid_for_by_what_the_first_has_left() {
    let plays = || [vec![full("low")], vec![long(Duration::ZERO, "sorry", 200)], vec![full("high")]];
    // The first may cost 820, and does; the second may cost 1,640.
    for (most, chosen, costs) in [(820 + 1_640, "best", 820 + 80), (820 + 1_639, "solid", 820)] {
        let three = Three::new(plays());
        let reply = three.house.ask(at_most(most, chat("auto"))).await;
        assert_eq!(reply.notes.chosen.as_deref(), Some(chosen), "{most}");
        read(reply.result.unwrap().body).await.unwrap();
        assert_eq!(three.house.row().cost, Some(MicroUsd(costs)));
        three.house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_without_a_price_keeps_no_ceiling_whatever_the_others_cost() {
    let far = Scripted::new("far", vec![full("hello")]);
    let mut model = model("m", &[&far, &far]);
    model.price = None;
    model.targets[0].price = Some(PRICE);
    let house = House::new(&[&far], &snapshot(vec![model]));
    let error = house.ask(at_most(1_000, chat("m"))).await.result.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::BudgetDenied, Some("max_cost_usd")));
    assert!(error.public().contains("has no price"), "{error}");
    assert_eq!(far.calls(), 0);
    house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece_that_tells_no_usage_is_counted_by_its_length() {
    let far = Scripted::new("far", vec![Play::Full(Duration::ZERO, "hello, world".into(), None)]);
    let house = House::new(&[&far], &snapshot(vec![model("m", &[&far])]));
    read(house.ask(at_most(1_000, chat("m"))).await.result.unwrap().body).await.unwrap();
    let row = house.row();
    let usage = Usage { input: 1, output: 3, ..Usage::default() };
    assert_eq!((row.metered, row.usage, row.cost), (true, Some(usage), Some(MicroUsd(7))));
    house.closed(1);
}
