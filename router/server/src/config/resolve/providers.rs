//! Providers: vendor, address, key, headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use atp_adapters::simulated::SimulatedConfig;
use atp_core::{Secret, Timeouts};
use http::{HeaderName, HeaderValue, Uri};

use super::super::document::shape::nearest;
use super::super::env::{self, OLLAMA_BASE_URL, OPENAI_API_KEY, OPENAI_BASE_URL, PERSONA_MODEL_ENDPOINT};
use super::super::error::{Code, ConfigError, Issue};
use super::super::path::FieldPath;
use super::super::raw::{RawConfig, RawKind, RawProvider, RawTimeouts};
use super::super::resolved::{HttpProvider, PersonaProvider, Provider, ProviderKind, VendorRow};
use super::super::value::Span;
use super::{Context, remote, secrets, tls};

/// Where Ollama listens when nobody says otherwise.
const OLLAMA: &str = "http://127.0.0.1:11434";

/// Every provider in configured order. `own` are the router's own addresses.
pub(super) fn resolve(raw: &RawConfig, context: &mut Context<'_>, own: [SocketAddr; 2]) -> Vec<Provider> {
    let path = FieldPath::of(&["providers"]);
    if raw.providers.0.is_empty() && context.document.names(&path).is_empty() {
        let issue = Issue::new(Code::MissingField, "no providers: nobody could answer a request");
        let example = "for example `providers: { openai: { vendor: openai, api_key: { env: OPENAI_API_KEY } } }`, or \
                       `providers: { sim: { kind: simulated } }` to try the router without any account";
        context.fail(&path, issue.allowed(example));
    }
    let mut providers = Vec::new();
    // Personas last: what they speak through may stand behind them.
    let (personas, others): (Vec<_>, Vec<_>) =
        raw.providers.0.iter().enumerate().partition(|(_, (_, raw))| raw.kind == Some(RawKind::Persona));
    for (place, (name, raw)) in others.into_iter().chain(personas) {
        let path = path.key(name);
        if !secrets::is_label(name) {
            let issue = Issue::new(Code::BadValue, "this name cannot stand in paths and metrics");
            context.fail_name(&path, issue.allowed(secrets::LABEL));
        }
        let one = One { name, raw, path, own };
        if let Some(kind) = one.kind(context, &providers) {
            providers.push((place, Provider { name: Arc::from(name.as_str()), kind }));
        }
    }
    providers.sort_by_key(|(place, _)| *place);
    providers.into_iter().map(|(_, provider)| provider).collect()
}

/// Providers that are resolved already, each with its place in the file.
type Known = [(usize, Provider)];

/// Merges timers, refusing zero; what is not given comes from `outer`.
pub(super) fn timeouts(context: &mut Context<'_>, path: &FieldPath, raw: &RawTimeouts, outer: Timeouts) -> Timeouts {
    for (name, value) in raw.each() {
        if let Some(value) = value {
            context.span(&path.key("timeouts").key(name), Some(Span(value)), value);
        }
    }
    raw.over(outer)
}

struct One<'a> {
    name: &'a str,
    raw: &'a RawProvider,
    path: FieldPath,
    own: [SocketAddr; 2],
}

impl One<'_> {
    fn kind(&self, context: &mut Context<'_>, known: &Known) -> Option<ProviderKind> {
        let timeouts = timeouts(context, &self.path, &self.raw.timeouts, Timeouts::default());
        let vendor = self.vendor(context)?;
        let kind = match (self.raw.kind, vendor) {
            (Some(kind), _) => kind,
            (None, Some(_)) => RawKind::Openai,
            (None, None) => {
                let issue = Issue::new(Code::MissingField, "neither `kind` nor `vendor` is given");
                let allowed = "`kind: openai`, `kind: ollama`, `kind: grpc`, `kind: simulated`, `kind: persona`, or `vendor: NAME`";
                context.fail(&self.path, issue.allowed(allowed));
                return None;
            }
        };
        self.check_fields(context, kind, vendor);
        match kind {
            RawKind::Simulated => Some(ProviderKind::Simulated(self.simulated(context))),
            RawKind::Openai => Some(ProviderKind::OpenAi(self.http(context, kind, vendor, timeouts)?)),
            RawKind::Ollama => Some(ProviderKind::Ollama(self.http(context, kind, None, timeouts)?)),
            RawKind::Grpc => Some(ProviderKind::Grpc(remote::provider(context, &self.path, self.raw, timeouts))),
            RawKind::Persona => self.personas(context, known, vendor, timeouts).map(ProviderKind::Persona),
        }
    }

    /// Personas, and who answers for them: a provider of the file, or a server of their own.
    fn personas(
        &self,
        context: &mut Context<'_>,
        known: &Known,
        vendor: Option<&VendorRow>,
        timeouts: Timeouts,
    ) -> Option<PersonaProvider> {
        let missing = |field: &str| Issue::new(Code::MissingField, &format!("the field `{field}` is missing"));
        let upstream = match &self.raw.upstream {
            Some(name) => self.upstream(context, known, name),
            None => self.http(context, RawKind::Persona, vendor, timeouts).map(ProviderKind::OpenAi),
        };
        let model = self.path.key("model");
        match self.raw.model.as_deref() {
            None => context.fail(&model, missing("model").allowed("the upstream's name for the model that answers")),
            Some(name) if !super::models::is_name(name) || name.contains('*') => {
                let issue = Issue::new(Code::BadValue, "this cannot be a provider's name for a model");
                context.fail(&model, issue.allowed("a name without white space and without `*`"));
            }
            Some(_) => {}
        }
        let dir = self.path.key("dir");
        let Some(folder) = &self.raw.dir else {
            context.fail(&dir, missing("dir").allowed("the folder that holds the personas"));
            return None;
        };
        let personas = super::personas::load(context, &dir, folder);
        Some(PersonaProvider {
            dir: context.locate(folder),
            upstream: Box::new(upstream?),
            of: self.raw.upstream.as_deref().map(Arc::from),
            model: Arc::from(self.raw.model.as_deref()?),
            personas,
        })
    }

    fn upstream(&self, context: &mut Context<'_>, known: &Known, name: &str) -> Option<ProviderKind> {
        let others =
            || known.iter().map(|(_, provider)| provider).filter(|one| !matches!(one.kind, ProviderKind::Persona(_)));
        if let Some(found) = others().find(|provider| *provider.name == *name) {
            return Some(found.kind.clone());
        }
        let path = self.path.key("upstream");
        let written = FieldPath::of(&["providers"]).key(name);
        // One that is in the file and wrong has been reported at its own place.
        let wrong =
            name != self.name && context.errors.iter().any(|error| error.field.starts_with(&written.to_string()));
        if !wrong {
            let issue = Issue::new(Code::UnknownReference, "no provider of this name can answer for personas");
            let names: Vec<String> = others().map(|provider| format!("`{}`", provider.name)).collect();
            let near = nearest(name, others().map(|provider| &*provider.name));
            let allowed =
                if names.is_empty() { "a `base_url`, or another provider".to_owned() } else { names.join(", ") };
            context.fail(&path, issue.allowed(&allowed).near(near));
        }
        None
    }

    /// The vendor's row: the one that is named, or `openai` where a provider of that kind has no address of its own.
    /// The outer `None` says that the name is wrong.
    fn vendor<'v>(&self, context: &mut Context<'v>) -> Option<Option<&'v VendorRow>> {
        let vendors: &'v [VendorRow] = context.vendors;
        let row = |name: &str| vendors.iter().find(|row| row.name == name);
        let Some(name) = &self.raw.vendor else {
            let elsewhere = self.raw.base_url.is_some() || context.is_reported(&self.path.key("base_url"));
            let implied = self.raw.kind == Some(RawKind::Openai) && !elsewhere;
            return Some(if implied { row("openai") } else { None });
        };
        let found = row(name);
        if found.is_none() {
            let known: Vec<&str> = vendors.iter().map(|row| row.name.as_str()).collect();
            let issue = Issue::new(Code::UnknownReference, "no vendor of this name is known");
            let allowed =
                format!("one of {}; or `kind: openai` with a `base_url` for any other server", known.join(", "));
            let near = nearest(name, known.iter().copied());
            context.fail(&self.path.key("vendor"), issue.allowed(&allowed).near(near));
            return None;
        }
        Some(found)
    }

    /// Fields that mean nothing for the kind are refused: who wrote them expected something.
    fn check_fields(&self, context: &mut Context<'_>, kind: RawKind, vendor: Option<&VendorRow>) {
        let raw = self.raw;
        let http_only = [
            ("base_url", raw.base_url.is_some()),
            ("api_key", raw.api_key.is_some()),
            ("headers", !raw.headers.0.is_empty()),
            ("http2", raw.http2.is_some()),
            ("ca_file", raw.ca_file.is_some()),
            ("query", raw.query.is_some()),
        ];
        let grpc_only = [
            ("endpoint", raw.endpoint.is_some()),
            ("endpoints", !raw.endpoints.is_empty()),
            ("cert_file", raw.cert_file.is_some()),
            ("key_file", raw.key_file.is_some()),
        ];
        let of_personas =
            [("dir", raw.dir.is_some()), ("upstream", raw.upstream.is_some()), ("model", raw.model.is_some())];
        let mut wrong: Vec<(&str, &str)> = Vec::new();
        let mut refuse = |fields: &[(&'static str, bool)], why: &'static str| {
            wrong.extend(fields.iter().filter(|(_, given)| *given).map(|(field, _)| (*field, why)));
        };
        let vendor = [("vendor", raw.vendor.is_some() && vendor.is_some())];
        match kind {
            RawKind::Simulated => {
                refuse(&http_only, "a simulated provider is reached over no network");
                refuse(&grpc_only, "a simulated provider is reached over no network");
                refuse(&vendor, "a simulated provider has no vendor");
            }
            RawKind::Openai => refuse(&grpc_only, "only a provider of kind `grpc` has adapters"),
            RawKind::Ollama => {
                refuse(&grpc_only, "only a provider of kind `grpc` has adapters");
                refuse(&vendor, "a provider of kind `ollama` has no vendor");
            }
            RawKind::Persona => {
                refuse(&grpc_only, "only a provider of kind `grpc` has adapters");
                if raw.upstream.is_some() {
                    refuse(&http_only, "the provider that `upstream` names says that");
                    refuse(&vendor, "the provider that `upstream` names says that");
                }
            }
            RawKind::Grpc => {
                let others: Vec<_> = http_only.into_iter().filter(|(field, _)| *field != "ca_file").collect();
                refuse(&others, "what an adapter asks is set where the adapter runs");
                refuse(&vendor, "what an adapter asks is set where the adapter runs");
            }
        }
        if kind != RawKind::Simulated {
            refuse(&[("simulated", raw.simulated.is_some())], "only a provider of kind `simulated` pretends");
        }
        if kind != RawKind::Persona {
            refuse(&of_personas, "only a provider of kind `persona` has personas");
        }
        for (field, message) in wrong {
            let issue = Issue::new(Code::Conflict, message).allowed("no such field here, or another `kind`");
            context.fail(&self.path.key(field), issue);
        }
    }

    fn http(
        &self,
        context: &mut Context<'_>,
        kind: RawKind,
        vendor: Option<&VendorRow>,
        timeouts: Timeouts,
    ) -> Option<HttpProvider> {
        // Every part is checked before the first one that is wrong ends the matter.
        let base = self.base_url(context, kind, vendor);
        let api_key = self.api_key(context, vendor);
        let headers = self.headers(context);
        let query = self.query(context);
        let file = self.raw.ca_file.as_deref();
        let authorities = file.and_then(|file| tls::authorities(context, &self.path.key("ca_file"), file));
        let (base_url, base_uri) = base?;
        if file.is_some() && base_uri.scheme_str() == Some("http") {
            context
                .warnings
                .push(format!("provider `{}` is reached without TLS; its `ca_file` is not used", self.name));
        }
        Some(HttpProvider {
            vendor: vendor.map(|row| Arc::from(row.name.as_str())),
            base_url,
            base_uri,
            api_key: api_key?,
            headers,
            query,
            timeouts,
            http2: self.raw.http2.unwrap_or_default(),
            authorities,
        })
    }

    fn base_url(&self, context: &mut Context<'_>, kind: RawKind, vendor: Option<&VendorRow>) -> Option<(String, Uri)> {
        let (variable, named) = match kind {
            RawKind::Ollama => (Some(OLLAMA_BASE_URL), self.name == "ollama"),
            RawKind::Persona => (Some(PERSONA_MODEL_ENDPOINT), self.name == "persona"),
            _ if vendor.is_some_and(|row| row.name == "openai") => (Some(OPENAI_BASE_URL), self.name == "openai"),
            _ => (None, false),
        };
        let from_env = variable.filter(|_| named || self.raw.base_url.is_none());
        if let Some((variable, text)) = from_env.and_then(|name| Some((name, env::set(context.env, name)?))) {
            return match parse_url(&text, self.own) {
                Ok(parsed) => Some(parsed),
                Err(issue) => {
                    context.errors.push(ConfigError::of_environment(variable, issue));
                    None
                }
            };
        }
        let default = match kind {
            RawKind::Ollama => Some(OLLAMA),
            _ => vendor.and_then(VendorRow::usable_base_url),
        };
        let path = self.path.key("base_url");
        let Some(text) = self.raw.base_url.as_deref().or(default) else {
            let issue = Issue::new(Code::MissingField, "the field `base_url` is missing");
            let template = vendor.and_then(|row| row.base_url.as_deref());
            let example = template.unwrap_or("https://api.example.com/v1");
            context.fail(&path, issue.allowed(&format!("a URL such as `{example}`")));
            return None;
        };
        parse_url(text, self.own).map_err(|issue| context.fail(&path, issue)).ok()
    }

    /// The inner `None` is no key; the outer one is a key that is wrong.
    fn api_key(&self, context: &mut Context<'_>, vendor: Option<&VendorRow>) -> Option<Option<Secret>> {
        let path = self.path.key("api_key");
        let variable = vendor.and_then(|row| row.key_env.as_deref());
        let named = self.name == "openai" && variable == Some(OPENAI_API_KEY);
        let from_env =
            variable.filter(|_| named || self.raw.api_key.is_none()).and_then(|name| env::set(context.env, name));
        if let Some(text) = from_env {
            return Some(Some(Secret::new(&text)));
        }
        if let Some(source) = &self.raw.api_key {
            return secrets::read(context, &path, source).map(Some);
        }
        if let Some(row) = vendor.filter(|row| row.key_required && self.raw.base_url.is_none()) {
            let issue = Issue::new(Code::MissingField, &format!("{} refuses requests without a key", row.name));
            let allowed = match &row.key_env {
                Some(name) => format!("set {name}, or write `api_key: {{ env: NAME }}`"),
                None => "`api_key: { env: NAME }`".to_owned(),
            };
            context.fail(&path, issue.allowed(&allowed));
            return None;
        }
        Some(None)
    }

    /// The settings of a simulated provider, each of whose faults has a place in the file.
    fn simulated(&self, context: &mut Context<'_>) -> SimulatedConfig {
        let config = self.raw.simulated.clone().unwrap_or_default();
        for fault in config.faults() {
            let mut path = self.path.key("simulated");
            // A model's name may hold points, so the path is not simply split at them.
            let models = config.models.keys();
            let inside = models.filter_map(|name| Some((name, fault.path.strip_prefix(&format!("models.{name}."))?)));
            match inside.max_by_key(|(name, _)| name.len()) {
                Some((name, fields)) => {
                    path = fields.split('.').fold(path.key("models").key(name), |path, field| path.key(field));
                }
                None => path = path.key("models"),
            }
            let issue = Issue::new(Code::OutOfRange, &fault.problem);
            context.fail(&path, issue.allowed("what docs/configuration.md says of this field"));
        }
        config
    }

    fn query(&self, context: &mut Context<'_>) -> String {
        let query = self.raw.query.as_deref().unwrap_or_default().trim_start_matches('?');
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>');
        if !query.bytes().all(fits) {
            let issue = Issue::new(Code::BadValue, "this cannot be the query of a URL");
            context
                .fail(&self.path.key("query"), issue.allowed("`name=value`, several joined by `&`, percent-encoded"));
        }
        query.to_owned()
    }

    fn headers(&self, context: &mut Context<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (name, source) in &self.raw.headers.0 {
            let path = self.path.key("headers").key(name);
            let Some(header) = header_name(name) else {
                let issue = Issue::new(Code::BadValue, "this cannot be the name of an added header")
                    .found(&format!("`{name}`"));
                let allowed = "letters, digits and `-`; not a header that belongs to the connection or the body";
                context.fail_name(&path, issue.allowed(allowed));
                continue;
            };
            let value =
                secrets::read(context, &path, source).and_then(|secret| HeaderValue::try_from(secret.expose()).ok());
            if let Some(mut value) = value {
                value.set_sensitive(true);
                headers.push((header, value));
            }
        }
        headers
    }
}

/// A header that may be added: not one that the HTTP client sets itself.
fn header_name(name: &str) -> Option<HeaderName> {
    const OWNED: [&str; 9] = [
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let header = HeaderName::try_from(name).ok()?;
    (!OWNED.contains(&header.as_str())).then_some(header)
}

/// Checks a base URL and cuts the slashes at its end.
fn parse_url(text: &str, own: [SocketAddr; 2]) -> Result<(String, Uri), Issue> {
    let allowed = "a URL with scheme and host, such as `https://api.openai.com/v1`";
    let wrong = |message: &str| Issue::new(Code::BadValue, message).allowed(allowed);
    let text = text.trim().trim_end_matches('/');
    let uri: Uri = text.parse().map_err(|_| wrong("this is not a URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("this URL lacks its scheme or its host"));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(wrong("this scheme is not spoken here").allowed("`http` or `https`"));
    }
    if authority.as_str().contains('@') {
        return Err(wrong("a URL must not hold a user name or a password")
            .found("a URL with credentials")
            .allowed("the credentials in `api_key` or `headers`"));
    }
    if authority.host().is_empty() || uri.query().is_some() || text.contains('#') {
        return Err(wrong("this URL has no host, or has a query or a fragment"));
    }
    // Without user name and port, an authority is its host alone.
    if authority.as_str().len() > authority.host().len() && authority.port_u16().is_none() {
        return Err(wrong("the port of this URL is not a number from 0 to 65535"));
    }
    if is_own(authority, scheme, own) {
        let issue = Issue::new(Code::Conflict, "this is the router's own address: it would call itself without end");
        return Err(issue.allowed("the address of a provider"));
    }
    Ok((text.to_owned(), uri))
}

fn is_own(authority: &http::uri::Authority, scheme: &str, own: [SocketAddr; 2]) -> bool {
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let host = authority.host().trim_matches(['[', ']']);
    let ip: Option<IpAddr> = if host == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { host.parse().ok() };
    let Some(ip) = ip else { return false };
    own.iter().any(|own| own.port() == port && (own.ip() == ip || own.ip().is_unspecified() && ip.is_loopback()))
}
