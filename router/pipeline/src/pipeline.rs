//! The one service behind every entrance.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use atp_core::port::{BoxFuture, Dialect, Gateway, Journal, Ledger, ModelCard, Outcome};
use atp_core::{
    Caller, Decision, Error, Exchange, Observation, Operation, Plan, Reply, RequestId, Status, Weight, Weights,
};
use atp_routing::decide::MindRules;
use atp_routing::lifecycle::Standing;

use crate::REQUESTS;
use crate::attempt::Budget;
use crate::cache::{self, Cell};
use crate::clock;
use crate::leave::{self, Lasting, Spawn};
use crate::limit;
use crate::live::Live;
use crate::metrics::{Learnt, PipelineMetrics};
use crate::money::BudgetView;
use crate::plan::{self, Diary, Knowledge, Memory};
use crate::snapshot::{OnDisconnect, Snapshot};
use crate::stack::{self, Call};
use crate::view::{ArmStatus, ClusterStats, ExperimentStatus, FlowView, ModelStatus, WeightView};

/// What the pipeline is put together from, once.
pub struct Parts {
    /// Where usage rows go.
    pub ledger: Arc<dyn Ledger>,
    /// The registered metrics.
    pub metrics: PipelineMetrics,
    /// Who runs work that outlives its caller.
    pub spawn: Spawn,
    /// What belongs to the callers' dialect, and is not made a second time here.
    pub dialect: Dialect,
    /// Where it is kept what was decided and learnt; `None` keeps nothing.
    pub journal: Option<Arc<dyn Journal>>,
}

/// The request path. Cloning it shares it.
#[derive(Clone)]
pub struct Pipeline(Arc<Shared>);

/// What all exchanges share.
pub(crate) struct Shared {
    live: ArcSwap<Live>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) metrics: PipelineMetrics,
    pub(crate) spawn: Spawn,
    pub(crate) dialect: Dialect,
    pub(crate) journal: Option<Diary>,
    /// The choices that can be told about.
    pub(crate) memory: Memory,
    pub(crate) budget: Budget,
    /// What stands in a row where there is nothing to name.
    pub(crate) empty: Arc<str>,
}

impl Shared {
    /// The configuration in force.
    pub(crate) fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    fn flow(&self) -> FlowView {
        self.live.load().flow_view(clock::now())
    }

    fn learnt(&self) -> Learnt {
        let (live, now) = (self.live.load(), clock::now());
        Learnt {
            arms: plan::arms(&live, now),
            models: plan::models(&live, now),
            registry: live.model_count(),
            remembered: self.memory.len(),
        }
    }

    fn accounts(&self) -> Vec<BudgetView> {
        self.live.load().money.accounts(clock::unix_ms(clock::now()))
    }
}

/// The retry budget, as an operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetState {
    /// Retries that the last ten seconds still allow.
    pub balance: u64,
    /// Retries per thousand requests.
    pub per_mille: u32,
    /// Retries per ten seconds that are allowed whatever the traffic.
    pub floor: u32,
}

impl Pipeline {
    /// Puts the request path together.
    ///
    /// # Errors
    ///
    /// [`atp_core::ErrorKind::Configuration`] where the snapshot contradicts itself: a name that
    /// stands twice, a pattern with two `*`, a model without a target, a weight below zero.
    pub fn new(parts: Parts, snapshot: &Snapshot) -> Result<Self, Error> {
        let Parts { ledger, metrics, spawn, dialect, journal } = parts;
        let live = Live::resolve(snapshot, &metrics, &spawn, None, clock::now())?;
        metrics.set_version(live.version);
        let shared = Arc::new(Shared {
            live: ArcSwap::from_pointee(live),
            ledger,
            metrics,
            spawn,
            dialect,
            journal: journal.map(Diary::new),
            memory: Memory::new(),
            budget: Budget::new(clock::now()),
            empty: Arc::from(""),
        });
        let seen = Arc::downgrade(&shared);
        let show = move || seen.upgrade().map_or_else(FlowView::default, |shared| shared.flow());
        shared.metrics.flow.show(show);
        let seen = Arc::downgrade(&shared);
        shared.metrics.plan.show(move || seen.upgrade().map_or_else(Learnt::default, |shared| shared.learnt()));
        let seen = Arc::downgrade(&shared);
        let accounts = move || seen.upgrade().map_or_else(Vec::new, |shared| shared.accounts());
        shared.metrics.money.show(accounts);
        Ok(Self(shared))
    }

    /// Puts another configuration in force. Exchanges that have begun end with the one that they
    /// began with; a rate limiter whose key and rate have not changed keeps its state.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::new`]; the configuration in force then stays.
    pub fn swap(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let live = Live::resolve(snapshot, &self.0.metrics, &self.0.spawn, Some(&self.0.live.load()), clock::now())?;
        self.0.metrics.set_version(live.version);
        self.0.live.store(Arc::new(live));
        Ok(())
    }

    /// The number of the configuration in force.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.live.load().version
    }

    /// How many exchanges have begun and not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.metrics.permits.in_flight()
    }

    /// Whether any target is configured, so that some request can be served.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.0.live.load().can_serve()
    }

    /// Who shares which model: queues, lanes and shares as they are now.
    #[must_use]
    pub fn flow(&self) -> FlowView {
        self.0.flow()
    }

    /// What routes have learnt of each model, by kind of work.
    #[must_use]
    pub fn arms(&self) -> Vec<ArmStatus> {
        plan::arms(&self.0.live.load(), clock::now())
    }

    /// How the models stand that routes may choose.
    #[must_use]
    pub fn model_status(&self) -> Vec<ModelStatus> {
        plan::models(&self.0.live.load(), clock::now())
    }

    /// The kinds of work that routes have seen.
    #[must_use]
    pub fn cluster_stats(&self) -> Vec<ClusterStats> {
        plan::clusters(&self.0.live.load(), clock::now())
    }

    /// What every route decides by, in configured order, and what counts how much where that is configured.
    #[must_use]
    pub fn minds(&self) -> Vec<(MindRules, Option<Weights>)> {
        self.0.live.load().choices().map(|choice| (choice.mind_rules.clone(), choice.rules.weights)).collect()
    }

    /// All that has been learnt, to be kept over a restart.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        Knowledge::of(&self.0.live.load())
    }

    /// Goes on with what was learnt before a restart. `false` where it is of another form, and was not read.
    #[must_use]
    pub fn recall(&self, knowledge: Knowledge) -> bool {
        knowledge.teach(&self.0.live.load())
    }

    /// The challengers of every route, and how they do.
    #[must_use]
    pub fn experiments(&self) -> Vec<ExperimentStatus> {
        plan::experiments(&self.0.live.load(), clock::now())
    }

    /// Where every model stands in its life that some route may choose.
    #[must_use]
    pub fn lifecycle(&self) -> Vec<Standing> {
        self.0.live.load().lives.view()
    }

    /// Keeps a model at a status, over reloads too, until it is unpinned. `false` where no route may choose such
    /// a model.
    #[must_use]
    pub fn pin(&self, model: &str, status: Status) -> bool {
        plan::lives::pin(&self.0, &self.0.live.load(), model, status, clock::unix_ms(clock::now()))
    }

    /// Lets evidence decide on a model again. `false` where it was not pinned.
    #[must_use]
    pub fn unpin(&self, model: &str) -> bool {
        plan::lives::unpin(&self.0, &self.0.live.load(), model, clock::unix_ms(clock::now()))
    }

    /// Changes a tenant's weight, from now on and for who waits already, and returns the one before.
    /// It stays in force until it is changed again, here or in the configuration. `None` where there
    /// is no such tenant.
    pub fn set_weight(&self, tenant: &str, weight: Weight) -> Option<Weight> {
        let live = self.0.live.load();
        let before = live.tenants.set_weight(tenant, weight)?;
        live.set_weights();
        Some(before)
    }

    /// What may be spent and what is: every account of a key or a tenant, and of the sessions those that
    /// were drawn on last.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetView> {
        self.0.live.load().money.view(clock::unix_ms(clock::now()))
    }

    /// Lets time do its part where no request does: to be called every few seconds.
    pub fn sweep(&self) {
        let now = clock::now();
        clock::set_unix_ms(now);
        self.0.live.load().sweep(now);
    }

    /// Every tenant's weight, in configured order.
    #[must_use]
    pub fn weights(&self) -> Vec<WeightView> {
        self.0.live.load().tenants.view()
    }

    /// What the gateway may spend on trying again.
    #[must_use]
    pub fn retry_budget(&self) -> BudgetState {
        let budget = self.0.live.load().retries.budget;
        let balance = self.0.budget.balance(&budget, clock::now());
        BudgetState { balance, per_mille: budget.per_mille, floor: budget.floor }
    }
}

impl Gateway for Pipeline {
    fn call(&self, exchange: Exchange) -> BoxFuture<'static, Reply> {
        let shared = Arc::clone(&self.0);
        let live = shared.live.load_full();
        let found = live.find(&exchange);
        let asked = if found.is_none() { live.asked(&exchange).cloned() } else { None };
        if let Some(asked) = asked {
            // Set where the caller leaves an answer whose model lets work go on; before an answer begins
            // there is nothing to go on with.
            let left = Some(Arc::new(AtomicBool::new(false)));
            return plan::call(Call { shared, live, found, left }, asked, exchange);
        }
        let mut exchange = exchange;
        if exchange.hints.is_some() || exchange.caller.hints.is_some() {
            exchange.patience = plan::patience(&exchange).or(exchange.patience);
        }
        let policy = found.as_ref().map_or(OnDisconnect::Cancel, |found| found.route.on_disconnect);
        let Some(limit) = leave::limit_of(policy, &exchange) else {
            return go(Call { shared, live, found, left: None }, exchange);
        };
        let left = Arc::new(AtomicBool::new(false));
        let spawn = Arc::clone(&shared.spawn);
        let call = Call { shared, live, found, left: Some(Arc::clone(&left)) };
        Box::pin(Lasting { inner: Some(go(call, exchange)), spawn, left, limit, begun: false })
    }

    fn refused(&self, operation: Option<Operation>, error: &Error) {
        self.0.metrics.count(operation, Outcome::Refused, Some(error));
        tracing::debug!(
            target: REQUESTS,
            operation = operation.map_or("none", Operation::label),
            error = error.kind().code(),
            side = error.side().label(),
            cause = error.cause().unwrap_or(""),
            text = error.public(),
            "request refused at the entrance"
        );
    }

    fn models(&self) -> Vec<ModelCard> {
        self.0.live.load().cards()
    }

    fn model(&self, name: &str) -> Option<ModelCard> {
        self.0.live.load().card(name)
    }

    fn plan(&self, exchange: &Exchange) -> Result<Arc<Plan>, Error> {
        let live = self.0.live.load();
        // Before the prompt is counted, which takes time by its length.
        limit::counts(&live, &exchange.caller)?;
        match live.asked(exchange).filter(|_| live.find(exchange).is_none()) {
            Some(asked) => plan::would(&self.0, &live, asked, exchange),
            None => plan::only(&self.0, &live, exchange),
        }
    }

    fn decision(&self, caller: &Caller, id: RequestId) -> Option<Arc<Decision>> {
        self.0.memory.decision(&caller.tenant, id)
    }

    fn observe(&self, caller: &Caller, observation: &Observation) -> Result<(), Error> {
        limit::counts(&self.0.live.load(), caller)?;
        plan::observe(&self.0, caller, observation)
    }
}

/// Takes an exchange through the steps, by way of the cache where its model has one that concerns it.
fn go(call: Call, mut exchange: Exchange) -> BoxFuture<'static, Reply> {
    let cell = call.found.as_ref().and_then(|found| found.route.cache.as_ref());
    match cell.filter(|_| Cell::concerns(&exchange).is_some()).cloned() {
        None => Box::pin(async move { stack::run(call, &mut exchange).await }),
        Some(cell) => Box::pin(cache::step::run(call, cell, exchange)),
    }
}
