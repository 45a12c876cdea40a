//! The table of refusals, the hints, and the bodies and headers that callers see.

use std::time::Duration;

use atp_core::{RateFact, Retry, Side};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

/// 2026-11-20 12:00:00 UTC.
const NOW: Duration = Duration::from_secs(1_795_176_000);

fn headers_of(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn refusal(status: u16, body: &'static str) -> Error {
    classify(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), Bytes::from_static(body.as_bytes()), NOW)
}

fn told(status: u16, pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
    classify(StatusCode::from_u16(status).unwrap(), &headers_of(pairs), Bytes::new(), NOW).retry_after()
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// What vLLM says where a model for embeddings is asked to chat.
const CHATS: &str = r#"{"object":"error","message":"The model does not support Chat Completions API","type":"BadRequestError","param":null,"code":400}"#;

#[test]
fn refusals_are_classified() {
    use ErrorKind::{ProviderAuth, ProviderFailed, ProviderGarbled, ProviderOverloaded, ProviderRejected};
    let error = r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#;
    let model = r#"{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
    let quota = r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let cases = [
        (400, error, ProviderRejected, Side::Caller, Retry::Never),
        (400, model, ProviderRejected, Side::Provider, Retry::Elsewhere),
        (401, error, ProviderAuth, Side::Provider, Retry::Elsewhere),
        (402, error, ProviderAuth, Side::Provider, Retry::Elsewhere),
        (403, error, ProviderAuth, Side::Provider, Retry::Elsewhere),
        (404, error, ProviderRejected, Side::Caller, Retry::Never),
        (404, model, ProviderRejected, Side::Provider, Retry::Elsewhere),
        (
            400,
            r#"{"error":"\"all-minilm\" does not support chat"}"#,
            ProviderRejected,
            Side::Provider,
            Retry::Elsewhere,
        ),
        (400, CHATS, ProviderRejected, Side::Provider, Retry::Elsewhere),
        (400, r#"{"error":"this model does not support images"}"#, ProviderRejected, Side::Caller, Retry::Never),
        (404, r#"{"error":"model 'x' not found"}"#, ProviderRejected, Side::Provider, Retry::Elsewhere),
        (404, "<html>nginx</html>", ProviderRejected, Side::Provider, Retry::Elsewhere),
        (404, r#"{"detail":"Not Found"}"#, ProviderRejected, Side::Provider, Retry::Elsewhere),
        (408, "", ProviderFailed, Side::Provider, Retry::Elsewhere),
        (409, error, ProviderFailed, Side::Provider, Retry::Elsewhere),
        (413, "", ProviderRejected, Side::Caller, Retry::Never),
        (422, r#"{"detail":[{"msg":"field required"}]}"#, ProviderRejected, Side::Caller, Retry::Never),
        (425, "", ProviderFailed, Side::Provider, Retry::Elsewhere),
        (429, error, ProviderOverloaded, Side::Provider, Retry::Elsewhere),
        (429, quota, ProviderOverloaded, Side::Provider, Retry::Elsewhere),
        (500, error, ProviderFailed, Side::Provider, Retry::Elsewhere),
        (502, "<html>", ProviderFailed, Side::Provider, Retry::Elsewhere),
        (503, "", ProviderOverloaded, Side::Provider, Retry::Elsewhere),
        (529, error, ProviderOverloaded, Side::Provider, Retry::Elsewhere),
        (302, "", ProviderGarbled, Side::Provider, Retry::Elsewhere),
    ];
    for (status, body, kind, side, retry) in cases {
        let error = refusal(status, body);
        assert_eq!((error.kind(), error.side(), error.retry()), (kind, side, retry), "{status} {body}");
        assert_eq!(error.provider_reply().unwrap().body, body);
    }
}

#[test]
fn hints_are_read_in_every_form() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(told(429, &[("retry-after", "7")]), seconds(7));
    assert_eq!(told(503, &[("retry-after", "Fri, 20 Nov 2026 12:00:30 GMT")]), seconds(30));
    assert_eq!(told(429, &[("retry-after", "Fri, 20 Nov 2026 11:00:00 GMT")]), seconds(0));
    assert_eq!(told(429, &[("retry-after-ms", "1500"), ("retry-after", "2")]), Some(Duration::from_millis(1500)));
    assert_eq!(told(429, &[("x-ratelimit-reset-requests", "6m0s")]), seconds(360));
    assert_eq!(told(429, &[("x-ratelimit-reset-tokens", "20ms")]), Some(Duration::from_millis(20)));
    assert_eq!(told(429, &[("x-ratelimit-reset-tokens", "1h1m26.5s")]), Some(Duration::from_millis(3_686_500)));
    assert_eq!(told(429, &[("anthropic-ratelimit-tokens-reset", "2026-11-20T12:01:00Z")]), seconds(60));
    assert_eq!(told(429, &[("x-ratelimit-reset", "1795176010000")]), seconds(10), "milliseconds since the epoch");
    assert_eq!(told(429, &[("x-ratelimit-reset", "1795176010")]), seconds(10), "seconds since the epoch");
    assert_eq!(told(429, &[("retry-after", "999999999")]), seconds(24 * 60 * 60));
    for nonsense in ["", "soon", "-1", "NaN", "1x", "5 m"] {
        let headers = [("retry-after", nonsense)]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let error = classify(StatusCode::TOO_MANY_REQUESTS, &headers.into_iter().collect(), Bytes::new(), NOW);
        assert_eq!(error.retry(), Retry::Elsewhere, "{nonsense}");
    }
}

#[test]
fn the_limit_that_is_used_up_decides() {
    let limits = [
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "12s"),
    ];
    assert_eq!(told(429, &limits), Some(Duration::from_secs(12)));
    assert_eq!(told(429, &limits[..2]), Some(Duration::from_secs(1)));
}

/// Limit, remaining, and milliseconds until the reset.
type Told = (Option<u64>, Option<u64>, Option<u64>);

/// What headers say of requests and of tokens, in answers and in refusals alike.
fn limits_of(pairs: &[(&'static str, &'static str)]) -> (Told, Told) {
    let headers = headers_of(pairs);
    let answer = passthrough_headers(&headers, &mut HeaderMap::new(), || NOW);
    let refusal = classify(StatusCode::TOO_MANY_REQUESTS, &headers, Bytes::new(), NOW);
    assert_eq!(refusal.provider_reply().unwrap().limits, answer);
    let told = |fact: RateFact| (fact.limit, fact.remaining, fact.reset.map(|reset| reset.as_millis() as u64));
    (told(answer.requests), told(answer.tokens))
}

#[test]
fn limits_are_read_under_each_name() {
    let none = (None, None, None);
    let openai = [
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", "1999984"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "1m0.5s"),
    ];
    let tokens = (Some(2_000_000), Some(1_999_984), Some(60_500));
    assert_eq!(limits_of(&openai), ((Some(10_000), Some(9_999), Some(6)), tokens));
    let openrouter =
        [("x-ratelimit-limit", "20"), ("x-ratelimit-remaining", "19"), ("x-ratelimit-reset", "1795176010000")];
    assert_eq!(limits_of(&openrouter), ((Some(20), Some(19), Some(10_000)), none));
    let together = [("x-ratelimit-limit", "10"), ("x-ratelimit-reset", "4"), ("x-tokenlimit-remaining", "77")];
    assert_eq!(limits_of(&together), ((Some(10), None, Some(4_000)), (None, Some(77), None)));
    let mistral = [
        ("x-ratelimit-limit-req-minute", "30"),
        ("x-ratelimit-remaining-req-minute", "29"),
        ("x-ratelimitbysize-limit-minute", "500000"),
        ("ratelimitbysize-reset", "28"),
    ];
    assert_eq!(limits_of(&mistral), ((Some(30), Some(29), None), (Some(500_000), None, None)));
    let policy = [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "59.0"), ("ratelimit-reset", "30")];
    assert_eq!(limits_of(&policy), ((Some(100), Some(59), Some(30_000)), none));
    assert_eq!(limits_of(&[("x-ratelimit-remaining-images", "3"), ("x-ratelimit-over-limit", "no")]), (none, none));
    assert_eq!(limits_of(&[("x-ratelimit-limit-tokens", "-1"), ("x-ratelimit-remaining-tokens", "")]), (none, none));
}

#[test]
fn of_several_limits_the_one_with_the_least_left_counts() {
    let anthropic = [
        ("anthropic-ratelimit-input-tokens-limit", "40000"),
        ("anthropic-ratelimit-input-tokens-remaining", "39000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-11-20T12:00:02Z"),
        ("anthropic-ratelimit-output-tokens-limit", "8000"),
        ("anthropic-ratelimit-output-tokens-remaining", "500"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-11-20T12:00:56Z"),
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-unified-status", "allowed"),
    ];
    assert_eq!(limits_of(&anthropic), ((Some(50), Some(49), None), (Some(40_000), Some(39_000), Some(2_000))));
    // A summary that repeats the output's limit is no limit of input and output.
    let summary = [
        ("anthropic-ratelimit-tokens-limit", "8000"),
        ("anthropic-ratelimit-tokens-remaining", "500"),
        ("anthropic-ratelimit-tokens-reset", "2026-11-20T12:00:56Z"),
    ];
    assert_eq!(limits_of(&[&anthropic[..], &summary].concat()), limits_of(&anthropic));
    assert_eq!(limits_of(&summary).1, (Some(8_000), Some(500), Some(56_000)), "alone it is one");
    // A refusal by it still tells how long to wait.
    let mut spent = anthropic[3..6].to_vec();
    spent[1].1 = "0";
    assert_eq!(told(429, &spent), Some(Duration::from_secs(56)));
    let cerebras = [
        ("x-ratelimit-limit-requests-day", "14400"),
        ("x-ratelimit-remaining-requests-day", "3"),
        ("x-ratelimit-reset-requests-day", "33011.5"),
        ("x-ratelimit-limit-requests-minute", "30"),
        ("x-ratelimit-remaining-requests-minute", "29"),
    ];
    assert_eq!(limits_of(&cerebras).0, (Some(14_400), Some(3), Some(33_011_500)));
}

#[test]
fn without_rate_limits_no_clock_is_read() {
    let from = headers_of(&[("content-type", "text/event-stream"), ("x-request-id", "r"), ("retry-after", "1")]);
    let limits = passthrough_headers(&from, &mut HeaderMap::new(), || panic!("nothing to reckon with"));
    assert!(limits.is_empty());
}

#[test]
fn only_overload_and_never_an_empty_account_waits() {
    assert_eq!(told(500, &[("retry-after", "7")]), None);
    let body =
        Bytes::from_static(br#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#);
    let error = classify(StatusCode::TOO_MANY_REQUESTS, &headers_of(&[("retry-after", "7")]), body, NOW);
    assert_eq!(error.retry(), Retry::Elsewhere);
}

#[test]
fn bodies_have_four_keys_and_a_code_that_is_text() {
    for kind in ErrorKind::ALL {
        let body = parsed(&body(&Error::new(kind, Side::Router, "what \"happened\"\n")));
        let error = body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "param", "type"]);
        assert_eq!(error["message"], "what \"happened\"\n");
        assert!(error["type"].is_string() && error["code"].is_string() && error["param"].is_null());
    }
    let error = Error::caller(ErrorKind::InvalidRequest, "m").with_param("model");
    assert_eq!(parsed(&body(&error))["error"]["param"], "model");
}

#[test]
fn a_providers_own_error_is_kept_to_the_letter() {
    let own = r#"{ "error": {"message":"m","type":"t","param":"p","code":"c","innererror":{"x":1}} }"#;
    assert_eq!(body(&refusal(400, own)), own);
    assert_eq!(status(&refusal(418, own)), 418);
}

#[test]
fn what_does_not_fit_is_put_right() {
    let error = |text| parsed(&body(&refusal(500, text)))["error"].clone();
    let llama = error(r#"{"error":{"code":500,"message":"m","type":"server_error","n_ctx":7}}"#);
    assert_eq!((&llama["code"], &llama["param"], &llama["n_ctx"]), (&"500".into(), &Value::Null, &7.into()));
    assert_eq!(error(r#"{"error":"text"}"#)["message"], "text");
    assert_eq!(
        error(r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#)["code"],
        "RESOURCE_EXHAUSTED"
    );
    assert_eq!(
        error(r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#)["type"],
        "BadRequestError"
    );
    assert_eq!(error(r#"{"code":"c","error":"xAI"}"#)["code"], "c");
    assert_eq!(error(r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#)["message"], "field required");
    for unreadable in ["<html>secret</html>", "", "null", "[]", "{}", "{\"error\":{}}"] {
        let error = error(unreadable);
        assert_eq!(error["message"], "the provider answered with status 500", "{unreadable}");
        assert_eq!(error["code"], "provider_failed");
    }
}

#[test]
fn a_refused_key_is_not_shown() {
    let error = refusal(
        401,
        r#"{"error":{"message":"Incorrect API key: sk-secret","type":"invalid_request_error","param":"sk-secret","code":"invalid_api_key"}}"#,
    );
    let shown = [body(&error), stream_event(&error), Bytes::from(error.public().to_owned())].concat();
    assert!(!String::from_utf8_lossy(&shown).contains("sk-secret"));
    assert_eq!(
        (status(&error), parsed(&body(&error))["error"]["code"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("invalid_api_key"))
    );
}

#[test]
fn every_kind_has_its_status() {
    let of = |kind| status(&Error::new(kind, Side::Caller, "x")).as_u16();
    let cases = [
        (ErrorKind::InvalidRequest, 400),
        (ErrorKind::Validation, 422),
        (ErrorKind::Authentication, 401),
        (ErrorKind::Permission, 403),
        (ErrorKind::PolicyDenied, 403),
        (ErrorKind::ModelNotFound, 404),
        (ErrorKind::MethodNotAllowed, 405),
        (ErrorKind::RequestTimeout, 408),
        (ErrorKind::PromptTooLarge, 413),
        (ErrorKind::RateLimited, 429),
        (ErrorKind::Backpressure, 429),
        (ErrorKind::Cancelled, 499),
        (ErrorKind::Internal, 500),
        (ErrorKind::ProviderUnreachable, 502),
        (ErrorKind::NoModelsAvailable, 503),
        (ErrorKind::TimeoutFirstByte, 504),
    ];
    for (kind, expected) in cases {
        assert_eq!(of(kind), expected, "{kind:?}");
    }
    assert_eq!(status(&Error::router(ErrorKind::Cancelled, "ending")), 503);
    assert!(ErrorKind::ALL.into_iter().all(|kind| of(kind) >= 400));
}

#[test]
fn an_event_is_one_line_whatever_the_provider_sent() {
    let event = stream_event(&refusal(
        500,
        "{\n \"error\": {\"message\":\"a\\nb\",\"type\":\"t\",\"param\":null,\"code\":null}\n}",
    ));
    let text = String::from_utf8(event.to_vec()).unwrap();
    let line = text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(parsed(line.as_bytes())["error"]["message"], "a\nb");
}

#[test]
fn headers_tell_when_to_come_back_or_not_to() {
    let out = |error: &Error| {
        let mut out = HeaderMap::new();
        headers(error, &mut out);
        out
    };
    let limited = Error::router(ErrorKind::RateLimited, "slow").with_retry(Retry::After(Duration::from_millis(1200)));
    let limited = out(&limited);
    assert_eq!(
        (&limited["retry-after"], &limited["retry-after-ms"]),
        (&HeaderValue::from(2), &HeaderValue::from(1200))
    );
    assert!(!limited.contains_key("x-should-retry"));
    assert_eq!(out(&Error::provider(ErrorKind::ProviderCut, "cut"))["x-should-retry"], "false");
    assert!(out(&Error::caller(ErrorKind::InvalidRequest, "bad")).is_empty());
    let provider =
        headers_of(&[("x-ratelimit-remaining-tokens", "0"), ("content-type", "text/html"), ("retry-after", "3")]);
    let refused = out(&classify(StatusCode::TOO_MANY_REQUESTS, &provider, Bytes::new(), NOW));
    assert_eq!(
        (&refused["x-ratelimit-remaining-tokens"], &refused["retry-after"]),
        (&HeaderValue::from(0), &HeaderValue::from(3))
    );
    assert!(!refused.contains_key("content-type") && !refused.contains_key("x-should-retry"));
}

#[test]
fn only_what_is_fit_passes() {
    let from = headers_of(&[
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "5"),
        ("openai-processing-ms", "12"),
        ("anthropic-ratelimit-tokens-reset", "x"),
        ("retry-after", "1"),
        ("x-request-id", "req_1"),
        ("set-cookie", "a=b"),
        ("server", "nginx"),
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("openai-organization", "org"),
    ]);
    let mut to = HeaderMap::new();
    let limits = passthrough_headers(&from, &mut to, || NOW);
    assert_eq!(limits.requests.limit, Some(5));
    let mut names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "anthropic-ratelimit-tokens-reset",
        "content-type",
        "openai-processing-ms",
        "retry-after",
        "x-atp-provider-request-id",
        "x-ratelimit-limit-requests",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_restart_is_an_event_of_its_own_name() {
    let error = Error::provider(ErrorKind::ProviderCut, "the connection broke");
    let event = restart_event(&error);
    assert_eq!(event, "event: atp.restart\ndata: {\"object\":\"atp.restart\",\"reason\":\"provider_cut\"}\n\n");
}

#[test]
fn a_spent_budget_is_a_quota_that_clients_do_not_try_again() {
    let spent = Error::caller(ErrorKind::BudgetDenied, "the budget is spent");
    let turns = spent.clone().with_retry(Retry::After(Duration::from_millis(90_500)));
    let own = spent.clone().with_param("max_cost_usd");
    for (error, param, pause) in [(&spent, None, None), (&turns, None, Some("91")), (&own, Some("max_cost_usd"), None)]
    {
        assert_eq!(status(error).as_u16(), 429);
        let told = &parsed(&body(error))["error"];
        assert_eq!(
            (told["type"].as_str(), told["code"].as_str()),
            (Some("insufficient_quota"), Some("insufficient_quota"))
        );
        assert_eq!((told["message"].as_str(), told["param"].as_str()), (Some("the budget is spent"), param));
        let mut out = HeaderMap::new();
        headers(error, &mut out);
        assert_eq!(out["x-should-retry"], "false");
        assert_eq!(out.get("retry-after").map(|value| value.to_str().unwrap()), pause);
    }
    // What is only full, or too fast, is no quota.
    for kind in [ErrorKind::Backpressure, ErrorKind::RateLimited] {
        let error = Error::router(kind, "full").with_retry(Retry::After(Duration::from_secs(1)));
        let mut out = HeaderMap::new();
        headers(&error, &mut out);
        assert!(out.get("x-should-retry").is_none() && parsed(&body(&error))["error"]["type"] == "rate_limit_error");
    }
}
