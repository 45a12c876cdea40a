//! The metrics: names, sums, and labels that no caller can make.

use std::time::Duration;

use atp_core::{Error, ErrorKind};
use prometheus::TextEncoder;
use tokio::time::timeout;

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn the_missions_names_are_sums_of_the_routers_own() {
    let far = Scripted::new(
        "far",
        vec![
            Play::Full(Duration::from_millis(150), "a".into(), Some(USAGE)),
            fail(Error::caller(ErrorKind::ProviderRejected, "bad")),
            Play::Hang,
        ],
    );
    let house = House::serving(&[&far]);
    read(house.ask(chat("m")).await.result.unwrap().body).await.unwrap();
    house.ask(chat("m")).await.result.unwrap_err();
    house.ask(chat("unknown")).await.result.unwrap_err();
    assert!(timeout(Duration::from_secs(3), house.ask(chat("m"))).await.is_err());
    for (name, sum) in [
        ("requests_total", 4.0),
        ("requests_success_total", 1.0),
        ("requests_error_total", 2.0),
        ("requests_cancelled_total", 1.0),
        ("rate_limiter_dropped_total", 0.0),
        ("error_code_provider_rejected_total", 1.0),
        ("error_code_model_not_found_total", 1.0),
        ("error_code_request_cancelled_total", 1.0),
        ("error_code_rate_limited_total", 0.0),
        ("model_calls_total", 3.0),
        ("request_latency_ms", 3.0),
    ] {
        assert_eq!(house.metric(name, &[]), sum, "{name}");
    }
    let text = TextEncoder::new().encode_to_string(&house.registry.gather()).unwrap();
    for line in [
        "request_latency_ms_bucket{le=\"50\"} 1",
        "request_latency_ms_bucket{le=\"200\"} 2",
        "request_latency_ms_bucket{le=\"2000\"} 2",
        "request_latency_ms_bucket{le=\"+Inf\"} 3",
        "request_latency_ms_sum 3150",
        "model_calls_total{model=\"m\"} 3",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    for kind in ErrorKind::ALL {
        assert!(text.contains(&format!("\nerror_code_{}_total ", kind.code())), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_text_of_a_caller_becomes_a_label() {
    let far = Scripted::new("far", vec![full("x")]);
    let mut any = model("any-*", &[&far]);
    any.aliases = vec!["other".into()];
    let house = House::new(&[&far], &snapshot(vec![any]));
    let series =
        |house: &House| -> usize { house.registry.gather().iter().map(|family| family.get_metric().len()).sum() };
    drop(house.ask(chat("any-first")).await);
    house.ask(chat("unknown-first")).await.result.unwrap_err();
    let before = series(&house);
    for index in 0..100 {
        drop(house.ask(chat(&format!("any-{index}"))).await);
        house.ask(chat(&format!("unknown-{index}"))).await.result.unwrap_err();
    }
    assert_eq!(series(&house), before);
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_counted_under_its_own_name() {
    let far = Scripted::new("far", vec![full("x")]);
    let house = House::serving(&[&far]);
    for operation in atp_core::Operation::ALL.into_iter().filter(|operation| operation.label() != "raw") {
        let mut exchange = chat("m");
        exchange.operation = operation;
        read(house.ask(exchange).await.result.unwrap().body).await.unwrap();
        let labels = [("operation", operation.label()), ("outcome", "served")];
        assert_eq!(house.metric("atp_requests_total", &labels), 1.0, "{operation:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_registration_is_refused() {
    let registry = prometheus::Registry::new();
    assert!(atp_pipeline::PipelineMetrics::register(&registry).is_ok());
    assert!(atp_pipeline::PipelineMetrics::register(&registry).is_err());
}
