//! What came of choices: the form of a line, and the newest lines of the files.

use std::path::Path;

use atp_admin::ObservationQuery;
use atp_core::port::JournalFile;
use atp_core::{Error, ErrorKind};
use atp_store::journal::{Page, newest};
use serde::Deserialize;
use serde_json::{Value, json};

/// The form of a line, as a JSON schema.
const SCHEMA: &str = include_str!("observation.schema.json");

/// What a filter looks at.
#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    primary_model: std::borrow::Cow<'l, str>,
    #[serde(borrow)]
    cluster_hint: std::borrow::Cow<'l, str>,
    schema_version: u64,
}

/// The form of a line.
pub(super) fn schema() -> Value {
    // A test reads it.
    serde_json::from_str(SCHEMA).unwrap_or_default()
}

/// Reads the files in a directory. Takes as long as the disk does.
pub(super) fn read(directory: &Path, wanted: &ObservationQuery) -> Result<Value, Error> {
    let page = Page { limit: wanted.limit, offset: wanted.offset };
    let found = newest(JournalFile::Observations, directory, page, |line| fits(wanted, line)).map_err(|cause| {
        Error::router(ErrorKind::Internal, "the files of observations cannot be read").with_cause(cause)
    })?;
    let lines: Vec<Value> = found.lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(json!({ "observations": lines, "offset": wanted.offset, "older_unread": found.more_unread }))
}

/// Whether a line is asked for. One that is no observation is not.
fn fits(wanted: &ObservationQuery, line: &str) -> bool {
    let Ok(told) = serde_json::from_str::<Line<'_>>(line) else { return false };
    let is = |asked: &Option<String>, told: &str| asked.as_ref().is_none_or(|asked| asked == told);
    is(&wanted.model, &told.primary_model)
        && is(&wanted.cluster, &told.cluster_hint)
        && wanted.schema_version.is_none_or(|version| version == told.schema_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> ObservationQuery {
        ObservationQuery { limit: 10, offset: 0, model: None, cluster: None, schema_version: None }
    }

    #[test]
    fn lines_are_found_by_model_kind_of_work_and_version() {
        let directory = tempfile::tempdir().unwrap();
        let line = |model: &str, cluster: &str, version: u64| {
            json!({ "primary_model": model, "cluster_hint": cluster, "schema_version": version, "ts": 1.5 }).to_string()
        };
        let lines = [line("a", "code", 2), line("b", "chat", 2), line("a", "chat", 1), "{}".to_owned()];
        let file = directory.path().join("slm_observations-2026-01-01.jsonl");
        std::fs::write(file, lines.join("\n") + "\n").unwrap();
        let found = |query: ObservationQuery| {
            let told = read(directory.path(), &query).unwrap();
            let rows = told["observations"].as_array().unwrap().iter();
            rows.map(|row| format!("{}/{}", row["primary_model"], row["cluster_hint"]).replace('"', ""))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(query()), ["a/chat", "b/chat", "a/code"]);
        assert_eq!(found(ObservationQuery { model: Some("a".into()), ..query() }), ["a/chat", "a/code"]);
        assert_eq!(found(ObservationQuery { cluster: Some("chat".into()), offset: 1, ..query() }), ["b/chat"]);
        assert_eq!(found(ObservationQuery { schema_version: Some(2), limit: 1, ..query() }), ["b/chat"]);
    }

    #[test]
    fn the_form_names_what_is_required_and_what_may_be_there() {
        let schema = schema();
        let required: Vec<&str> = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(required.contains(&"primary_model") && required.contains(&"phase"), "{required:?}");
        let properties = schema["properties"].as_object().unwrap();
        assert!(required.iter().all(|field| properties.contains_key(*field)));
        assert_eq!(properties["schema_version"]["const"], 2);
    }
}
