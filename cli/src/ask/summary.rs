//! The line below an answer: who gave it, and what it took.

use super::human;
use super::reply::Reply;

/// One line; what is not known says so, or is left out where that is plain.
pub(super) fn line(reply: &Reply) -> String {
    let mut parts = vec![model(reply)];
    parts.extend(reply.provider.clone());
    parts.push(match reply.usage {
        Some(usage) => format!("{} tokens in, {} out", usage.input, usage.output),
        None => "tokens unknown".to_owned(),
    });
    parts.push(reply.cost.map_or_else(|| "cost unknown".to_owned(), |cost| format!("${}", dollars(cost))));
    parts.extend(reply.first_token.map(|first| format!("first token after {}", human(first))));
    parts.push(format!("{} in all", human(reply.total)));
    parts.extend(reply.attempts.filter(|attempts| *attempts > 1).map(|attempts| format!("{attempts} attempts")));
    parts.extend(match reply.finish.as_deref() {
        Some("length") => Some("cut at its token limit".to_owned()),
        Some("content_filter") => Some("ended by a content filter".to_owned()),
        Some("tool_calls") => Some("it wants to call a tool".to_owned()),
        _ => None,
    });
    parts.join(" · ")
}

/// The model; behind a name that the router chose for, who it chose.
fn model(reply: &Reply) -> String {
    match (&reply.asked, &reply.chosen) {
        (Some(asked), Some(chosen)) => format!("{asked} chose {chosen}"),
        _ => reply.model.clone(),
    }
}

/// Six decimals, as micro-dollars have, without the zeros behind the cents.
fn dollars(cost: f64) -> String {
    let text = format!("{cost:.6}");
    let shortest = text.len() - 4;
    let trimmed = text.trim_end_matches('0').len().max(shortest);
    text.get(..trimmed).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_line_tells_all_that_is_known() {
        let mut reply = Reply {
            model: "sim-fast".to_owned(),
            provider: Some("simulated".to_owned()),
            usage: serde_json::from_str(r#"{"prompt_tokens":12,"completion_tokens":45}"#).ok(),
            cost: Some(0.000_012),
            first_token: Some(Duration::from_millis(35)),
            total: Duration::from_millis(1240),
            attempts: Some(1),
            finish: Some("stop".to_owned()),
            ..Reply::default()
        };
        assert_eq!(
            line(&reply),
            "sim-fast · simulated · 12 tokens in, 45 out · $0.000012 · first token after 35 ms · 1.24 s in all"
        );
        reply = Reply { attempts: Some(2), finish: Some("length".to_owned()), ..reply };
        assert!(line(&reply).ends_with("1.24 s in all · 2 attempts · cut at its token limit"));
    }

    #[test]
    fn who_was_chosen_stands_behind_what_was_asked_for() {
        let headers = |name: &str| match name {
            "x-atp-chosen-model" => Some("small"),
            "x-atp-model" => Some("small-2026"),
            "x-atp-plan" => Some("req_1"),
            _ => None,
        };
        let reply = Reply::new("auto", headers);
        assert!(line(&reply).starts_with("auto chose small · tokens unknown"), "{}", line(&reply));
        let told = reply.json();
        assert_eq!((told["chosen_model"].as_str(), told["plan"].as_str()), (Some("small"), Some("req_1")));
        assert!(line(&Reply::new("m", |_| None)).starts_with("m · "));
    }

    #[test]
    fn what_is_not_known_says_so() {
        let reply = Reply { model: "m".to_owned(), total: Duration::from_secs(75), ..Reply::default() };
        assert_eq!(line(&reply), "m · tokens unknown · cost unknown · 1 min 15 s in all");
    }

    #[test]
    fn money_has_cents_and_micro_dollars() {
        let texts = [0.0, 1.5, 0.000_012, 0.1234, 12.0].map(dollars);
        assert_eq!(texts, ["0.00", "1.50", "0.000012", "0.1234", "12.00"]);
    }
}
