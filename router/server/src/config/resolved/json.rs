//! The configuration as JSON, laid out as the file is, without any secret.

mod choice;

use std::time::Duration;

use atp_adapters::persona::{Persona, Tools};
use atp_core::{Price, Quality, Timeouts};
use serde_json::{Value, json};

use self::choice::{budgets_json, facts_into, journal_json, millis, route_json, tenants_json, usd};
use super::super::value::show_span;
use super::{
    Adapters, Breaker, Cache, Flow, Hedge, HttpProvider, Key, LedgerSettings, Limits, Model, Money, OnDisconnect,
    Provider, ProviderKind, Queue, RateLimit, Resolved, Target, TargetPrice, Tenant, Tls, Trust, Window,
};

/// What stands in place of a secret: stars to show, a fingerprint to compare.
pub(crate) type Hide = fn(&[u8]) -> Value;

impl Model {
    /// What is known of it, for the admin port.
    #[must_use]
    pub fn facts_json(&self) -> Value {
        let mut fields = serde_json::Map::new();
        facts_into(&mut fields, &self.facts);
        Value::Object(fields)
    }
}

impl Resolved {
    /// The routes, for the admin port.
    #[must_use]
    pub fn routes_json(&self) -> Value {
        self.routes.iter().map(route_json).collect()
    }

    /// The whole configuration as JSON, for the admin port: every default filled in, stars in place of secrets.
    #[must_use]
    pub fn redacted_json(&self) -> Value {
        self.json(|_| json!("***"))
    }

    /// The same with `hide` in place of secrets.
    pub(crate) fn json(&self, hide: Hide) -> Value {
        json!({
            "file": self.file,
            "listen": self.listen.to_string(),
            "admin": { "listen": self.admin_listen.to_string() },
            "workers": self.workers,
            "tls": self.tls.as_ref().map(|tls| tls_json(tls, hide)),
            "providers": self.providers.iter().map(|provider| provider_json(provider, hide)).collect::<Vec<_>>(),
            "adapters": adapters_json(&self.adapters, hide),
            "models": self.models.iter().map(model_json).collect::<Vec<_>>(),
            "routes": self.routes_json(),
            "keys": self.keys.iter().map(|key| key_json(key, &self.tenants, hide)).collect::<Vec<_>>(),
            "tenants": tenants_json(&self.money),
            "allow_anonymous": self.allow_anonymous,
            "flow": flow_json(&self.flow),
            "limits": limits_json(&self.limits, &self.money),
            "retry": {
                "max_attempts": self.retry.max_attempts,
                "budget_ratio": self.retry.budget_ratio,
                "budget_floor": self.retry.budget_floor,
                "backoff": { "base": show_span(self.retry.backoff_base), "cap": show_span(self.retry.backoff_cap) },
                "max_wait": show_span(self.retry.max_wait),
            },
            "drain": { "min_delay": show_span(self.drain.min_delay), "grace": show_span(self.drain.grace) },
            "logs": { "level": self.logs.level, "format": self.logs.format, "requests": self.logs.requests },
            "ledger": ledger_json(&self.ledger),
            "decisions": journal_json(&self.decisions),
            "observations": journal_json(&self.observations),
            "metrics": { "router_port": self.metrics_on_router_port },
        })
    }
}

fn tls_json(tls: &Tls, hide: Hide) -> Value {
    let chain: Vec<u8> = tls.certified.cert.iter().flat_map(|cert| cert.iter().copied()).collect();
    json!({ "cert": tls.cert, "key": tls.key, "certificate": hide(&chain) })
}

fn provider_json(provider: &Provider, hide: Hide) -> Value {
    kind_json(&provider.name, &provider.kind, hide)
}

fn kind_json(name: &str, of: &ProviderKind, hide: Hide) -> Value {
    let kind = of.label();
    match of {
        ProviderKind::Persona(personas) => json!({
            "name": name,
            "kind": kind,
            "dir": personas.dir,
            "upstream": match &personas.of {
                Some(provider) => json!(&**provider),
                None => kind_json(name, &personas.upstream, hide),
            },
            "model": &*personas.model,
            "personas": personas.personas.iter().map(|persona| persona_json(persona, hide)).collect::<Vec<_>>(),
        }),
        ProviderKind::OpenAi(http) | ProviderKind::Ollama(http) => http_json(name, kind, http, hide),
        ProviderKind::Grpc(grpc) => {
            let mut told = json!({
                "name": name,
                "kind": kind,
                "endpoints": grpc.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "timeouts": timeouts_json(&grpc.timeouts),
            });
            trust_into(&mut told, &grpc.trust, hide);
            told
        }
        ProviderKind::Simulated(config) => json!({
            "name": name,
            "kind": kind,
            "seed": config.seed,
            "models": config.models.keys().collect::<Vec<_>>(),
            "settings": hide(format!("{config:?}").as_bytes()),
        }),
    }
}

fn adapters_json(adapters: &Adapters, hide: Hide) -> Value {
    let mut told = json!({
        "token": adapters.token.as_ref().map(|token| hide(token.expose().as_bytes())),
        "report_every": show_span(adapters.report_every),
        "silence": show_span(adapters.silence),
    });
    trust_into(&mut told, &adapters.trust, hide);
    told
}

fn trust_into(told: &mut Value, trust: &Trust, hide: Hide) {
    let Trust { authorities, identity } = trust;
    let Value::Object(fields) = told else { return };
    fields.insert("ca_file".to_owned(), json!(authorities.as_ref().map(|trusted| &trusted.file)));
    fields.insert("authorities".to_owned(), json!(authorities.as_ref().map(|trusted| hide(&trusted.pem))));
    let files = identity.as_ref().map(|identity| &identity.files);
    fields.insert("cert_file".to_owned(), json!(files.map(|[cert, _]| cert)));
    fields.insert("key_file".to_owned(), json!(files.map(|[_, key]| key)));
    let identity = identity.as_ref().map(|identity| hide(&[&identity.pem.chain[..], &identity.pem.key].concat()));
    fields.insert("identity".to_owned(), json!(identity));
}

fn persona_json(persona: &Persona, hide: Hide) -> Value {
    let actions: serde_json::Map<String, Value> = (persona.guard.classes().each())
        .filter_map(|class| Some((class.label().to_owned(), json!(persona.guard.action(class)?.label()))))
        .collect();
    json!({
        "name": &*persona.name,
        "role": persona.role,
        "prompt": hide(persona.prompt.as_bytes()),
        "tools": match &persona.tools {
            Tools::All => json!(["*"]),
            Tools::Named(names) => json!(names),
        },
        "qos_tier": persona.qos.map(atp_core::Qos::label),
        "compliance": actions,
    })
}

fn http_json(name: &str, kind: &str, http: &HttpProvider, hide: Hide) -> Value {
    let headers: serde_json::Map<String, Value> =
        http.headers.iter().map(|(name, value)| (name.as_str().to_owned(), hide(value.as_bytes()))).collect();
    json!({
        "name": name,
        "kind": kind,
        "vendor": http.vendor.as_deref(),
        "base_url": http.base_url,
        "api_key": http.api_key.as_ref().map(|key| hide(key.expose().as_bytes())),
        "headers": headers,
        // A query may carry a key.
        "query": (!http.query.is_empty()).then(|| hide(http.query.as_bytes())),
        "timeouts": timeouts_json(&http.timeouts),
        "http2": http.http2,
        "ca_file": http.authorities.as_ref().map(|trusted| &trusted.file),
        "authorities": http.authorities.as_ref().map(|trusted| hide(&trusted.pem)),
    })
}

fn timeouts_json(timeouts: &Timeouts) -> Value {
    json!({
        "connect": show_span(timeouts.connect),
        "first_byte": show_span(timeouts.first_byte),
        "idle": show_span(timeouts.idle),
        "total": show_span(timeouts.total),
    })
}

fn model_json(model: &Model) -> Value {
    let on_disconnect = match model.on_disconnect {
        OnDisconnect::Cancel => json!("cancel"),
        OnDisconnect::Complete => json!("complete"),
        OnDisconnect::Drain(tokens) => json!({ "drain": tokens }),
    };
    let mut told = json!({
        "name": model.name.as_text(),
        "aliases": model.aliases.iter().map(|alias| &**alias).collect::<Vec<_>>(),
        "targets": model.targets.iter().map(|target| target_json(target, model.weighted)).collect::<Vec<_>>(),
        "on_disconnect": on_disconnect,
        "on_cut": model.on_cut.label(),
        "queue": queue_json(&model.queue),
        "hedge": model.hedge.as_ref().map(hedge_json),
        "coalesce": model.coalesce,
        "cache": model.cache.as_ref().map(cache_json),
    });
    if let Value::Object(fields) = &mut told {
        facts_into(fields, &model.facts);
    }
    told
}

fn target_json(target: &Target, weighted: bool) -> Value {
    let prices = match &target.price {
        TargetPrice::Known(Price { input, output, cached_input }) => {
            json!({ "input": input, "output": output, "cached_input": cached_input })
        }
        TargetPrice::Unknown => json!("unknown"),
        TargetPrice::ByName(_) => json!("shipped table"),
    };
    json!({
        "provider": &*target.provider,
        "model": target.model.as_text(),
        "weight": weighted.then_some(target.weight),
        "timeouts": timeouts_json(&target.timeouts),
        "prices": prices,
        "window": window_json(&target.window),
        "breaker": breaker_json(&target.breaker),
        "prefill": target.prefill,
    })
}

fn key_json(key: &Key, tenants: &[Tenant], hide: Hide) -> Value {
    let hints = key.caller.hints.as_deref();
    json!({
        "name": &*key.caller.key,
        "tenant": &*key.caller.tenant,
        "key": hide(&key.digest),
        "weight": tenants.get(key.caller.tenant_index).map(|tenant| tenant.weight.as_f64()),
        "qos": key.caller.qos.label(),
        "rps_limit": key.rps.map(rate_json),
        "budget": budgets_json(&key.purse.budgets),
        "max_cost_usd": key.purse.request.map(usd),
        "quality": hints.and_then(|hints| hints.quality).map(Quality::label),
        "data_scope": hints.and_then(|hints| hints.data_scope.as_deref()),
        "latency_slo_ms": hints.and_then(|hints| hints.latency_slo).map(millis),
    })
}

fn flow_json(flow: &Flow) -> Value {
    json!({
        "qos": flow.qos.label(),
        "window": window_json(&flow.window),
        "queue": queue_json(&flow.queue),
        "breaker": breaker_json(&flow.breaker),
    })
}

fn window_json(window: &Window) -> Value {
    json!({ "min": window.min, "start": window.start, "max": window.max })
}

fn queue_json(queue: &Queue) -> Value {
    json!({ "max_waiting": queue.max_waiting, "max_wait": show_span(queue.max_wait) })
}

fn breaker_json(breaker: &Breaker) -> Value {
    let Breaker { failures, rest, max_rest } = *breaker;
    json!({ "failures": failures, "rest": show_span(rest), "max_rest": show_span(max_rest) })
}

fn hedge_json(hedge: &Hedge) -> Value {
    let extra = format!("{}%", f64::from(hedge.extra_per_mille) / 10.0);
    json!({ "extra": extra, "after": hedge.after.map(show_span) })
}

fn cache_json(cache: &Cache) -> Value {
    json!({ "ttl": show_span(cache.ttl), "max_bytes": cache.max_bytes, "max_entry": cache.max_entry })
}

fn rate_json(rate: RateLimit) -> Value {
    json!({ "rate": rate.per_second, "burst": rate.burst.get() })
}

fn limits_json(limits: &Limits, money: &Money) -> Value {
    json!({
        "max_body": limits.max_body,
        "max_header": limits.max_header,
        "max_connections": limits.max_connections,
        "max_concurrent": limits.max_concurrent,
        "max_prompt_chars": limits.max_prompt_chars,
        "header_timeout": show_span(limits.header_timeout),
        "body_timeout": show_span(limits.body_timeout),
        "idle_connection_timeout": show_span(limits.idle_connection_timeout),
        "rps": limits.rps.map(rate_json),
        "session_budget": budgets_json(&money.session),
    })
}

fn ledger_json(ledger: &LedgerSettings) -> Value {
    json!({
        "enabled": ledger.enabled,
        "path": ledger.path,
        "queue": ledger.queue,
        "retention": ledger.retention.map(|keep: Duration| show_span(keep)),
    })
}
