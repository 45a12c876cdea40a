//! What every check shares: the file for positions, the environment, and the list of problems.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::document::Document;
use super::super::env::Env;
use super::super::error::{Code, ConfigError, Issue};
use super::super::path::FieldPath;
use super::super::resolved::VendorRow;
use super::super::value::{Span, show_span};

/// No timer may be longer: what takes a day is no timer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The state of one resolution.
pub(crate) struct Context<'a> {
    /// For positions.
    pub(crate) document: &'a Document,
    /// For secrets and overrides.
    pub(crate) env: &'a dyn Env,
    /// The vendors that may be named.
    pub(crate) vendors: &'a [VendorRow],
    /// How errors name the file.
    pub(crate) source: String,
    /// The file.
    pub(crate) file: Option<PathBuf>,
    /// What has been reported and taken out; nothing more is said about it.
    pub(crate) removed: Vec<FieldPath>,
    /// The problems.
    pub(crate) errors: Vec<ConfigError>,
    /// What deserves a line in the log.
    pub(crate) warnings: Vec<String>,
    /// The files that were read.
    pub(crate) watched: Vec<PathBuf>,
}

impl Context<'_> {
    /// Reports a problem of the value at `path`, unless something there has been reported already.
    pub(crate) fn fail(&mut self, path: &FieldPath, issue: Issue) {
        if self.is_reported(path) {
            return;
        }
        let mark = self.document.mark(path);
        let issue = issue.found_at(self.document, path);
        self.errors.push(ConfigError::at(&self.source, path, mark, self.document.line(mark.line), issue));
    }

    /// Whether something at `path`, above or below it has been reported already.
    pub(crate) fn is_reported(&self, path: &FieldPath) -> bool {
        self.removed.iter().any(|removed| removed.overlaps(path))
    }

    /// Reports a problem of the name at `path`.
    pub(crate) fn fail_name(&mut self, path: &FieldPath, issue: Issue) {
        if self.is_reported(path) {
            return;
        }
        let mark = self.document.key_mark(path);
        self.errors.push(ConfigError::at(&self.source, path, mark, self.document.line(mark.line), issue));
    }

    /// A path of the file, relative to the file's own directory.
    pub(crate) fn locate(&self, path: &Path) -> PathBuf {
        match self.file.as_deref().and_then(Path::parent) {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }

    /// A duration of at most a day, and not zero; `default` where it is absent or wrong.
    pub(crate) fn span(&mut self, path: &FieldPath, span: Option<Span>, default: Duration) -> Duration {
        self.span_from(path, span, Duration::from_millis(1), default)
    }

    /// A duration of at most a day and at least `least`.
    pub(crate) fn span_from(
        &mut self,
        path: &FieldPath,
        span: Option<Span>,
        least: Duration,
        default: Duration,
    ) -> Duration {
        self.span_within(path, span, least..=LONGEST, default)
    }

    /// A duration within a range; `default` where it is absent or wrong.
    pub(crate) fn span_within(
        &mut self,
        path: &FieldPath,
        span: Option<Span>,
        range: std::ops::RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let Some(Span(value)) = span else { return default };
        if range.contains(&value) {
            return value;
        }
        let issue = Issue::new(Code::OutOfRange, "this length of time is not possible here");
        let allowed = format!("from `{}` to `{}`", show_span(*range.start()), show_span(*range.end()));
        self.fail(path, issue.allowed(&allowed));
        default
    }

    /// A number within a range; `default` where it is absent or wrong.
    pub(crate) fn number<T: PartialOrd + std::fmt::Display + Copy>(
        &mut self,
        path: &FieldPath,
        number: Option<T>,
        range: std::ops::RangeInclusive<T>,
        default: T,
    ) -> T {
        let Some(value) = number else { return default };
        if range.contains(&value) {
            return value;
        }
        let issue = Issue::new(Code::OutOfRange, "this number is outside its range");
        self.fail(path, issue.allowed(&format!("from {} to {}", range.start(), range.end())));
        default
    }
}
