//! The configuration: a YAML file, or nothing, and the environment.
//!
//! Three shapes: the *document* (a tree that knows the line and column of every value), the *raw* form (what may be
//! written; its doc comments are the reference page), and the *resolved* form (what the server wires; nothing in it
//! can be wrong any more). Every problem on the way is collected and told at once, each with its place.

mod changes;
mod document;
mod embedded;
pub mod env;
mod error;
mod path;
pub mod prices;
mod raw;
mod reference;
mod registered;
mod resolve;
pub mod resolved;
mod value;

use std::path::Path;

use self::document::Document;
use self::document::node::Unreadable;
use self::document::shape::{self, Shaped};
use self::raw::RawConfig;
use self::resolve::Context;

pub(crate) use self::document::shape::nearest;
pub use self::embedded::embedded;
pub use self::env::{Env, ProcessEnv};
pub use self::error::{Code, Colour, ConfigError, ConfigErrors};
pub use self::reference::{reference_markdown, schema_json};
pub use self::registered::Registered;
pub(crate) use self::resolve::{is_label, is_model_name};
pub use self::resolved::{Resolved, VendorRow};

/// Reads a file, and adds what adapters that have registered serve. Secrets are read anew each time.
///
/// # Errors
/// Every problem of the file and of the environment, each with its place.
pub fn load_file(
    path: &Path,
    env: &dyn Env,
    vendors: &[VendorRow],
    registered: &[Registered],
) -> Result<Resolved, ConfigErrors> {
    let bytes = std::fs::read(path).map_err(|reason| ConfigErrors::unreadable(path, &reason))?;
    load(&bytes, Some(path), env, vendors, registered)
}

/// Reads a text as if it were a file called `name`.
///
/// # Errors
/// Every problem of the text and of the environment, each with its place.
pub fn load_str(text: &str, name: &Path, env: &dyn Env, vendors: &[VendorRow]) -> Result<Resolved, ConfigErrors> {
    load(text.as_bytes(), Some(name), env, vendors, &[])
}

/// For fuzzing: reads arbitrary bytes, without environment and vendors. Must neither panic nor run long, and whatever
/// is refused must render.
pub fn fuzz_parse(bytes: &[u8]) {
    let env = std::collections::BTreeMap::new();
    if let Err(errors) = load(bytes, None, &env, &[], &[]) {
        let _ = (errors.pretty(Colour::Ansi), errors.json(), errors.to_string());
    }
}

fn load(
    bytes: &[u8],
    file: Option<&Path>,
    env: &dyn Env,
    vendors: &[VendorRow],
    registered: &[Registered],
) -> Result<Resolved, ConfigErrors> {
    let source = file.map_or_else(|| "configuration".to_owned(), |file| file.display().to_string());
    let document = Document::parse(bytes).map_err(|unreadable| {
        let Unreadable { issue, mark } = *unreadable;
        let text = String::from_utf8_lossy(bytes);
        let line = mark.and_then(|mark| text.lines().nth(mark.line.checked_sub(1)?)).map(document::mask::mask_line);
        let mark = mark.unwrap_or_default();
        ConfigErrors::new(vec![ConfigError::at(&source, &path::FieldPath::default(), mark, line.as_deref(), issue)])
    })?;
    let mut root = document.root.clone();
    let broken = document::expand::expand(&mut root, env);
    let Shaped { value, problems, removed } = shape::read::<RawConfig>(&document, &root, broken);
    let placed = |(field, mark, issue)| {
        let mark: document::node::Mark = mark;
        ConfigError::at(&source, &field, mark, document.line(mark.line), issue)
    };
    let mut context = Context {
        document: &document,
        env,
        vendors,
        source: source.clone(),
        file: file.map(Path::to_owned),
        removed,
        errors: problems.into_iter().map(placed).collect(),
        warnings: Vec::new(),
        watched: file.map(Path::to_owned).into_iter().collect(),
    };
    let resolved = value.map(|mut raw: RawConfig| {
        registered::add(&mut raw, registered);
        resolve::resolve(&raw, &mut context)
    });
    match resolved {
        Some(resolved) if context.errors.is_empty() => Ok(resolved),
        _ => Err(ConfigErrors::new(context.errors)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
