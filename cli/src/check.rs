//! `atp check`: is this configuration right? Nothing is started and nobody is asked.

use atp_server::config::{Colour, Resolved};
use serde_json::json;

use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::term::{Brush, Style, Terminal, harmless};

/// What `atp check` ends with when the file is wrong.
const EXIT_WRONG: u8 = 2;

/// Validates and says what was found.
pub(crate) fn run(args: &CheckArgs, term: &Terminal) -> Result<(), Failure> {
    let config = args.config()?;
    let file = config.display().to_string();
    match (atp_server::load(Some(&config)), args.json) {
        (Ok(config), true) => term.write_json(&json!({
            "valid": true,
            "file": file,
            "providers": config.providers.len(),
            "models": config.models.len(),
            "routes": config.routes_json(),
            "keys": config.keys.len(),
            "warnings": config.warnings,
        })),
        (Ok(config), false) => {
            for warning in &config.warnings {
                term.note(&format!("{} {warning}", term.err.paint(Style::Yellow, "warning:")));
            }
            let routes = config.explain_routes().into_iter().map(|line| format!("  {}\n", harmless(&line)));
            term.write(&format!("{file}: {}\n{}", summary(&config), routes.collect::<String>()))
        }
        (Err(errors), true) => {
            term.write_json(&json!({"valid": false, "file": file, "errors": errors}))?;
            Err(Failure::silent(EXIT_WRONG))
        }
        (Err(errors), false) => {
            term.note(errors.pretty(colour(term.err)).trim_end());
            Err(Failure::silent(EXIT_WRONG))
        }
    }
}

/// The same choice in the words of the configuration.
pub(crate) fn colour(brush: Brush) -> Colour {
    match brush {
        Brush::Ansi => Colour::Ansi,
        Brush::Plain => Colour::Off,
    }
}

fn summary(config: &Resolved) -> String {
    let counts = [
        count(config.providers.len(), "provider"),
        count(config.models.len(), "model"),
        count(config.routes.len(), "route"),
        count(config.keys.len(), "key"),
        count(config.warnings.len(), "warning"),
    ];
    format!("valid: {}", counts.join(", "))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| count(number, "model")), ["0 models", "1 model", "2 models"]);
    }
}
