//! Problems for people: the line, and a caret below what is wrong.

use std::fmt::Write as _;

use super::{Colour, ConfigError};

/// Wider lines are cut around the caret.
const WIDTH: usize = 110;

struct Paint {
    red: &'static str,
    blue: &'static str,
    bold: &'static str,
    off: &'static str,
}

const ANSI: Paint = Paint { red: "\x1b[1;31m", blue: "\x1b[1;34m", bold: "\x1b[1m", off: "\x1b[0m" };
const PLAIN: Paint = Paint { red: "", blue: "", bold: "", off: "" };

/// Every problem, then their number.
pub(super) fn pretty(errors: &[ConfigError], colour: Colour) -> String {
    let paint = match colour {
        Colour::Ansi => &ANSI,
        Colour::Off => &PLAIN,
    };
    let mut out = String::new();
    for error in errors {
        // Writing to a `String` cannot fail.
        let _ = one(&mut out, error, paint);
    }
    let _ = match errors.len() {
        1 => writeln!(out, "1 error"),
        count => writeln!(out, "{count} errors"),
    };
    out
}

fn one(out: &mut String, error: &ConfigError, paint: &Paint) -> std::fmt::Result {
    let Paint { red, blue, bold, off } = paint;
    writeln!(out, "{red}error{off}{bold}: {}{off}", error.message)?;
    match (error.line, error.column, &error.text) {
        (Some(line), Some(column), Some(text)) => {
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            writeln!(out, "{margin}{blue}-->{off} {}:{line}:{column}", error.source)?;
            let room = text.chars().count().saturating_sub(error.before).max(1);
            writeln!(out, "{margin} {blue}|{off}")?;
            writeln!(out, "{blue}{number} |{off} {text}")?;
            let marks = "^".repeat(error.width.min(room));
            writeln!(out, "{margin} {blue}|{off} {}{red}{marks}{off}", " ".repeat(error.before))?;
        }
        (Some(line), Some(column), None) => writeln!(out, " {blue}-->{off} {}:{line}:{column}", error.source)?,
        _ => writeln!(out, " {blue}-->{off} {}", error.source)?,
    }
    let nearest = error.nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"));
    let field = Some(&error.field).filter(|field| !field.is_empty());
    let notes = [
        ("field", field),
        ("found", error.found.as_ref()),
        ("allowed", error.allowed.as_ref()),
        ("help", nearest.as_ref()),
    ];
    for (name, text) in notes {
        if let Some(text) = text {
            writeln!(out, "  {blue}={off} {name}: {text}")?;
        }
    }
    out.push('\n');
    Ok(())
}

/// The part of a line around a column, and the caret's place in it. Tabs become single spaces, so that the caret
/// stands where it should.
pub(super) fn cut(text: &str, column: usize) -> (String, usize) {
    let at = column.saturating_sub(1);
    let total = text.chars().count();
    let visible = |letter: char| if letter.is_control() { ' ' } else { letter };
    if total <= WIDTH {
        return (text.chars().map(visible).collect(), at.min(total));
    }
    let from = at.saturating_sub(WIDTH / 2).min(total - WIDTH);
    (text.chars().skip(from).take(WIDTH).map(visible).collect(), at.saturating_sub(from).min(WIDTH))
}
