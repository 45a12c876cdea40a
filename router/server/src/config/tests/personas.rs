//! Personas: folders that are read, watched, and told about line by line where they are wrong.

use atp_adapters::persona::Tools;
use atp_core::Qos;
use atp_privacy::{Action, Class};

use super::*;
use crate::config::resolved::{PersonaProvider, ProviderKind, TargetPrice};

/// A folder with a configuration and personas.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.persona("doctor", "role: doctor\n");
        home
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn persona(&self, name: &str, config: &str) {
        self.write(&format!("personas/{name}/system_prompt.txt"), "\u{feff}You are careful.\n\n");
        self.write(&format!("personas/{name}/config.yaml"), config);
    }

    fn load_with(&self, provider: &str, more: &str, env: &dyn Env) -> Result<Resolved, ConfigErrors> {
        self.write(
            "atp.yaml",
            &format!("providers:\n  up: {{ kind: simulated }}\n  docs: {{ kind: persona, {provider} }}\n{more}"),
        );
        load_file(&self.0.path().join("atp.yaml"), env, &vendors(), &[])
    }

    fn load(&self, provider: &str, more: &str) -> Result<Resolved, ConfigErrors> {
        self.load_with(provider, more, &no_env())
    }

    /// The only error: its code, the file that it is in, its line, its field.
    fn error(&self, provider: &str, more: &str) -> (Code, String, Option<usize>, String, ConfigError) {
        let errors = self.load(provider, more).unwrap_err();
        let [error] = errors.errors() else { panic!("{}", errors.pretty(Colour::Off)) };
        let file = Path::new(&error.source).file_name().unwrap().to_string_lossy().into_owned();
        (error.code, file, error.line, error.field.clone(), error.clone())
    }
}

fn personas(resolved: &Resolved) -> &PersonaProvider {
    match &resolved.provider("docs").unwrap().kind {
        ProviderKind::Persona(personas) => personas,
        other => panic!("{other:?}"),
    }
}

const UP: &str = "dir: personas, upstream: up, model: sim-fast";

#[test]
fn a_folder_of_personas_is_read_and_watched() {
    let home = Home::new();
    home.persona(
        "lawyer",
        "role: compliance lawyer\ntools: [search, cite]\nqos_tier: bronze\ncompliance: [PII_filter, HIPAA_guard]\n\
         actions: { HIPAA_guard: block, email: mask }\n",
    );
    home.write("personas/.git/x", "");
    home.write("personas/README.md", "");
    let resolved = home.load(UP, "models:\n  d: { targets: [ { provider: docs, model: doctor } ] }\n").unwrap();
    let docs = personas(&resolved);
    assert_eq!((docs.of.as_deref(), &*docs.model, docs.upstream.label()), (Some("up"), "sim-fast", "simulated"));
    let [doctor, lawyer] = &docs.personas[..] else { panic!("{docs:?}") };
    assert_eq!((&*doctor.name, &*doctor.prompt, doctor.qos), ("doctor", "You are careful.", None));
    assert!(doctor.guard.is_idle() && !doctor.tools.allows("search"));
    assert_eq!((&*lawyer.role, lawyer.qos), ("compliance lawyer", Some(Qos::Bronze)));
    assert_eq!(lawyer.tools, Tools::Named(["cite", "search"].map(str::to_owned).into()));
    let action = |class| lawyer.guard.action(class);
    assert_eq!(
        [Class::Email, Class::MedicalRecord, Class::Card, Class::NationalId].map(action),
        [Some(Action::Mask), Some(Action::Block), Some(Action::Block), None]
    );
    assert_eq!(resolved.watched.len(), 5);
    // What answers is one model, and costs what that costs.
    assert!(resolved.models[0].targets[0].price != TargetPrice::Unknown);

    home.write("personas/doctor/system_prompt.txt", "Another.");
    home.persona("lawyer", "role: lawyer\ntools: [\"*\"]\n");
    let new = home.load(UP, "models:\n  d: { targets: [ { provider: docs, model: doctor } ] }\n").unwrap();
    let changes = Resolved::describe_changes(&resolved, &new);
    let told = |start: &str| changes.iter().any(|line| line.starts_with(start));
    assert!(
        told("providers.docs.personas.doctor.prompt: changed") && told("providers.docs.personas.lawyer.role: "),
        "{changes:?}"
    );
    assert!(
        !changes.iter().any(|line| line.contains("Another")) && !new.redacted_json().to_string().contains("Another")
    );
    assert_eq!(personas(&new).personas[1].tools, Tools::All);
}

#[test]
fn a_folder_may_be_one_persona_and_its_server_a_variable() {
    let home = Home::new();
    let resolved = home.load("dir: personas/doctor, base_url: \"http://127.0.0.1:9/v1\", model: m", "").unwrap();
    let docs = personas(&resolved);
    assert_eq!(
        (&*docs.personas[0].name, docs.upstream.http().unwrap().base_url.as_str()),
        ("doctor", "http://127.0.0.1:9/v1")
    );
    let variable = env(&[("PERSONA_MODEL_ENDPOINT", "http://127.0.0.1:8/v1")]);
    let resolved = home.load_with("dir: personas, model: m", "", &variable).unwrap();
    assert_eq!(personas(&resolved).upstream.http().unwrap().base_url, "http://127.0.0.1:8/v1");
    let resolved = home.load_with("dir: personas, model: m, vendor: vllm", "", &no_env()).unwrap();
    assert_eq!(personas(&resolved).upstream.http().unwrap().base_url, "http://127.0.0.1:8000/v1");
}

#[test]
fn what_is_wrong_in_a_persona_is_told_in_its_own_file() {
    for (config, code, line, field, near) in [
        ("role: x\ntolls: [a]\n", Code::UnknownField, 2, "tolls", Some("tools")),
        ("tools: [a]\n", Code::MissingField, 1, "role", None),
        ("role: ' '\n", Code::BadValue, 1, "role", None),
        ("role: x\ntools:\n  - a\n  - b c\n", Code::BadValue, 4, "tools[1]", None),
        ("role: x\ntools: [a, a]\n", Code::Duplicate, 2, "tools[1]", None),
        ("role: x\ntools: [\"*\", a]\n", Code::Conflict, 2, "tools", None),
        ("role: x\nqos_tier: golden\n", Code::BadValue, 2, "qos_tier", Some("gold")),
        ("role: x\ncompliance: [PII_filters]\n", Code::UnknownReference, 2, "compliance[0]", Some("PII_filter")),
        (
            "role: x\ncompliance: [PII_filter]\nactions: { emial: block }\n",
            Code::UnknownReference,
            3,
            "actions.emial",
            Some("email"),
        ),
        ("role: x\nactions: { email: block }\n", Code::UnknownReference, 2, "actions.email", None),
        ("role: x\ncompliance: [PII_filter]\nactions:\n  email: drop\n", Code::BadValue, 4, "actions.email", None),
        ("role: [\n", Code::Syntax, 1, "", None),
    ] {
        let home = Home::new();
        home.persona("doctor", config);
        let (found, file, at, of, error) =
            home.error(UP, "models:\n  d: { targets: [ { provider: docs, model: nurse } ] }\n");
        assert_eq!((found, &*file, at, &*of), (code, "config.yaml", Some(line), field), "{config}\n{error}");
        assert_eq!(error.nearest.as_deref(), near, "{config}\n{error}");
        assert!(
            error.source.ends_with("personas/doctor/config.yaml") && (code == Code::Syntax || error.text.is_some()),
            "{error}"
        );
    }
}

#[test]
fn what_is_missing_is_told_where_the_folder_is_named() {
    let here = |home: &Home, provider: &str, code: Code, field: &str, said: &str| {
        let (found, file, line, of, error) = home.error(provider, "");
        assert_eq!((found, &*file, line, &*of), (code, "atp.yaml", Some(3), field), "{error}");
        assert!(error.to_string().contains(said) && error.allowed.is_some(), "{error}");
    };
    let home = Home::new();
    here(&home, "dir: nowhere, upstream: up, model: m", Code::File, "providers.docs.dir", "nowhere cannot be read");
    here(&home, "upstream: up, model: m", Code::MissingField, "providers.docs.dir", "`dir` is missing");
    here(&home, "dir: personas, upstream: up", Code::MissingField, "providers.docs.model", "`model` is missing");
    here(&home, "dir: personas, model: m", Code::MissingField, "providers.docs.base_url", "`base_url` is missing");
    here(
        &home,
        "dir: personas, upstream: ap, model: m",
        Code::UnknownReference,
        "providers.docs.upstream",
        "did you mean `up`",
    );
    here(&home, "dir: personas, upstream: docs, model: m", Code::UnknownReference, "providers.docs.upstream", "`up`");
    here(
        &home,
        "dir: personas, upstream: up, model: m, http2: on",
        Code::Conflict,
        "providers.docs.http2",
        "`upstream`",
    );
    here(&home, "dir: personas, upstream: up, model: 'a b'", Code::BadValue, "providers.docs.model", "name");
    home.write("empty/x", "");
    here(&home, "dir: empty, upstream: up, model: m", Code::File, "providers.docs.dir", "holds no persona");
    home.write("personas/doctor/system_prompt.txt", " \n");
    here(&home, UP, Code::BadValue, "providers.docs.dir", "system_prompt.txt is empty");
    std::fs::write(home.0.path().join("personas/doctor/system_prompt.txt"), b"one\ntwo \xff").unwrap();
    here(&home, UP, Code::BadValue, "providers.docs.dir", "not UTF-8 text in line 2");
    std::fs::remove_file(home.0.path().join("personas/doctor/system_prompt.txt")).unwrap();
    here(&home, UP, Code::File, "providers.docs.dir", "system_prompt.txt cannot be read");
    let home = Home::new();
    home.write("personas/nurse/notes", "");
    let errors = home.load(UP, "").unwrap_err();
    assert_eq!(errors.errors().len(), 2, "{errors}");
}

#[test]
fn a_model_names_a_persona_that_there_is() {
    let home = Home::new();
    let (code, file, line, field, error) =
        home.error(UP, "models:\n  d: { targets: [ { provider: docs, model: docter } ] }\n");
    assert_eq!(
        (code, &*file, line, &*field),
        (Code::UnknownReference, "atp.yaml", Some(5), "models.d.targets[0].model")
    );
    assert_eq!(error.nearest.as_deref(), Some("doctor"));
    assert!(home.load(UP, "models:\n  docs/*: { targets: [ { provider: docs } ] }\n").is_ok());
    let home = Home::new();
    home.write("atp.yaml", "providers:\n  up: { kind: simulated, dir: personas }\n");
    let errors = load_file(&home.0.path().join("atp.yaml"), &no_env(), &vendors(), &[]).unwrap_err();
    assert_eq!((errors.errors()[0].code, &*errors.errors()[0].field), (Code::Conflict, "providers.up.dir"));
}

/// The samples in `adapters/personas` are what people start from.
#[test]
fn the_personas_that_are_shipped_are_right() {
    let text = "providers:\n  s: { kind: simulated }\n  docs: { kind: persona, dir: adapters/personas, upstream: s, model: sim-fast }\n";
    let resolved = load_str(text, &root().join("atp.yaml"), &no_env(), &vendors());
    let resolved = resolved.unwrap_or_else(|errors| panic!("{}", errors.pretty(Colour::Off)));
    let docs = personas(&resolved);
    let names: Vec<&str> = docs.personas.iter().map(|persona| &*persona.name).collect();
    assert_eq!(names, ["compliance-lawyer", "creative-writer", "doctor-advisor", "network-engineer"]);
    for persona in &docs.personas {
        assert!(persona.prompt.len() > 500 && persona.qos.is_some() && !persona.guard.is_idle(), "{}", persona.name);
        // A prompt that speaks of placeholders keeps them from being given, so it may speak of few.
        assert!(persona.prompt.matches("_1]").count() <= 3, "{}", persona.name);
    }
}
