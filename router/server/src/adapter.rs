//! One adapter as a process of its own: the provider that a configuration names, behind the door of `AdapterService`.
//!
//! It starts like the router, from a configuration; it holds one provider and no request path. A data plane of one
//! thread per worker shares the door; the control plane registers with routers, reports, follows the certificate's
//! files, and leaves in order: registered no more, nothing new accepted, calls finish, then it ends.

mod estimates;
mod facts;
mod local;
mod member;
mod plane;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atp_adapters::remote::client::Place;
use atp_adapters::remote::host::Host;
use atp_core::{Secret, port};
use tokio::sync::watch;

use crate::config::Resolved;
use crate::config::resolved::{self, Trust};
use crate::fleet::Fleet;
use crate::providers::{self, With};
use crate::reload::{self, Watch};
use crate::run::start_logs;
use crate::signals::{Said, Signals};
use crate::start::StartError;

use self::member::Member;
use self::plane::{Doors, Plane};

/// What `atp adapter` was asked for.
#[derive(Debug, Clone)]
pub struct AdapterStart {
    /// Where its provider is configured.
    pub source: AdapterSource,
    /// The name under which it registers; the provider's where none is given.
    pub name: Option<String>,
    /// Its own name among its replicas; host and process where none is given.
    pub id: Option<String>,
    /// Where it listens: `host:port` or `unix:/path`.
    pub listen: String,
    /// The files of its certificate and key.
    pub tls: Option<[PathBuf; 2]>,
    /// The file of the authorities by which routers have to be known (mutual TLS).
    pub client_ca: Option<PathBuf>,
    /// The routers that it registers with.
    pub routers: Vec<String>,
    /// What it shows them.
    pub token: Option<Secret>,
    /// Where they reach it, if that is another place than where it listens.
    pub advertise: Option<String>,
    /// The file of authorities that are trusted for routers beside the public ones.
    pub router_ca: Option<PathBuf>,
    /// Data-plane threads.
    pub workers: usize,
    /// How long calls under way may take once it is leaving.
    pub grace: Duration,
}

/// What a model in this process is configured beside.
const LOCAL: &str = "providers: { local: { kind: simulated } }";

/// Where an adapter's provider is configured.
#[derive(Debug, Clone)]
pub enum AdapterSource {
    /// In a file, by this name; the only one where none is given.
    File(PathBuf, Option<String>),
    /// By the fields of a provider, as the file writes them.
    Fields(String),
    /// A model in this process, by its file.
    Local(LocalModel),
}

/// A model that is run in the adapter's own process.
#[derive(Debug, Clone)]
pub struct LocalModel {
    /// The GGUF file.
    pub file: PathBuf,
    /// The name under which it is asked for.
    pub name: String,
    /// The most tokens of prompt and answer together, where that is to be fewer than the file says.
    pub context: Option<u32>,
    /// How many requests are answered at the same time.
    pub slots: usize,
    /// How many more may wait.
    pub line: usize,
}

/// What runs now.
#[derive(Debug, Clone)]
pub struct AdapterStarted {
    /// Where it listens.
    pub place: String,
    /// The name under which it registers.
    pub name: String,
    /// Its own name among its replicas.
    pub id: String,
    /// The provider's kind.
    pub kind: String,
    /// The models; none where any name is passed on.
    pub models: Vec<String>,
    /// The routers that it registers with.
    pub routers: Vec<String>,
}

/// Runs an adapter until a signal ends it. `started` is told once it listens.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run_adapter(start: AdapterStart, started: &mut dyn FnMut(&AdapterStarted)) -> Result<(), StartError> {
    let config = load(&start.source)?;
    let logs = start_logs(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::io("the control plane"))?;
    let outcome = runtime.block_on(serve(start, &config, started));
    // Whether or not they could be written, nothing is left that could tell it.
    let _ = logs.flush(Duration::from_secs(5));
    outcome
}

async fn serve(
    start: AdapterStart,
    config: &Resolved,
    started: &mut dyn FnMut(&AdapterStarted),
) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(StartError::io("signals"))?;
    let chosen = choose(config, &start.source)?;
    let id = start.id.clone().unwrap_or_else(facts::own_id);
    let (provider, facts) = match &start.source {
        AdapterSource::Local(model) => (local::open(model).map_err(StartError::Other)?, facts::of_local(model, id)),
        AdapterSource::File(..) | AdapterSource::Fields(_) => {
            (provider(config, chosen, start.workers)?, facts::of(config, chosen, id))
        }
    };
    let name = start.name.clone().unwrap_or_else(|| chosen.name.to_string());
    let estimates = Arc::new(estimates::Learned::new(config, chosen));
    let host = Host::new(provider, facts.clone(), estimates, config.limits.max_body);
    let (leave, leaving) = watch::channel(false);
    let doors = Doors::open(&start.listen, start.workers).await.map_err(StartError::io("--listen"))?;
    let place = doors.place(start.tls.is_some());
    let tls = start.tls.as_ref().map(|files| plane::Secured::load(files, start.client_ca.as_deref())).transpose()?;
    let plane = Plane::start(doors, &host, tls.as_ref(), start.grace, &leaving).map_err(StartError::io("--listen"))?;
    started(&AdapterStarted {
        place: place.clone(),
        name: name.clone(),
        id: facts.adapter_id.clone(),
        kind: facts.adapter_type.clone(),
        models: facts.models.clone(),
        routers: start.routers.clone(),
    });
    let trust = Trust { authorities: router_ca(start.router_ca)?, identity: None };
    let endpoint = start.advertise.clone().unwrap_or(place);
    let members = start.routers.iter().map(|router| {
        let router = Place::parse(router).map_err(|error| StartError::Other(error.to_string()))?;
        let member = Member::new(&router, &trust, start.token.as_ref()).map_err(StartError::Other)?;
        Ok(member.stay(name.clone(), endpoint.clone(), host.clone(), leaving.clone()))
    });
    let members: Vec<_> = members.collect::<Result<_, StartError>>()?;
    let staying = futures_util::future::join_all(members);
    let told = async {
        until_told(&mut signals, tls.as_ref()).await;
        host.health().leave();
        // Nobody is left to hear it where the planes have ended already.
        let _ = leave.send(true);
        signals
    };
    let (_, mut signals) = tokio::join!(staying, told);
    tokio::select! {
        () = plane.ended() => {}
        () = signals.end() => tracing::warn!("told twice to end: calls under way are cut"),
    }
    Ok(())
}

/// Waits for the signal to end; puts a new certificate in force where its files have changed.
async fn until_told(signals: &mut Signals, tls: Option<&plane::Secured>) {
    let mut files = Watch::on(tls.map(plane::Secured::files).unwrap_or_default());
    loop {
        tokio::select! {
            said = signals.next() => match said {
                Said::End => return,
                Said::Reload => plane::Secured::renew(tls),
            },
            () = files.changed() => plane::Secured::renew(tls),
        }
    }
}

fn provider(
    config: &Resolved,
    chosen: &resolved::Provider,
    workers: usize,
) -> Result<Arc<dyn port::Provider>, StartError> {
    let fleet = Fleet::offline(config).map_err(StartError::other)?;
    let wired = providers::wire(std::slice::from_ref(chosen), &[], &With { workers, fleet: &fleet });
    let provider = wired.map_err(StartError::Other)?.into_iter().next().map(|wired| wired.provider);
    provider.ok_or_else(|| StartError::Other("the configuration holds no provider".to_owned()))
}

fn load(source: &AdapterSource) -> Result<Resolved, StartError> {
    match source {
        AdapterSource::File(file, _) => reload::load(Some(file)).map_err(StartError::Config),
        AdapterSource::Fields(fields) => reload::load_text(fields).map_err(StartError::Config),
        // What holds of a process without a file; its own provider takes the place of the simulated one.
        AdapterSource::Local(_) => reload::load_text(LOCAL).map_err(StartError::Config),
    }
}

/// The provider that is meant.
fn choose<'c>(config: &'c Resolved, source: &AdapterSource) -> Result<&'c resolved::Provider, StartError> {
    let named = match source {
        AdapterSource::File(_, named) => named.as_deref(),
        AdapterSource::Fields(_) | AdapterSource::Local(_) => None,
    };
    let names = || config.providers.iter().map(|each| format!("`{}`", each.name)).collect::<Vec<_>>().join(", ");
    match (named, config.providers.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(StartError::Other(format!("the file holds several providers; name one of {}", names()))),
        (Some(name), all) => all.iter().find(|each| *each.name == *name).ok_or_else(|| {
            StartError::Other(format!("no provider of the file is called `{name}`; there is {}", names()))
        }),
    }
}

fn router_ca(file: Option<PathBuf>) -> Result<Option<resolved::Authorities>, StartError> {
    let Some(file) = file else { return Ok(None) };
    let pem = std::fs::read(&file)
        .map_err(|error: io::Error| StartError::Other(format!("--router-ca {}: {error}", file.display())))?;
    Ok(Some(resolved::Authorities { file, pem: pem.into() }))
}
