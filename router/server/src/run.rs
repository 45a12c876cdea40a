//! From nothing to a serving router and back: every step is one call, and every failure says what
//! it is.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use atp_core::port::Gateway;
use atp_dialects::openai;
use atp_ingress::listen::{Connections, Wire};
use atp_ingress::{Drain, Entrance, Services};
use atp_pipeline::metrics::Registrar;
use atp_pipeline::{Parts, Pipeline, PipelineMetrics};
use atp_store::{Desk, LedgerStore};
use atp_telemetry::{BuildInfo, LogConfig, Logs, Metrics};
use prometheus::core::Collector;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::books::{Books, Writers};
use crate::clock;
use crate::config::Resolved;
use crate::config::resolved::LogFormat;
use crate::control::Running;
use crate::fleet::{Counts, Fleet, Terms, service as registry};
use crate::gauges::Gauges;
use crate::knowledge::KnowledgeFile;
use crate::leave::Leaving;
use crate::providers::With;
use crate::reload::{Reload, Watch};
use crate::signals::{Said, Signals};
use crate::start::{Start, StartError, Started};
use crate::tasks::Tasks;
use crate::workers::{Plan, Workers};
use crate::{providers, reload, snapshot, spent, tls};

/// How long the books and the logs may take to be written at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs the router until a signal ends it. `started` is told once everything listens.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(start: Start, started: &mut dyn FnMut(&Started)) -> Result<(), StartError> {
    let config = reload::load(start.config.as_deref()).map_err(StartError::Config)?;
    let logs = Arc::new(start_logs(&config)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::io("the control plane"))?;
    let house = runtime.block_on(async { House::build(start, config, logs) })?;
    runtime.block_on(house.serve(started))
}

pub(crate) fn start_logs(config: &Resolved) -> Result<Logs, StartError> {
    let format = match config.logs.format {
        LogFormat::Json => atp_telemetry::Format::Json,
        LogFormat::Pretty if std::io::stderr().is_terminal() => atp_telemetry::Format::Coloured,
        LogFormat::Pretty => atp_telemetry::Format::Text,
    };
    let settings = LogConfig { format, filter: config.logs.filter(), ..LogConfig::default() };
    let logs =
        Logs::start(&settings, Box::new(std::io::stderr())).map_err(|error| StartError::Other(error.to_string()))?;
    logs.take_panics();
    Ok(logs)
}

/// Everything that runs, in the order in which it is made.
struct House {
    control: Arc<Running>,
    reload: Reload,
    workers: Workers,
    connections: Connections,
    tasks: Tasks,
    writers: Writers,
    knowledge: Option<KnowledgeFile>,
}

impl House {
    /// One `let` per component, in dependency order, each given only what it needs.
    fn build(start: Start, config: Resolved, logs: Arc<Logs>) -> Result<Self, StartError> {
        let Start { config: file, commit } = start;
        let build = BuildInfo { version: env!("CARGO_PKG_VERSION"), commit };
        let metrics = Arc::new(Metrics::new(&build).map_err(StartError::other)?);
        let pipeline_metrics =
            PipelineMetrics::register(&Described(Arc::clone(&metrics))).map_err(StartError::other)?;
        let books = Books::open(&config)?;
        let fleet = fleet(&config, &metrics)?;
        let with = With { workers: config.workers, fleet: &fleet };
        let wired = providers::wire(&config.providers, &[], &with).map_err(StartError::Other)?;
        let tasks = Tasks::default();
        let parts = parts(&books, pipeline_metrics, &tasks);
        let pipeline = pipeline(&config, &wired, parts, books.store.as_ref())?;
        let knowledge = KnowledgeFile::open(&config, &pipeline);
        let drain = Drain::new();
        let connections = Connections::new(config.limits.max_connections);
        let settings = Arc::new(ArcSwap::from_pointee(snapshot::entrance(&config)));
        let adapters = wired.iter().map(|each| Arc::clone(&each.provider)).collect();
        let adapters = Arc::new(ArcSwap::from_pointee(adapters));
        let gauges = Gauges::register(&metrics, connections.clone(), tasks.clone(), Arc::clone(&adapters));
        let (certificate, acceptor) = certificate(&config)?;
        let wire = wire(&config);
        let (listen, workers) = (config.listen, config.workers);
        let metrics_on_router_port = config.metrics_on_router_port;
        let config = Arc::new(ArcSwap::from_pointee(config));
        let control = Arc::new(Running {
            pipeline: pipeline.clone(),
            config: Arc::clone(&config),
            build,
            metrics,
            gauges: gauges.map_err(StartError::other)?,
            fleet: fleet.clone(),
            desk: Desk::new(Arc::clone(&books.store)),
            files: books.files.clone(),
            observations: config.load().observations.clone(),
            drain: drain.clone(),
            started: clock::now(),
        });
        let gateway: Arc<dyn Gateway> = Arc::new(pipeline.clone());
        let health = health(Arc::clone(&control), metrics_on_router_port);
        let services = Services::new().with(registry::service(fleet.clone()));
        let entrance = Entrance::with_services(gateway, Arc::clone(&settings), health, drain.clone(), services);
        let plan = Plan { entrance, wire, tls: acceptor, connections: connections.clone(), drain };
        let workers = Workers::start(workers, listen, &plan).map_err(StartError::bind(listen, "listen"))?;
        let store = Arc::clone(&books.store);
        let reload =
            Reload { file, config, wired, providers: adapters, settings, pipeline, store, certificate, logs, fleet };
        let writers = books.into_writers();
        Ok(Self { control, reload, workers, connections, tasks, writers, knowledge })
    }

    /// Serves until told to end, then leaves in order.
    async fn serve(mut self, started: &mut dyn FnMut(&Started)) -> Result<(), StartError> {
        let mut signals = Signals::new().map_err(StartError::io("signals"))?;
        let config = self.control.config.load_full();
        let admin = TcpListener::bind(config.admin_listen)
            .await
            .map_err(StartError::bind(config.admin_listen, "admin.listen"))?;
        let admin_address = admin.local_addr().map_err(StartError::io("admin.listen"))?;
        started(&Started::of(&config, self.workers.address, admin_address));
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let drain = self.control.drain.clone();
        let control: Arc<dyn atp_admin::Control> = Arc::clone(&self.control) as _;
        let shown =
            atp_admin::serve(admin, control, atp_admin::Serving::default(), drain.reached(atp_ingress::Phase::Ended));
        let work = async {
            self.watch(&mut signals).await;
            self.leave(&mut signals, &config).await;
        };
        tokio::join!(shown, work);
        self.end();
        Ok(())
    }

    /// Reloads and sweeps until a signal says to end.
    async fn watch(&mut self, signals: &mut Signals) {
        let mut files = Watch::start(&self.control.config.load());
        let mut sweep = tokio::time::interval(snapshot::SWEEP);
        loop {
            tokio::select! {
                said = signals.next() => match said {
                    Said::End => return,
                    Said::Reload => self.take_up(&mut files),
                },
                () = files.changed() => self.take_up(&mut files),
                () = self.reload.fleet.changed() => self.take_up(&mut files),
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    fn sweep(&mut self) {
        for provider in self.reload.providers.load().iter() {
            provider.sweep();
        }
        self.control.pipeline.sweep();
        self.reload.fleet.sweep();
        if let Some(knowledge) = &mut self.knowledge {
            knowledge.tick(&self.control.pipeline);
        }
    }

    fn take_up(&mut self, files: &mut Watch) {
        let gauges = &self.control.gauges;
        match self.reload.run() {
            Ok(changes) if changes.is_empty() => {
                gauges.valid.set(1);
                tracing::debug!("the configuration was read again; nothing changed");
            }
            Ok(changes) => {
                gauges.reloads.inc();
                gauges.valid.set(1);
                tracing::info!(
                    version = self.control.pipeline.version(),
                    changes = changes.join("; "),
                    "configuration reloaded"
                );
            }
            Err(why) => {
                gauges.refused.inc();
                gauges.valid.set(0);
                tracing::error!(why, "configuration refused; the old one stays in force");
            }
        }
        files.follow(&self.control.config.load());
    }

    async fn leave(&self, signals: &mut Signals, config: &Resolved) {
        let leaving = Leaving {
            drain: &self.control.drain,
            connections: &self.connections,
            tasks: &self.tasks,
            min_delay: config.drain.min_delay,
            grace: config.drain.grace,
        };
        leaving.run(signals).await;
    }

    /// The data plane has ended; now the books and the logs.
    fn end(self) {
        self.workers.join();
        if let Some(mut knowledge) = self.knowledge {
            knowledge.write(&self.control.pipeline);
        }
        self.writers.close(LAST_WORDS);
        tracing::info!("ended");
        // Whether or not they could be written, nothing is left that could tell it.
        let _ = self.reload.logs.flush(LAST_WORDS);
    }
}

fn parts(books: &Books, metrics: PipelineMetrics, tasks: &Tasks) -> Parts {
    let tasks = tasks.clone();
    let spawn = Arc::new(move |work| tasks.start(work));
    Parts { ledger: books.ledger(), metrics, spawn, dialect: openai::port(), journal: books.journal() }
}

/// Who keeps adapters in processes of their own.
fn fleet(config: &Resolved, metrics: &Metrics) -> Result<Fleet, StartError> {
    let counts = Counts::register(metrics).map_err(StartError::other)?;
    Ok(Fleet::new(Terms::of(config), config.workers, counts))
}

/// The request path, which knows from the books what was spent before.
fn pipeline(
    config: &Resolved,
    wired: &[providers::Wired],
    parts: Parts,
    store: &dyn LedgerStore,
) -> Result<Pipeline, StartError> {
    if config.counts_tokens() {
        // Milliseconds that would else be the first caller's.
        openai::tokens::warm();
    }
    let now = clock::unix();
    let spent = spent::before(config, store, now.as_millis() as u64);
    let moment = snapshot::Moment { version: 1, created: now.as_secs(), spent };
    Pipeline::new(parts, &snapshot::pipeline(config, wired, moment)).map_err(StartError::other)
}

/// What a reload puts a new certificate into, and what serves TLS from it where that is configured.
fn certificate(config: &Resolved) -> Result<(Arc<tls::Certificate>, Option<TlsAcceptor>), StartError> {
    let certificate = Arc::<tls::Certificate>::default();
    if let Some(tls) = &config.tls {
        certificate.put(Arc::clone(&tls.certified));
    }
    let acceptor = config.tls.as_ref().map(|_| tls::acceptor(Arc::clone(&certificate))).transpose();
    Ok((certificate, acceptor.map_err(StartError::other)?))
}

/// Registers the request path's families so that they stand in the catalogue.
pub(crate) struct Described(pub(crate) Arc<Metrics>);

impl Registrar for Described {
    fn register(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        self.0.add(collector)
    }
}

fn wire(config: &Resolved) -> Arc<Wire> {
    Arc::new(Wire {
        header_timeout: config.limits.header_timeout,
        idle_timeout: config.limits.idle_connection_timeout,
        max_header: config.limits.max_header,
        ..Wire::default()
    })
}

/// Health and metrics on the callers' port; metrics only where configured.
fn health(control: Arc<Running>, metrics: bool) -> atp_ingress::http::Control {
    let lookup = atp_admin::health::lookup(control);
    Arc::new(move |path| if path == "/metrics" && !metrics { None } else { lookup(path) })
}
