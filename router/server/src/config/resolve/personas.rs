//! Personas: folders with a prompt and a `config.yaml`, which has lines of its own to point at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atp_adapters::persona::{Persona, Tools};
use atp_privacy::{Action, Class, Filter, Guard};

use super::super::document::Document;
use super::super::document::node::{Mark, Unreadable};
use super::super::document::shape::{self, Shaped, nearest};
use super::super::error::{Code, ConfigError, Issue};
use super::super::path::FieldPath;
use super::super::raw::{RawAction, RawPersona};
use super::Context;
use super::flow;
use super::models::is_name;
use super::secrets::read_small;

/// What the model is told.
const PROMPT: &str = "system_prompt.txt";
/// What it may use, and what may not leave for it.
const CONFIG: &str = "config.yaml";

/// Every persona below `dir`, by name: one for each folder in it, or the one that it is itself. What is wrong has been
/// reported, at `path` or in the persona's own file.
pub(super) fn load(context: &mut Context<'_>, path: &FieldPath, dir: &Path) -> Vec<Arc<Persona>> {
    let dir = context.locate(dir);
    let folders = match folders(&dir) {
        Ok(folders) if !folders.is_empty() => folders,
        Ok(_) => {
            let message = format!("the folder {} holds no persona", dir.display());
            let allowed = format!("a folder with {PROMPT} and {CONFIG}, or one with such a folder for each persona");
            context.fail(path, Issue::new(Code::File, &message).allowed(&allowed));
            return Vec::new();
        }
        Err(reason) => {
            let message = format!("the folder {} cannot be read: {reason}", dir.display());
            context.fail(path, Issue::new(Code::File, &message).allowed("the path of a readable folder of personas"));
            return Vec::new();
        }
    };
    folders.iter().filter_map(|folder| persona(context, path, folder).map(Arc::new)).collect()
}

/// The folders of personas, in the order of their names. Those whose names begin with a dot are somebody else's.
fn folders(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    if [PROMPT, CONFIG].iter().any(|file| dir.join(file).exists()) {
        return Ok(vec![dir.canonicalize()?]);
    }
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') && entry.path().is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn persona(context: &mut Context<'_>, path: &FieldPath, folder: &Path) -> Option<Persona> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !is_name(&name) || name.contains('*') {
        let message = format!("the folder {} has a name that no model can have", folder.display());
        context.fail(path, Issue::new(Code::BadValue, &message).allowed("a name without white space and without `*`"));
    }
    let prompt = prompt(context, path, &folder.join(PROMPT));
    let file = folder.join(CONFIG);
    let bytes = read(context, path, &file)?;
    let settings = Settings::read(context, &file, &bytes)?;
    Some(Persona {
        name: Arc::from(name.as_str()),
        role: settings.role,
        prompt: prompt?,
        tools: settings.tools,
        qos: settings.qos,
        guard: settings.guard,
    })
}

fn prompt(context: &mut Context<'_>, path: &FieldPath, file: &Path) -> Option<String> {
    let bytes = read(context, path, file)?;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').trim(),
        Err(wrong) => {
            let line = Mark::at_byte(&bytes, wrong.valid_up_to()).line;
            let message = format!("the file {} is not UTF-8 text in line {line}", file.display());
            context.fail(path, Issue::new(Code::BadValue, &message).allowed("a prompt in UTF-8"));
            return None;
        }
    };
    if text.is_empty() {
        let message = format!("the file {} is empty", file.display());
        context.fail(path, Issue::new(Code::BadValue, &message).allowed("what the model is told before all else"));
        return None;
    }
    Some(text.to_owned())
}

fn read(context: &mut Context<'_>, path: &FieldPath, file: &Path) -> Option<Vec<u8>> {
    context.watched.push(file.to_owned());
    match read_small(file) {
        Ok(bytes) => Some(bytes),
        Err(reason) => {
            let message = format!("the file {} {reason}", file.display());
            let allowed = format!("a folder with {PROMPT} and {CONFIG}");
            context.fail(path, Issue::new(Code::File, &message).allowed(&allowed));
            None
        }
    }
}

/// A persona's own file, and where its problems go.
struct Of<'a, 'c, 'd> {
    context: &'a mut Context<'c>,
    document: &'d Document,
    source: &'d str,
    removed: &'d [FieldPath],
    sound: bool,
}

impl Of<'_, '_, '_> {
    fn fail(&mut self, path: &FieldPath, issue: Issue) {
        let mark = self.document.mark(path);
        let issue = issue.found_at(self.document, path);
        self.report(path, mark, issue);
    }

    fn fail_name(&mut self, path: &FieldPath, issue: Issue) {
        self.report(path, self.document.key_mark(path), issue);
    }

    fn report(&mut self, path: &FieldPath, mark: Mark, issue: Issue) {
        self.sound = false;
        if !self.removed.iter().any(|removed| removed.overlaps(path)) {
            let line = self.document.line(mark.line);
            self.context.errors.push(ConfigError::at(self.source, path, mark, line, issue));
        }
    }
}

struct Settings {
    role: String,
    tools: Tools,
    qos: Option<atp_core::Qos>,
    guard: Guard,
}

impl Settings {
    fn read(context: &mut Context<'_>, file: &Path, bytes: &[u8]) -> Option<Self> {
        let source = file.display().to_string();
        let document = match Document::parse(bytes) {
            Ok(document) => document,
            Err(unreadable) => {
                let Unreadable { issue, mark } = *unreadable;
                let mark = mark.unwrap_or_default();
                context.errors.push(ConfigError::at(&source, &FieldPath::default(), mark, None, issue));
                return None;
            }
        };
        let Shaped { value, problems, removed } = shape::read::<RawPersona>(&document, &document.root, Vec::new());
        let sound = problems.is_empty();
        for (field, mark, issue) in problems {
            let line = document.line(mark.line);
            context.errors.push(ConfigError::at(&source, &field, mark, line, issue));
        }
        let raw = value?;
        let mut of = Of { context, document: &document, source: &source, removed: &removed, sound };
        if raw.role.trim().is_empty() {
            of.fail(&FieldPath::of(&["role"]), Issue::new(Code::BadValue, "the role is empty").allowed("a few words"));
        }
        let settings = Self {
            role: raw.role.trim().to_owned(),
            tools: tools(&mut of, &raw),
            qos: raw.qos_tier.map(flow::class),
            guard: guard(&mut of, &raw),
        };
        of.sound.then_some(settings)
    }
}

fn tools(of: &mut Of<'_, '_, '_>, raw: &RawPersona) -> Tools {
    let mut names = BTreeSet::new();
    for (place, name) in raw.tools.iter() {
        let path = FieldPath::of(&["tools"]).index(place);
        let all = name == "*";
        if !all && (name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '*')) {
            let issue = Issue::new(Code::BadValue, "this cannot be the name of a tool");
            of.fail(&path, issue.allowed("the name of a function, or `\"*\"` alone for every tool"));
        } else if !names.insert(name.clone()) {
            of.fail(&path, Issue::new(Code::Duplicate, "this tool is named twice").allowed("each name once"));
        }
    }
    match names.contains("*") {
        true if names.len() > 1 => {
            let issue = Issue::new(Code::Conflict, "`*` is every tool, and others are named beside it");
            of.fail(&FieldPath::of(&["tools"]), issue.allowed("`[\"*\"]`, or names alone"));
            Tools::Named(names)
        }
        true => Tools::All,
        false => Tools::Named(names),
    }
}

fn guard(of: &mut Of<'_, '_, '_>, raw: &RawPersona) -> Guard {
    let mut filters = Vec::new();
    for (place, name) in raw.compliance.iter() {
        let path = FieldPath::of(&["compliance"]).index(place);
        match Filter::parse(name) {
            Some(filter) => filters.push(filter),
            None => {
                let known = Filter::ALL.map(Filter::label);
                let issue = Issue::new(Code::UnknownReference, "no filter has this name");
                of.fail(&path, issue.allowed(&known.join(", ")).near(nearest(name, known.into_iter())));
            }
        }
    }
    let action = |name: &str| raw.actions.0.iter().find(|(own, _)| own == name).map(|(_, action)| to_action(*action));
    let mut guard = Guard::default();
    for filter in &filters {
        guard = guard.filtering(*filter, action(filter.label()).unwrap_or_default());
    }
    let minded = guard;
    let classes = || minded.classes().each().map(Class::label);
    for (name, _) in &raw.actions.0 {
        if !filters.iter().any(|filter| filter.label() == name) && !classes().any(|class| class == name) {
            let known: Vec<&str> = filters.iter().map(|filter| filter.label()).chain(classes()).collect();
            let issue =
                Issue::new(Code::UnknownReference, "no filter of `compliance` has this name, nor what one minds");
            let allowed =
                if known.is_empty() { "no `actions` without `compliance`".to_owned() } else { known.join(", ") };
            let near = nearest(name, known.iter().copied());
            of.fail_name(&FieldPath::of(&["actions"]).key(name), issue.allowed(&allowed).near(near));
        }
    }
    let own = |class: Class| action(class.label()).or(minded.action(class));
    minded.classes().each().fold(Guard::default(), |guard, class| match own(class) {
        Some(action) => guard.minding(class, action),
        None => guard,
    })
}

const fn to_action(raw: RawAction) -> Action {
    match raw {
        RawAction::Mask => Action::Mask,
        RawAction::Block => Action::Block,
    }
}
