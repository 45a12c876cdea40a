//! Frames of fixed answers, to the character.

use std::time::Duration;

use tokio::time::Instant;

use super::render::Screen;
use super::sample::Sample;
use super::{on_screen, share};
use crate::term::Brush;

const WIDE: (usize, usize) = (usize::MAX, usize::MAX);

/// Two answers, two seconds apart.
fn samples() -> (Sample, Sample) {
    let at = Instant::now();
    let read = |text: &str, at| Sample::read(&serde_json::from_str(text).expect("json"), at).expect("a flow");
    let before = read(include_str!("golden/before.json"), at);
    (before, read(include_str!("golden/now.json"), at + Duration::from_secs(2)))
}

fn frame(window: (usize, usize), brush: Brush) -> String {
    let (before, now) = samples();
    Screen::of("http://127.0.0.1:7444", &now, Some(&before)).text(window, brush)
}

#[test]
fn a_frame_shows_lanes_queues_and_shares() {
    let text = frame(WIDE, Brush::Plain);
    assert_eq!(text, include_str!("golden/frame.txt"), "\n{text}");
}

#[test]
fn the_first_frame_has_no_rates_yet() {
    let (_, now) = samples();
    let text = Screen::of("http://127.0.0.1:7444", &now, None).text(WIDE, Brush::Plain);
    assert_eq!(text, include_str!("golden/first.txt"), "\n{text}");
}

#[test]
fn colours_change_no_letter() {
    let mut bare = String::new();
    let mut inside = false;
    for letter in frame(WIDE, Brush::Ansi).chars() {
        match letter {
            '\x1b' => inside = true,
            'm' if inside => inside = false,
            _ if inside => {}
            letter => bare.push(letter),
        }
    }
    assert!(frame(WIDE, Brush::Ansi).contains("\x1b[31mejected for 3.2 s\x1b[0m"));
    let trimmed: String = bare.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    assert_eq!(trimmed, frame(WIDE, Brush::Plain));
}

#[test]
fn a_small_window_cuts_lines_and_wraps_none() {
    let text = frame((40, 5), Brush::Plain);
    assert_eq!(text.lines().count(), 5);
    assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
    let whole = frame(WIDE, Brush::Plain);
    for (cut, whole) in text.lines().zip(whole.lines()) {
        assert!(whole.starts_with(cut), "{cut}");
    }
}

#[test]
fn a_frame_replaces_the_one_before_without_clearing_it_first() {
    assert_eq!(on_screen("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
}

#[test]
fn a_trouble_stands_below_the_head() {
    let (_, now) = samples();
    let mut screen = Screen::of("http://127.0.0.1:7444", &now, None);
    screen.trouble("no router answers\x1b[2J");
    let text = screen.text(WIDE, Brush::Plain);
    assert_eq!(text.lines().nth(1), Some("no router answers\u{fffd}[2J"));
}

#[test]
fn shares_are_of_those_who_use_the_model_now() {
    let (before, now) = samples();
    let rows = share::shares(&now.flow, Some((&before.flow, 2.0)));
    let shown: Vec<(&str, &str, Option<f64>, Option<f64>)> =
        rows.iter().map(|row| (row.tenant.as_str(), row.qos.as_str(), row.now, row.rate)).collect();
    assert_eq!(
        shown,
        [
            ("shop", "gold", Some(6000.0 / 8000.0), Some(3000.0)),
            ("office", "silver", Some(1100.0 / 8000.0), Some(550.0)),
            ("shop", "bronze", Some(900.0 / 8000.0), Some(450.0)),
            ("office", "silver", None, Some(0.0)),
        ]
    );
    let fair: f64 = rows.iter().filter(|row| row.model == "assistant").map(|row| row.fair).sum();
    assert!((fair - 1.0).abs() < 1e-9 && (rows[0].fair - 15.0 / 21.0).abs() < 1e-9);
}

#[test]
fn an_answer_of_something_else_is_no_sample() {
    for other in ["{}", "[]", r#"{"pools":[],"lanes":[]}"#, r#"{"pools":[],"lanes":[],"tenants":7}"#] {
        let told = serde_json::from_str(other).expect("json");
        assert!(Sample::read(&told, Instant::now()).is_none(), "{other}");
    }
}

#[test]
fn a_router_without_routes_and_budgets_shows_no_table_of_them() {
    let (before, _) = samples();
    let text = Screen::of("http://127.0.0.1:7444", &before, None).text(WIDE, Brush::Plain);
    for head in ["ROUTE", "BUDGET", "EXPERIMENT"] {
        assert!(!text.contains(head), "{text}");
    }
}

#[test]
fn a_budget_that_is_spent_is_full_by_its_fuller_half() {
    let (_, now) = samples();
    let text = Screen::of("http://127.0.0.1:7444", &now, None).text(WIDE, Brush::Plain);
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("tenant shop") || line.starts_with("key web")).collect();
    // The fullest stands first.
    assert!(rows[0].contains("tenant shop") && rows[0].contains("$0.20 of $1.00, 990 of 1k tokens"), "{text}");
    assert!(rows[1].contains("$1.25 of $5.00"), "{text}");
}
