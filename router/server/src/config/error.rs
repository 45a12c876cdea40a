//! What is wrong with a configuration: every problem with its place, in words and as JSON.

mod render;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::document::Document;
use super::document::node::Mark;
use super::path::FieldPath;

/// The kind of a problem; stable, for programs that read `atp check --json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The file is not YAML.
    Syntax,
    /// The file itself cannot be read.
    File,
    /// No field of this name exists.
    UnknownField,
    /// A field that must be there is not.
    MissingField,
    /// A list where text belongs, and the like.
    WrongType,
    /// The right type, a value that is not allowed.
    BadValue,
    /// A number, duration or size outside its range.
    OutOfRange,
    /// A name that refers to nothing.
    UnknownReference,
    /// A name that is used twice.
    Duplicate,
    /// Two fields that cannot both be so.
    Conflict,
    /// An environment variable that is missing or has a bad value.
    Environment,
}

/// One problem, before it has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) found: Option<String>,
    pub(super) allowed: Option<String>,
    pub(super) nearest: Option<String>,
}

impl Issue {
    /// What is wrong, in one sentence without a period. Holds no value from the file.
    pub(super) fn new(code: Code, message: &str) -> Self {
        Self { code, message: message.to_owned(), found: None, allowed: None, nearest: None }
    }

    /// What would be right, or what to do.
    pub(super) fn allowed(mut self, allowed: &str) -> Self {
        self.allowed = Some(allowed.to_owned());
        self
    }

    /// What is there now. Never a secret.
    pub(super) fn found(mut self, found: &str) -> Self {
        self.found = Some(found.to_owned());
        self
    }

    /// What is there now, from the file; what the problem says itself stays.
    pub(super) fn found_at(mut self, document: &Document, path: &FieldPath) -> Self {
        if self.found.is_none() {
            self.found = document.found(path);
        }
        self
    }

    /// The right name that is nearest.
    pub(super) fn near(mut self, nearest: Option<String>) -> Self {
        self.nearest = nearest;
        self
    }
}

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// Its kind.
    pub code: Code,
    /// The file, or `environment`, or `embedded defaults`.
    pub source: String,
    /// The line, counted from 1; `None` where the problem is not in a text.
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    pub column: Option<usize>,
    /// The field, `models.m.targets[0].provider`, or the environment variable. Empty for the file as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What was found; never a secret.
    pub found: Option<String>,
    /// What is allowed, or the way out.
    pub allowed: Option<String>,
    /// The nearest right name.
    pub nearest: Option<String>,
    /// The line itself, with stars in place of secrets; of a long one, the part around the column.
    pub text: Option<String>,
    /// How many characters of `text` stand before what is meant.
    #[serde(skip)]
    before: usize,
    /// How many characters are meant.
    #[serde(skip)]
    width: usize,
}

impl ConfigError {
    /// A problem of the environment.
    pub(super) fn of_environment(variable: &str, issue: Issue) -> Self {
        Self::build("environment".to_owned(), variable.to_owned(), None, None, issue)
    }

    /// A problem of a file as a whole.
    pub(super) fn of_file(file: &str, issue: Issue) -> Self {
        Self::build(file.to_owned(), String::new(), None, None, issue)
    }

    /// A problem at a place of a file, whose line is `text`.
    pub(super) fn at(source: &str, field: &FieldPath, mark: Mark, text: Option<&str>, issue: Issue) -> Self {
        Self::build(source.to_owned(), field.to_string(), Some(mark), text, issue)
    }

    fn build(source: String, field: String, mark: Option<Mark>, text: Option<&str>, issue: Issue) -> Self {
        let mark = mark.filter(|mark| mark.line > 0);
        let Issue { code, message, found, allowed, nearest } = issue;
        let (line, column) = (mark.map(|mark| mark.line), mark.map(|mark| mark.column));
        let (text, before) = match (text, column) {
            (Some(text), Some(column)) => {
                let (part, before) = render::cut(text.trim_end(), column);
                (Some(part), before)
            }
            _ => (None, 0),
        };
        let width = mark.map_or(1, |mark| mark.chars.max(1));
        Self { code, source, line, column, field, message, found, allowed, nearest, text, before, width }
    }
}

impl fmt::Display for ConfigError {
    /// One line, as it stands in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(found) = &self.found {
            write!(f, "; found {found}")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "; allowed: {allowed}")?;
        }
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// Every problem that was found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(Vec<ConfigError>);

/// Whether a rendering may use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Terminal colours.
    Ansi,
    /// Plain text.
    Off,
}

impl ConfigErrors {
    /// At least one problem; sorted by place, those without a place first.
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| (error.line, error.column));
        errors.dedup();
        Self(errors)
    }

    /// A single problem of the file as a whole.
    pub(super) fn unreadable(file: &Path, reason: &std::io::Error) -> Self {
        let issue = Issue::new(Code::File, &format!("the file cannot be read: {reason}"));
        let issue = issue.allowed("the path of a readable YAML file; without one the embedded defaults apply");
        Self(vec![ConfigError::of_file(&file.display().to_string(), issue)])
    }

    /// The problems.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }

    /// For people: each problem with its line and a caret below what is wrong.
    #[must_use]
    pub fn pretty(&self, colour: Colour) -> String {
        render::pretty(&self.0, colour)
    }

    /// For programs: a JSON array, one object per problem.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap_or_else(|_| "[]".to_owned())
    }
}

impl fmt::Display for ConfigErrors {
    /// One line per problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
