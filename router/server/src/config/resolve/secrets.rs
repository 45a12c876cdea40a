//! Secrets and the API keys of callers.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use atp_core::{Caller, Qos, Secret};
use sha2::{Digest, Sha256};

use super::super::document::expand::{check_name, unset};
use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::{RawConfig, RawKey, RawRate};
use super::super::resolved::{Key, Model, RateLimit, Tenant};
use super::super::value::SecretSource;
use super::tenants::Tenants;
use super::{Context, flow, money};

/// A file of one secret or one certificate chain; a larger one is a mistake.
const MAX_FILE: u64 = 1 << 20;

/// Reads a secret. What it is never shows, only where it should come from.
pub(super) fn read(context: &mut Context<'_>, path: &FieldPath, source: &SecretSource) -> Option<Secret> {
    let (at, text) = match source {
        SecretSource::Literal(text) => (path.clone(), Ok(text.clone())),
        SecretSource::Env(name) => (path.key("env"), from_env(context, name)),
        SecretSource::File(file) => (path.key("file"), from_file(context, file)),
    };
    let secret = text.map(|text| Secret::new(&text)).and_then(check);
    match secret {
        Ok(secret) => Some(secret),
        Err(issue) => {
            context.fail(&at, issue);
            None
        }
    }
}

fn from_env(context: &Context<'_>, name: &str) -> Result<String, Issue> {
    check_name(name)?;
    context
        .env
        .get(name)
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| unset(name).allowed(&format!("set {name}")))
}

fn from_file(context: &mut Context<'_>, file: &std::path::Path) -> Result<String, Issue> {
    let file = context.locate(file);
    let wrong = |reason: &str| {
        let message = format!("the secret file {} {reason}", file.display());
        Issue::new(Code::File, &message).allowed("the path of a readable text file with nothing but the secret in it")
    };
    let bytes = read_small(&file).map_err(|reason| wrong(&reason))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text"))?;
    context.watched.push(file);
    Ok(text)
}

/// Reads a regular file of at most [`MAX_FILE`] bytes: a device or a pipe could be endless, or never answer.
pub(super) fn read_small(file: &std::path::Path) -> Result<Vec<u8>, String> {
    let about = std::fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?;
    if !about.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if about.len() > MAX_FILE {
        return Err("is larger than 1 MiB".to_owned());
    }
    std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))
}

/// Every secret of the file travels in a header, its own or a caller's.
fn check(secret: Secret) -> Result<Secret, Issue> {
    if secret.is_empty() {
        return Err(Issue::new(Code::BadValue, "the secret is empty").allowed("a secret, or no field at all"));
    }
    if secret.expose().bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(secret);
    }
    Err(Issue::new(Code::BadValue, "the secret holds characters that no header can carry")
        .allowed("printable ASCII on one line"))
}

/// What holds of keys that do not say otherwise, and what they may refer to.
pub(super) struct Common<'m> {
    pub(super) rps: Option<RateLimit>,
    pub(super) qos: Qos,
    pub(super) models: &'m [Model],
}

/// The keys of callers: unique names, unique secrets; and their tenants.
pub(super) fn keys(raw: &RawConfig, context: &mut Context<'_>, common: &Common<'_>) -> (Vec<Key>, Vec<Tenant>) {
    let path = FieldPath::of(&["keys"]);
    let mut names = BTreeMap::new();
    let mut digests = BTreeMap::new();
    let mut tenants = Tenants::new(raw);
    let mut keys = Vec::new();
    for (place, raw) in raw.keys.iter() {
        let path = path.index(place);
        check_key_name(context, &path, raw);
        if let Some(first) = names.insert(raw.name.as_str(), place) {
            let issue = Issue::new(Code::Duplicate, &format!("another key has this name already: keys[{first}]"));
            context.fail(&path.key("name"), issue.allowed("a name of its own for each key"));
        }
        let tenant_index = tenants.intern(context, place, &path, raw);
        let own = raw.rps_limit.and_then(|rate| rate_limit(context, &path.key("rps_limit"), rate));
        let purse = money::purse(context, &path, raw);
        let hints = money::hints(context, &path, raw, common.models);
        let Some(secret) = read(context, &path.key("key"), &raw.key) else { continue };
        let digest: [u8; 32] = Sha256::digest(secret.expose().as_bytes()).into();
        if let Some(first) = digests.insert(digest, place) {
            let issue = Issue::new(Code::Duplicate, &format!("this is the same secret as that of keys[{first}]"));
            context.fail(&path.key("key"), issue.allowed("a secret of its own for each key"));
        }
        if secret.expose().len() < 16 {
            context
                .warnings
                .push(format!("the secret of key `{}` is short; 16 characters or more are hard to guess", raw.name));
        }
        let tenant = raw.tenant.as_deref().unwrap_or(&raw.name);
        let caller = Caller {
            key: Arc::from(raw.name.as_str()),
            tenant: Arc::from(tenant),
            index: keys.len(),
            tenant_index,
            qos: raw.qos.map_or(common.qos, flow::class),
            hints,
        };
        keys.push(Key { caller: Arc::new(caller), digest, rps: own.or(common.rps), purse });
    }
    (keys, tenants.done())
}

fn check_key_name(context: &mut Context<'_>, path: &FieldPath, raw: &RawKey) {
    let names = [("name", Some(&raw.name)), ("tenant", raw.tenant.as_ref())];
    for (field, name) in names {
        if name.is_some_and(|name| !is_label(name)) {
            let issue = Issue::new(Code::BadValue, "this name cannot stand in logs and metrics");
            context.fail(&path.key(field), issue.allowed(LABEL));
        }
    }
}

/// What [`is_label`] allows.
pub(super) const LABEL: &str = "1 to 100 letters, digits, `-`, `_`, `.`, `:` or `@`";

/// Whether a name is fit for logs, metrics, headers and paths.
pub(crate) fn is_label(name: &str) -> bool {
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':' | '@');
    !name.is_empty() && name.chars().count() <= 100 && name.chars().all(fits)
}

/// A rate with its burst.
pub(super) fn rate_limit(context: &mut Context<'_>, path: &FieldPath, raw: RawRate) -> Option<RateLimit> {
    if !(0.001..=1e6).contains(&raw.rate) {
        let issue = Issue::new(Code::OutOfRange, "this rate is outside its range");
        context.fail(
            &path.key("rate"),
            issue.allowed("from 0.001 to 1000000 requests a second; for no limit, leave the limit out"),
        );
        return None;
    }
    if raw.burst == Some(0) {
        let issue = Issue::new(Code::OutOfRange, "with no burst, no request would ever pass");
        context.fail(&path.key("burst"), issue.allowed("a whole number, 1 or more"));
    }
    Some(with_burst(raw.rate, raw.burst))
}

/// The burst is the rate where none is given, and at least 1.
pub(super) fn with_burst(per_second: f64, burst: Option<u32>) -> RateLimit {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rate lies within 0.001..=1e6")]
    let burst = burst.unwrap_or_else(|| per_second.ceil() as u32);
    RateLimit { per_second, burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN) }
}
