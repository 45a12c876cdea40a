//! Wrong files, each with everything that is said about it: `broken/NAME.yaml` and `broken/NAME.txt`.

use super::*;

/// What the wrong files find in the environment.
fn environment() -> BTreeMap<String, String> {
    env(&[("WORD", "a word"), ("SECRET", "ftp://sk-live-0123456789/v1")])
}

pub(super) fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests/broken");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

fn errors_of(file: &Path) -> ConfigErrors {
    let text = std::fs::read_to_string(file).unwrap();
    let name = PathBuf::from(file.file_name().unwrap());
    match load_str(&text, &name, &environment(), &vendors()) {
        Ok(_) => panic!("{} is accepted", file.display()),
        Err(errors) => errors,
    }
}

#[test]
fn each_wrong_file_is_told_everything_at_its_place() {
    let files = files();
    assert!(files.len() >= 40, "{}", files.len());
    for file in files {
        assert_file(&file.with_extension("txt"), &errors_of(&file).pretty(Colour::Off));
    }
}

#[test]
fn every_error_names_its_field_and_the_way_out() {
    for file in files() {
        for error in errors_of(&file).errors() {
            let about_text = matches!(error.code, Code::Syntax | Code::Duplicate);
            assert!(about_text || !error.field.is_empty() || error.code == Code::WrongType, "{error}");
            assert!(about_text || error.code == Code::MissingField || error.allowed.is_some(), "{error}");
            assert!(error.line.is_some() && error.column.is_some(), "{error}");
            let message = &error.message;
            assert!(!message.ends_with('.') && !message.starts_with(char::is_uppercase), "{message}");
        }
    }
}

#[test]
fn no_error_shows_a_secret() {
    let secrets = [
        "hunter2",
        "plainsecret",
        "also-secret",
        "sk-live",
        "sk-just",
        "0123456789abcdef",
        "pass@",
        "nameless",
        "sk-a-",
    ];
    for file in files() {
        let errors = errors_of(&file);
        for shown in [errors.pretty(Colour::Off), errors.json(), errors.to_string(), format!("{errors:?}")] {
            for secret in secrets {
                assert!(!shown.contains(secret), "{}: {secret}\n{shown}", file.display());
            }
        }
    }
}

#[test]
fn json_says_the_same_for_programs() {
    let errors = load_with("listn: 1\nproviders: { up: { kind: simulated } }\n", &no_env()).unwrap_err();
    let json: serde_json::Value = serde_json::from_str(&errors.json()).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "code": "unknown_field", "source": "atp.yaml", "line": 1, "column": 1, "field": "listn",
            "message": "unknown field", "found": "`listn`", "nearest": "listen", "text": "listn: *",
            "allowed": "`listen`, `admin`, `workers`, `tls`, `providers`, `adapters`, `models`, `routes`, `keys`, `tenants`, \
                        `allow_anonymous`, `flow`, `limits`, `retry`, `drain`, `logs`, `ledger`, `decisions`, \
                        `observations`, `metrics`",
        }])
    );
}

#[test]
fn colour_is_only_what_it_is_asked_for() {
    let errors = load_with("listn: 1\nproviders: { up: { kind: simulated } }\n", &no_env()).unwrap_err();
    let plain = errors.pretty(Colour::Off);
    let coloured = errors.pretty(Colour::Ansi);
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[1;31m"));
    let mut stripped = coloured;
    for code in ["\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn a_missing_file_is_told_by_its_path() {
    let errors = load_file(Path::new("/does/not/exist.yaml"), &no_env(), &[], &[]).unwrap_err();
    let [error] = errors.errors() else { panic!("{errors}") };
    assert_eq!((error.code, error.source.as_str(), error.line), (Code::File, "/does/not/exist.yaml", None));
}

#[test]
fn bytes_that_are_not_text_are_told_by_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("atp.yaml");
    std::fs::write(&file, b"listen: 127.0.0.1:7443\nmodels: \xff\n").unwrap();
    let errors = load_file(&file, &no_env(), &[], &[]).unwrap_err();
    let [error] = errors.errors() else { panic!("{errors}") };
    assert_eq!((error.line, error.column), (Some(2), Some(9)));
}

#[test]
fn a_tab_for_indentation_is_told_by_its_place() {
    let errors = bad("providers:\n\tup: { kind: openai }\n");
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!((error.code, error.line, error.column), (Code::Syntax, Some(2), Some(2)));
    assert!(error.message.contains("tabs"), "{error}");
}
