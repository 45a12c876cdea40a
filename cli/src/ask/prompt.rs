//! Where the question comes from.

use std::io::{self, IsTerminal as _, Read as _};

use crate::failure::Failure;

/// The words of the command line, or standard input.
pub(crate) fn read(words: &[String]) -> Result<String, Failure> {
    match words {
        [dash] if dash == "-" => piped(),
        [] if !io::stdin().is_terminal() => piped(),
        [] => {
            Err(Failure::usage("no question")
                .hint("ask as in `atp ask \"why is the sky blue\"`, or pipe the question in"))
        }
        words => checked(words.join(" ")),
    }
}

fn piped() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("the question on standard input cannot be read: {error}")))?;
    checked(text)
}

fn checked(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::usage("the question is empty").hint("ask as in `atp ask \"why is the sky blue\"`"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_need_no_quotes() {
        let words = ["why".to_owned(), "blue?".to_owned()];
        assert_eq!(read(&words).as_deref(), Ok("why blue?"));
    }

    #[test]
    fn an_empty_question_is_not_sent() {
        let failure = read(&[" \n".to_owned()]).expect_err("nothing to ask");
        assert_eq!((failure.exit, failure.message.as_str()), (2, "the question is empty"));
    }
}
