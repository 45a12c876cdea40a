//! The walk of a plan: failures, races, answers that are not trusted, and callers who leave.

use atp_core::port::Outcome;
use atp_core::{Error, ErrorKind, MicroUsd, PlanEvent, Reply, Reused};
use atp_pipeline::snapshot::CacheRules;
use tokio::time::{Instant, sleep, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// An error that another model may do better with and that the same target is not asked again after.
fn silent() -> Error {
    Error::provider(ErrorKind::TimeoutFirstByte, "silent")
}

fn after(seconds: u64, text: &'static str) -> Play {
    Play::Full(SECOND * seconds as u32, text.into(), Some(USAGE))
}

fn told(reply: &Reply) -> (Option<&str>, Vec<(String, &'static str)>) {
    let events = reply.notes.events.iter().map(|event| match event {
        PlanEvent::Escalate { model, reason } => (model.to_string(), *reason),
        PlanEvent::ChallengerSelected { model } => (model.to_string(), "challenger"),
    });
    (reply.notes.chosen.as_deref(), events.collect())
}

/// What [`USAGE`] costs at the three models.
const COSTS: [u64; 3] = [COST, 2 * COST, 4 * COST];
/// What a prompt of ten tokens costs there.
const PROMPTS: [u64; 3] = [10, 20, 40];

#[tokio::test(start_paused = true)]
async fn where_the_first_fails_the_next_one_answers_and_there_is_one_row() {
    let three = Three::new([vec![full("low")], vec![fail(silent())], vec![full("high")]]);
    let reply = three.house.ask(chat("auto")).await;
    assert_eq!(told(&reply), (Some("best"), vec![("best".to_owned(), "failure")]));
    assert_eq!(reply.notes.attempts, 2);
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "high");
    let row = three.house.row();
    assert_eq!((row.outcome, row.attempts, row.chosen.as_deref()), (Outcome::Served, 2, Some("best")));
    assert_eq!((row.cost, row.usage), (Some(MicroUsd(COSTS[2])), Some(USAGE)));
    assert_eq!(three.house.metric("escalations_total", &[("reason", "failure")]), 1.0);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn where_all_fail_the_error_is_told_once() {
    let three = Three::new([vec![fail(silent())], vec![fail(silent())], vec![fail(silent())]]);
    let reply = three.house.ask(chat("auto:fast")).await;
    assert_eq!(reply.notes.attempts, 3);
    assert_eq!(reply.result.unwrap_err().kind(), ErrorKind::TimeoutFirstByte);
    let row = three.house.row();
    assert_eq!((row.outcome, row.attempts, row.cost), (Outcome::Failed, 3, None));
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn what_is_the_callers_fault_is_no_other_models_business() {
    let wrong = Error::caller(ErrorKind::ProviderRejected, "no such parameter");
    let three = Three::new([vec![full("low")], vec![fail(wrong)], vec![full("high")]]);
    let reply = three.house.ask(chat("auto")).await;
    assert_eq!(reply.result.unwrap_err().kind(), ErrorKind::ProviderRejected);
    assert_eq!(three.calls(), [0, 1, 0]);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn after_six_tenths_of_the_time_the_next_one_is_asked_beside_and_the_first_to_begin_wins() {
    let began = Instant::now();
    let three = Three::new([vec![full("low")], vec![Play::Hang], vec![after(1, "high")]]);
    let reply = three.house.ask(within(10 * SECOND, chat("auto"))).await;
    assert_eq!(began.elapsed(), 7 * SECOND);
    assert_eq!(told(&reply), (Some("best"), vec![("best".to_owned(), "latency")]));
    assert_eq!(three.far[1].working(), 0, "the slower one is cancelled at once");
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "high");
    let row = three.house.row();
    // Its provider has worked for seven seconds, at ten tokens each as long as nothing was timed.
    let made = 70 * 2 * PRICE.output / 1_000_000;
    assert_eq!((row.attempts, row.cost), (2, Some(MicroUsd(COSTS[2] + PROMPTS[1] + made))));
    assert_eq!(row.overhead_us, 0, "all that time was spent on providers");
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn the_first_may_win_after_all() {
    let three = Three::new([vec![full("low")], vec![after(8, "middle")], vec![after(5, "high")]]);
    let reply = three.house.ask(within(10 * SECOND, chat("auto"))).await;
    assert_eq!(told(&reply), (Some("solid"), vec![("best".to_owned(), "latency")]));
    assert_eq!(three.far[2].working(), 0);
    assert_eq!(reply.notes.attempts, 2, "the loser's try counts too");
    drop(reply);
    let row = three.house.row();
    assert_eq!((row.chosen.as_deref(), row.outcome), (Some("solid"), Outcome::Cancelled));
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_begun_is_not_late() {
    let beats = vec![content("x"), Beat::Wait(30 * SECOND), content("y"), Beat::Usage(USAGE)];
    let three = Three::new([vec![full("low")], vec![Play::Stream(beats)], vec![full("high")]]);
    let reply = three.house.ask(within(10 * SECOND, streamed("auto"))).await;
    assert_eq!(told(&reply), (Some("solid"), vec![]));
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "xy");
    assert_eq!(three.calls(), [0, 1, 0]);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_run_one_may_fail_and_the_other_goes_on() {
    let slow_failure = || Play::Fail(8 * SECOND, silent());
    let three = Three::new([vec![full("low")], vec![slow_failure()], vec![after(6, "high")]]);
    let reply = three.house.ask(within(10 * SECOND, chat("auto"))).await;
    assert_eq!(told(&reply).0, Some("best"));
    drop(read(reply.result.unwrap().body).await.unwrap());
    assert_eq!(three.house.row().attempts, 2);
    three.house.closed(1);
    let three = Three::new([vec![full("low")], vec![after(20, "middle")], vec![Play::Fail(SECOND, silent())]]);
    let reply = three.house.ask(within(10 * SECOND, chat("auto"))).await;
    assert_eq!(told(&reply).0, Some("solid"));
    drop(read(reply.result.unwrap().body).await.unwrap());
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn at_four_times_the_latency_all_of_it_ends() {
    let began = Instant::now();
    let three = Three::new([vec![Play::Hang], vec![Play::Hang], vec![Play::Hang]]);
    let asked = timeout(60 * SECOND, three.house.ask(within(SECOND, chat("auto:fast")))).await;
    // The hand-played providers do not look at their timers, which the adapters own; they are told them.
    assert!(asked.is_err());
    for far in &three.far[..2] {
        let seen = far.seen.lock().unwrap();
        assert_eq!(seen[0].at.duration_since(began) + seen[0].timeouts.total, 4 * SECOND, "all end together");
    }
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_form_costs_and_the_next_one_goes_out() {
    for (words, first, reason) in [
        ("json", "no json", "format"),
        ("json", "{\"cut\":", "format"),
        ("", "sorry, no", "refusal"),
        ("", "perhaps", "low_confidence"),
    ] {
        let three = Three::new([vec![full("low")], vec![full(first)], vec![full("{}")]]);
        let reply = three.house.ask(saying(words, chat("auto"))).await;
        assert_eq!(told(&reply), (Some("best"), vec![("best".to_owned(), reason)]), "{first}");
        assert_eq!(reply.notes.cost, Some(MicroUsd(COSTS[1] + COSTS[2])));
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "{}");
        let row = three.house.row();
        assert_eq!((row.attempts, row.cost), (2, Some(MicroUsd(COSTS[1] + COSTS[2]))));
        assert_eq!(row.usage.map(|usage| usage.total()), Some(2 * USAGE.total()));
        assert_eq!(three.house.metric("atp_cost_microusd_total", &[]), (COSTS[1] + COSTS[2]) as f64);
        three.house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn that_is_done_once() {
    let three = Three::new([vec![full("sorry")], vec![full("sorry")], vec![full("high")]]);
    let reply = three.house.ask(chat("auto:fast")).await;
    assert_eq!(told(&reply), (Some("solid"), vec![("solid".to_owned(), "refusal")]));
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "sorry");
    assert_eq!(three.calls(), [1, 1, 0]);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn where_the_next_one_comes_to_nothing_the_first_answer_goes_out_after_all() {
    let three = Three::new([vec![full("low")], vec![full("sorry")], vec![fail(silent())]]);
    let reply = three.house.ask(chat("auto")).await;
    assert_eq!(told(&reply).0, Some("solid"));
    assert_eq!((reply.notes.attempts, reply.notes.cost), (2, Some(MicroUsd(COSTS[1]))));
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "sorry");
    let row = three.house.row();
    assert_eq!((row.attempts, row.cost, row.usage), (2, Some(MicroUsd(COSTS[1])), Some(USAGE)));
    assert_eq!((row.outcome, row.chosen.as_deref(), &*row.provider), (Outcome::Served, Some("solid"), "middle"));
    assert_eq!(three.house.metric("atp_cost_microusd_total", &[]), COSTS[1] as f64);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn switched_off_every_answer_goes_out() {
    let three = Three::with([vec![full("low")], vec![full("sorry")], vec![full("high")]], |snapshot| {
        snapshot.routes[0].escalation.enabled = false;
    });
    let reply = three.house.ask(chat("auto")).await;
    assert_eq!(told(&reply), (Some("solid"), vec![]));
    drop(reply);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_out_unjudged_unless_streams_are_held() {
    let refuses = || Play::Stream(vec![content("sor"), Beat::Wait(SECOND), content("ry"), Beat::Usage(USAGE)]);
    for (hold, heard, cost) in [(false, "sorry", COSTS[1]), (true, "role;hello", COSTS[1] + COSTS[2])] {
        let three = Three::with([vec![full("low")], vec![refuses()], vec![stream()]], |snapshot| {
            snapshot.routes[0].escalation.hold_streams = hold;
        });
        let reply = three.house.ask(streamed("auto")).await;
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), heard);
        assert_eq!(three.house.row().cost, Some(MicroUsd(cost)));
        three.house.closed(1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_stream_that_breaks_off_leaves_no_trace() {
    let breaks = Play::Stream(vec![content("x"), Beat::Wait(SECOND), Beat::Break(silent())]);
    let three = Three::with([vec![full("low")], vec![breaks], vec![stream()]], |snapshot| {
        snapshot.routes[0].escalation.hold_streams = true;
    });
    let reply = three.house.ask(streamed("auto")).await;
    assert_eq!(told(&reply), (Some("best"), vec![("best".to_owned(), "failure")]));
    assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "role;hello");
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn a_full_model_is_left_for_the_next_one() {
    let three = Three::with([vec![full("low")], vec![Play::Hang], vec![full("high")]], |snapshot| {
        snapshot.models[1] = with_slots(1, snapshot.models[1].clone());
        snapshot.models[1].queue.max_waiting = 0;
    });
    let mut first = Box::pin(three.house.ask(chat("auto")));
    still_waits(&mut first);
    let second = three.house.ask(chat("auto")).await;
    assert_eq!(told(&second), (Some("best"), vec![]), "it was seen before that there is no room");
    drop((first, second));
    three.house.closed(2);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_refuses_is_left_for_the_next_one() {
    let three = Three::with([vec![full("low")], vec![Play::Hang], vec![after(1, "high")]], |snapshot| {
        for model in &mut snapshot.models[1..] {
            *model = with_slots(1, model.clone());
        }
        snapshot.models[1].queue.max_waiting = 0;
    });
    let mut first = Box::pin(three.house.ask(chat("auto")));
    let mut second = Box::pin(three.house.ask(chat("auto")));
    still_waits(&mut first);
    still_waits(&mut second);
    let second = async {
        let reply = second.await;
        assert_eq!(told(&reply), (Some("best"), vec![]));
    };
    let ((), third) = tokio::join!(second, three.house.ask(chat("auto")));
    assert_eq!(told(&third), (Some("best"), vec![("best".to_owned(), "failure")]), "it waited its turn there");
    drop((first, third));
    three.house.closed(3);
}

#[tokio::test(start_paused = true)]
async fn kept_answers_are_used_and_made_by_way_of_the_model_that_was_chosen() {
    let rules = CacheRules { ttl: Duration::from_secs(60), max_bytes: 1 << 20, max_entry: 1 << 16 };
    let finished = || Play::Stream(vec![content("hello"), Beat::Usage(USAGE), Beat::Finish(atp_core::Finish::Stop)]);
    let three = Three::with([vec![full("low")], vec![finished()], vec![full("high")]], |snapshot| {
        (snapshot.models[1].cache, snapshot.models[1].coalesce) = (Some(rules), true);
    });
    for reused in [None, Some(Reused::Hit)] {
        let mut exchange = streamed("auto");
        exchange.fields.greedy = true;
        let reply = three.house.ask(exchange).await;
        assert_eq!((reply.notes.reused, told(&reply).0), (reused, Some("solid")));
        assert_eq!(read(reply.result.unwrap().body).await.unwrap(), "hello");
    }
    assert_eq!(three.calls(), [0, 1, 0]);
    let costs: Vec<_> = three.house.rows().iter().map(|row| row.cost).collect();
    assert_eq!(costs, [Some(MicroUsd(COSTS[1])), Some(MicroUsd(0))]);
    three.house.closed(2);
}

/// Leaves at every half second, in each of these plays of the three models.
#[tokio::test(start_paused = true)]
async fn who_leaves_takes_everything_with_him_wherever_he_was() {
    let half = SECOND / 2;
    let slow = |text| Play::Stream(vec![Beat::Wait(2 * SECOND), content(text), Beat::Wait(SECOND), content("end")]);
    let cases: Vec<[Play; 3]> = vec![
        [Play::Fail(SECOND, silent()), Play::Fail(SECOND, silent()), slow("x")],
        [Play::Hang, slow("x"), slow("y")],
        [slow("x"), slow("y"), slow("z")],
        [after(2, "sorry"), after(2, "sorry"), after(2, "fine")],
        [after(2, "sorry"), Play::Fail(2 * SECOND, silent()), after(2, "fine")],
    ];
    for (number, case) in cases.into_iter().enumerate() {
        for (name, stream) in [("auto:fast", true), ("auto:fast", false)] {
            for step in 0..16 {
                let three = Three::with(case.clone().map(|play| vec![play]), |snapshot| {
                    snapshot.routes[0].escalation.hold_streams = number % 2 == 0;
                });
                let exchange = within(2 * SECOND, Exchange { stream, ..chat(name) });
                let asked = async {
                    let Ok(answer) = three.house.ask(exchange).await.result else { return };
                    drop(read(answer.body).await);
                };
                drop(timeout(half * step, asked).await);
                sleep(SECOND).await;
                three.house.closed(1);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_a_second_answer_is_awaited_pays_for_the_first() {
    let three = Three::new([vec![full("low")], vec![full("sorry")], vec![Play::Hang]]);
    drop(timeout(SECOND, three.house.ask(chat("auto"))).await);
    let row = three.house.row();
    assert_eq!((row.outcome, row.usage), (Outcome::Cancelled, Some(USAGE)));
    assert_eq!(three.house.metric("atp_cost_microusd_total", &[]), COSTS[1] as f64);
    three.house.closed(1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_the_queue_gives_back_his_place() {
    let three = Three::with([vec![Play::Hang], vec![Play::Hang], vec![Play::Hang]], |snapshot| {
        for model in &mut snapshot.models {
            *model = with_slots(1, model.clone());
        }
    });
    let mut asked: Vec<_> = (0..5).map(|_| Box::pin(three.house.ask(chat("auto:fast")))).collect();
    asked.iter_mut().for_each(still_waits);
    let waiting: usize = three.house.pipeline.flow().pools.iter().map(|pool| pool.waiting[1]).sum();
    assert_eq!((three.calls(), waiting), ([1, 1, 1], 2));
    drop(asked);
    three.house.closed(5);
}
