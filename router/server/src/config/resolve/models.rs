//! Models: names, targets, prices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use atp_core::{Price, Timeouts};

use super::super::document::shape::nearest;
use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::prices;
use super::super::raw::{RawConfig, RawDisconnect, RawModel, RawPrices, RawTarget};
use super::super::resolved::{
    Flow, Model, ModelName, OnDisconnect, Provider, ProviderKind, Target, TargetModel, TargetPrice,
};
use super::flow::{self, Lanes};
use super::{Context, endpoints, providers, routes};

/// A dollar a token: beyond it, somebody wrote prices in another unit.
const MAX_PRICE: u64 = 1_000_000_000_000;
/// The largest weight.
const MAX_WEIGHT: u64 = 1_000_000;
/// The longest name of a model.
const MAX_NAME: usize = 256;

/// The providers that targets may name.
struct Providers<'a> {
    /// Those that can be used.
    right: &'a [Provider],
    /// The names of all, also of those that are wrong.
    written: BTreeSet<&'a str>,
    /// What holds for a target that says nothing of it.
    flow: &'a Flow,
}

/// Every model in configured order.
pub(super) fn resolve(raw: &RawConfig, context: &mut Context<'_>, providers: &[Provider], flow: &Flow) -> Vec<Model> {
    let path = FieldPath::of(&["models"]);
    // Names first: an alias may be given before the model whose name it takes.
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for name in context.document.names(&path) {
        taken.insert(name.to_owned(), path.key(name).to_string());
    }
    let written = raw.providers.0.iter().map(|(name, _)| name.as_str());
    let document = context.document;
    let written = written.chain(document.names(&FieldPath::of(&["providers"]))).collect();
    let providers = Providers { right: providers, written, flow };
    let mut lanes = Lanes::default();
    let mut models = Vec::new();
    for (name, raw) in &raw.models.0 {
        let path = path.key(name);
        let parsed = name_of(context, &path, name);
        let aliases = aliases(context, &path, raw, &mut taken);
        let targets = targets(context, &path, name, raw, &providers, &mut lanes);
        let Some(name) = parsed else { continue };
        let mut facts = routes::facts(context, &path, raw);
        facts.capabilities = facts.capabilities.or_else(|| endpoints::by_name(&targets));
        let weighted = raw.targets.iter().any(|(_, target)| target.weight.is_some());
        models.push(Model {
            name,
            aliases,
            targets,
            weighted,
            on_disconnect: disconnect(context, &path, raw),
            on_cut: flow::on_cut(context, &path, raw),
            queue: flow::queue(context, &path, raw.queue, flow.queue),
            hedge: flow::hedge(context, &path, raw),
            coalesce: raw.coalesce.unwrap_or(false),
            cache: flow::cache(context, &path, raw),
            facts,
        });
    }
    // Another target may have spoken for a lane after this one.
    for target in models.iter_mut().flat_map(|model| &mut model.targets) {
        (target.window, target.breaker) = lanes.of(target.provider_index, &target.model, flow);
    }
    if raw.models.0.is_empty() && context.document.names(&path).is_empty() {
        context.warnings.push("no models are configured: only `/providers/{name}/*` can be asked".to_owned());
    }
    models
}

/// Whether this can be asked for, as a model or as a route.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}

const NAME: &str = "1 to 256 bytes without white space, with at most one `*`";

fn name_of(context: &mut Context<'_>, path: &FieldPath, name: &str) -> Option<ModelName> {
    let parsed = ModelName::parse(name).filter(|_| is_name(name));
    if parsed.is_none() {
        let issue = Issue::new(Code::BadValue, "this cannot be the name of a model");
        context.fail_name(path, issue.found(&format!("{name:?}")).allowed(NAME));
    }
    parsed
}

fn aliases(
    context: &mut Context<'_>,
    path: &FieldPath,
    raw: &RawModel,
    taken: &mut BTreeMap<String, String>,
) -> Vec<Arc<str>> {
    let path = path.key("aliases");
    let mut aliases = Vec::new();
    for (place, alias) in raw.aliases.iter() {
        let path = path.index(place);
        if !is_name(alias) || alias.contains('*') {
            let issue = Issue::new(Code::BadValue, "this cannot be an alias");
            context.fail(&path, issue.allowed("a name without white space and without `*`"));
        } else if let Some(first) = taken.get(alias) {
            let issue = Issue::new(Code::Duplicate, &format!("this name is taken already by {first}"));
            context.fail(&path, issue.allowed("a name that no model and no other alias has"));
        } else {
            taken.insert(alias.clone(), path.to_string());
            aliases.push(Arc::from(alias.as_str()));
        }
    }
    aliases
}

fn disconnect(context: &mut Context<'_>, path: &FieldPath, raw: &RawModel) -> OnDisconnect {
    match raw.on_disconnect {
        None | Some(RawDisconnect::Cancel) => OnDisconnect::Cancel,
        Some(RawDisconnect::Complete) => OnDisconnect::Complete,
        Some(RawDisconnect::Drain(tokens)) => {
            let path = path.key("on_disconnect").key("drain");
            OnDisconnect::Drain(context.number(&path, Some(tokens), 1..=10_000_000, 1))
        }
    }
}

fn targets(
    context: &mut Context<'_>,
    path: &FieldPath,
    name: &str,
    raw: &RawModel,
    providers: &Providers<'_>,
    lanes: &mut Lanes,
) -> Vec<Target> {
    if raw.targets.is_empty() {
        let issue = Issue::new(Code::MissingField, "a model without targets can answer nothing");
        context.fail(&path.key("targets"), issue.allowed("at least one `{ provider: NAME }`"));
    }
    let model_prices = raw.prices.map(|prices| price(context, &path.key("prices"), prices));
    // For the checks alone; what counts is merged for each target.
    providers::timeouts(context, path, &raw.timeouts, Timeouts::default());
    let mut targets = Vec::new();
    for (place, target) in raw.targets.iter() {
        let path = path.key("targets").index(place);
        let own_prices = target.prices.map(|prices| price(context, &path.key("prices"), prices));
        let weight = context.number(&path.key("weight"), target.weight, 1..=MAX_WEIGHT, 1);
        let model = target_model(context, &path, name, target);
        let Some((index, provider)) = find_provider(context, &path, target, providers) else { continue };
        known_persona(context, &path, provider, &model);
        lanes.learn(context, &path, target, providers.flow, (index, &model));
        let outer = provider.kind.timeouts();
        let timeouts = providers::timeouts(context, &path, &target.timeouts, raw.timeouts.over(outer));
        let price = match own_prices.or(model_prices) {
            Some(price) => TargetPrice::Known(price),
            None => table_price(context, name, provider, &model),
        };
        targets.push(Target {
            provider: Arc::clone(&provider.name),
            provider_index: index,
            model,
            weight: u32::try_from(weight).unwrap_or(1),
            timeouts,
            price,
            window: providers.flow.window,
            breaker: providers.flow.breaker,
            prefill: target.prefill.unwrap_or(false),
        });
    }
    targets
}

/// The provider that a target names. One that is in the file but wrong has been reported at its own place.
fn find_provider<'p>(
    context: &mut Context<'_>,
    path: &FieldPath,
    target: &RawTarget,
    of: &Providers<'p>,
) -> Option<(usize, &'p Provider)> {
    let name = target.provider.as_str();
    let found = of.right.iter().enumerate().find(|(_, provider)| *provider.name == *name);
    if found.is_none() && !of.written.contains(&name) {
        let issue = Issue::new(Code::UnknownReference, "no provider of this name is configured");
        let known: Vec<String> = of.written.iter().map(|known| format!("`{known}`")).collect();
        let near = nearest(name, of.written.iter().copied());
        let allowed = if known.is_empty() { "a provider of `providers`".to_owned() } else { known.join(", ") };
        context.fail(&path.key("provider"), issue.allowed(&allowed).near(near));
    }
    found
}

/// A target in front of personas names one of them.
fn known_persona(context: &mut Context<'_>, path: &FieldPath, provider: &Provider, model: &TargetModel) {
    let (ProviderKind::Persona(personas), TargetModel::Fixed(name)) = (&provider.kind, model) else { return };
    // Where one of them is wrong, that has been reported, and it may be this one.
    if personas.persona(name).is_some() || context.errors.iter().any(|error| error.source != context.source) {
        return;
    }
    let names = || personas.personas.iter().map(|persona| &*persona.name);
    let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
    let issue = Issue::new(Code::UnknownReference, "the provider has no persona of this name");
    context.fail(
        &path.key("model"),
        issue.found(&format!("`{name}`")).allowed(&known.join(", ")).near(nearest(name, names())),
    );
}

/// The provider's name for the model. A pattern needs to know where its `*` goes.
fn target_model(context: &mut Context<'_>, path: &FieldPath, name: &str, raw: &RawTarget) -> TargetModel {
    let pattern = name.contains('*');
    // Of `groq/*`, what stands before the slash is ours, not the provider's.
    let default = if pattern {
        name.rsplit_once('/').filter(|(_, rest)| rest.contains('*')).map_or(name, |(_, rest)| rest)
    } else {
        name
    };
    let text = raw.model.as_deref().unwrap_or(default);
    // Without a name of its own, a wrong one is the model's, which has been reported.
    let wrong = !is_name(text) || text.matches('*').count() > 1 || (text.contains('*') && !pattern);
    if wrong && raw.model.is_some() {
        let issue = Issue::new(Code::BadValue, "this cannot be a provider's name for the model");
        context.fail(
            &path.key("model"),
            issue.allowed("a name without white space; a `*` only where the model's name has one"),
        );
    }
    match text.split_once('*') {
        Some((prefix, suffix)) => TargetModel::Matched { prefix: Arc::from(prefix), suffix: Arc::from(suffix) },
        None => TargetModel::Fixed(Arc::from(text)),
    }
}

fn price(context: &mut Context<'_>, path: &FieldPath, raw: RawPrices) -> Price {
    let cached = raw.cached_input.unwrap_or(raw.input);
    for (field, value) in [("input", raw.input), ("output", raw.output), ("cached_input", cached)] {
        if value > MAX_PRICE {
            let issue = Issue::new(Code::OutOfRange, "this is more than a dollar for each token");
            context.fail(&path.key(field), issue.allowed("micro-dollars per million tokens: $2.50 is 2500000"));
        }
    }
    Price { input: raw.input, output: raw.output, cached_input: cached }
}

/// What the shipped table knows. An unknown price is said aloud, and never counts as zero.
fn table_price(context: &mut Context<'_>, name: &str, provider: &Provider, model: &TargetModel) -> TargetPrice {
    let vendor = provider.kind.http().and_then(|http| http.vendor.clone());
    let known = match (&provider.kind, model) {
        // What answers for every persona is one model.
        (ProviderKind::Persona(personas), _) => shipped_price(&personas.upstream, &personas.model),
        (_, TargetModel::Matched { .. }) => return TargetPrice::ByName(vendor),
        (kind, TargetModel::Fixed(target)) => shipped_price(kind, target),
    };
    match known {
        Some(price) => TargetPrice::Known(price),
        None => {
            context.warnings.push(format!(
                "the price of model `{name}` at provider `{}` is not known: its cost is not counted; add `prices` to \
                 the model, with zeros if it is free",
                provider.name
            ));
            TargetPrice::Unknown
        }
    }
}

fn shipped_price(kind: &ProviderKind, model: &str) -> Option<Price> {
    match kind {
        ProviderKind::Simulated(config) => config.price(model),
        ProviderKind::OpenAi(http) | ProviderKind::Ollama(http) => {
            prices::shipped().lookup(http.vendor.as_deref(), model)
        }
        ProviderKind::Grpc(_) => prices::shipped().lookup(None, model),
        ProviderKind::Persona(personas) => shipped_price(&personas.upstream, &personas.model),
    }
}
