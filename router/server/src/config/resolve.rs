//! From the file's shape to the checked configuration. Every problem is collected; the first one stops nothing.

mod context;
mod endpoints;
mod flow;
mod models;
mod money;
mod operation;
mod personas;
mod providers;
mod remote;
mod routes;
mod secrets;
mod tenants;
mod tls;

use std::net::SocketAddr;

use super::env::{Overrides, ROUTER_HOST};
use super::error::{Code, ConfigError, Issue};
use super::path::FieldPath;
use super::raw::RawConfig;
use super::resolved::Resolved;

pub(super) use self::context::Context;
pub(crate) use self::models::is_name as is_model_name;
pub(super) use self::operation::{LEVELS, is_level};
pub(crate) use self::secrets::is_label;

/// The default of `listen`.
const LISTEN: &str = "127.0.0.1:7443";
/// The default of `admin.listen`.
const ADMIN_LISTEN: &str = "127.0.0.1:7444";
/// More threads than any machine of today has processors.
const MAX_WORKERS: usize = 1024;

/// Checks everything. The result may be used only where the context has no errors.
pub(super) fn resolve(raw: &RawConfig, context: &mut Context<'_>) -> Resolved {
    let overrides = Overrides::read(context.env, &mut context.errors);
    let listen = address(raw.listen.map(|listen| listen.0), LISTEN, overrides.host, overrides.port);
    let admin = raw.admin.listen.map(|listen| listen.0);
    let admin_listen = address(admin, ADMIN_LISTEN, overrides.admin_host, overrides.admin_port);
    check_addresses(raw, context, &overrides, [listen, admin_listen]);
    let providers = providers::resolve(raw, context, [listen, admin_listen]);
    let flow = flow::defaults(raw, context, &overrides);
    let models = models::resolve(raw, context, &providers, &flow);
    let routes = routes::resolve(raw, context, &models);
    let limits = operation::limits(raw, context, &overrides);
    let (keys, tenants) =
        secrets::keys(raw, context, &secrets::Common { rps: limits.rps, qos: flow.qos, models: &models });
    let money = money::resolve(raw, context, &tenants, &keys);
    Resolved {
        file: context.file.clone(),
        listen,
        admin_listen,
        workers: workers(raw, context, &overrides),
        tls: raw.tls.as_ref().and_then(|tls| tls::load(tls, context)),
        providers,
        adapters: remote::adapters(raw, context),
        models,
        routes,
        keys,
        tenants,
        money,
        allow_anonymous: raw.allow_anonymous.unwrap_or(false),
        flow,
        limits,
        retry: operation::retry(raw, context),
        drain: operation::drain(raw, context),
        logs: operation::logs(raw, context, &overrides),
        ledger: operation::ledger(raw, context, &overrides),
        decisions: money::decisions(raw, context, &overrides),
        observations: money::observations(raw, context, &overrides),
        metrics_on_router_port: raw.metrics.router_port.unwrap_or(true),
        warnings: std::mem::take(&mut context.warnings),
        watched: std::mem::take(&mut context.watched),
    }
}

/// The address of the file, or the default, with what the environment overrides.
fn address(file: Option<SocketAddr>, default: &str, host: Option<std::net::IpAddr>, port: Option<u16>) -> SocketAddr {
    let unset = || default.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut address = file.unwrap_or_else(unset);
    if let Some(host) = host {
        address.set_ip(host);
    }
    if let Some(port) = port {
        address.set_port(port);
    }
    address
}

fn workers(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides) -> usize {
    if let Some(workers) = raw.workers
        && !(1..=MAX_WORKERS).contains(&workers)
    {
        let issue = Issue::new(Code::OutOfRange, "this number of workers is not possible");
        context.fail(&FieldPath::of(&["workers"]), issue.allowed("a whole number from 1 to 1024"));
    }
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    overrides.workers.or(raw.workers).unwrap_or_else(processors).clamp(1, MAX_WORKERS)
}

fn check_addresses(raw: &RawConfig, context: &mut Context<'_>, overrides: &Overrides, own: [SocketAddr; 2]) {
    let [listen, admin] = own;
    let same_host = listen.ip() == admin.ip() || listen.ip().is_unspecified() || admin.ip().is_unspecified();
    if listen.port() != 0 && listen.port() == admin.port() && same_host {
        let issue = Issue::new(Code::Conflict, "callers and the admin port would share one address");
        context.fail(&FieldPath::of(&["admin", "listen"]), issue.found(&format!("`{admin}`")).allowed("another port"));
    }
    let keyless = raw.keys.is_empty() && !context.is_reported(&FieldPath::of(&["keys"]));
    if keyless && raw.allow_anonymous != Some(true) && !listen.ip().is_loopback() {
        let message = "without API keys, the router serves only its own machine, and this address is open to others";
        let issue = Issue::new(Code::Conflict, message).found(&format!("`{listen}`"));
        let issue = issue.allowed(
            "a loopback address such as `127.0.0.1:7443`; or a file with `keys: [ { name: app, key: { env: APP_KEY } } ]`; \
             or with `allow_anonymous: true`, if everybody who can connect may spend what the providers charge",
        );
        match overrides.host {
            Some(_) => context.errors.push(ConfigError::of_environment(ROUTER_HOST, issue)),
            None => context.fail(&FieldPath::of(&["listen"]), issue),
        }
    }
}
