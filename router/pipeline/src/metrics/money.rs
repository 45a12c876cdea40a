//! The metrics of budgets: what an account knows is read from it when it is asked for, so that a request
//! pays nothing; what nothing else knows is counted where it happens.
//!
//! Labels are configured names of keys and tenants. Sessions, whose names come from callers, have none.

use std::sync::{Arc, OnceLock};

use atp_routing::budget::{Denied, Short};
use prometheus::core::{Collector, Desc};
use prometheus::{IntCounter, proto};

use super::flow::{Family, counter, gauge};
use super::{Registry, add};
use crate::money::{BudgetLine, BudgetView};

/// Who shows the accounts; set once there are any.
type Source = Arc<OnceLock<Box<dyn Fn() -> Vec<BudgetView> + Send + Sync>>>;

/// The families.
#[derive(Clone)]
pub(crate) struct MoneyMetrics {
    denied_usd: IntCounter,
    denied_tokens: IntCounter,
    over_ceiling: IntCounter,
    cut: IntCounter,
    source: Source,
}

impl MoneyMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let plain = |name: &str, help: &str| add(registry, IntCounter::new(name, help)?);
        let denied = "Requests that were refused because a budget";
        let source = Source::default();
        add(registry, Picture::new(Arc::clone(&source))?)?;
        Ok(Self {
            denied_usd: plain("window_denied_usd_total", &format!("{denied} of money did not cover them"))?,
            denied_tokens: plain("window_denied_tokens_total", &format!("{denied} of tokens did not cover them"))?,
            over_ceiling: plain(
                "atp_budget_over_ceiling_total",
                "Requests that were refused because their own ceiling was too low, or could not be kept",
            )?,
            cut: plain(
                "atp_budget_streams_cut_total",
                "Streams that were ended because no more of them could be paid for",
            )?,
            source,
        })
    }

    /// Says where the accounts are to be seen.
    pub(crate) fn show(&self, source: impl Fn() -> Vec<BudgetView> + Send + Sync + 'static) {
        // The first one stays: metrics are of one pipeline.
        let _set = self.source.set(Box::new(source));
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, denied: &Denied) {
        match denied {
            Denied::Cap { .. } => self.over_ceiling(),
            Denied::Account { shortage, .. } if shortage.of == Short::Cost => self.denied_usd.inc(),
            Denied::Account { .. } => self.denied_tokens.inc(),
        }
    }

    /// Counts a refusal because of a ceiling that is too low, or cannot be kept.
    pub(crate) fn over_ceiling(&self) {
        self.over_ceiling.inc();
    }

    /// Counts a stream that was ended.
    pub(crate) fn cut(&self) {
        self.cut.inc();
    }
}

/// What the accounts show.
#[derive(Clone)]
struct Picture {
    source: Source,
    descs: Vec<Desc>,
}

/// What is left of an account, in one thing that bounds it.
struct Left {
    labels: Vec<(&'static str, String)>,
    /// In micro-dollars or tokens, of its tightest window.
    left: u64,
}

/// One budget, in one thing that it bounds.
struct Bound {
    labels: Vec<(&'static str, String)>,
    /// In micro-dollars or tokens.
    limit: u64,
    spent: u64,
}

const ACCOUNT: [&str; 2] = ["whose", "name"];
const LINE: [&str; 3] = ["whose", "name", "per"];

static ACCOUNTS: [Family<BudgetView>; 5] = [
    gauge(
        "budget_burn_rate_usd_per_min",
        "Dollars per minute that an account has spent over the last 300 seconds",
        |account| account.burn_usd_per_min,
    ),
    gauge("atp_budget_reserved_tokens", "Tokens that are held for requests under way", |account| {
        float(account.reserved.tokens)
    }),
    gauge("atp_budget_reserved_microusd", "Micro-dollars that are held for requests under way", |account| {
        float(account.reserved.cost.0)
    }),
    counter("atp_budget_denied_total", "Requests that an account did not cover", |account| {
        float(account.denied_usd.saturating_add(account.denied_tokens))
    }),
    counter("atp_budget_spikes_total", "Requests that cost an account far more than those before", |account| {
        float(account.spikes)
    }),
];

static LEFT_USD: Family<Left> = gauge(
    "budget_remaining_usd_micros",
    "Micro-dollars that an account can still hold, by its tightest window",
    |left| float(left.left),
);
static LEFT_TOKENS: Family<Left> =
    gauge("budget_remaining_tokens", "Tokens that an account can still hold, by its tightest window", |left| {
        float(left.left)
    });

static USD: [Family<Bound>; 2] = [
    gauge("atp_budget_limit_microusd", "Micro-dollars that may be spent in a window", |line| float(line.limit)),
    gauge("atp_budget_spent_microusd", "Micro-dollars that were spent in the window that is now", |line| {
        float(line.spent)
    }),
];
static TOKENS: [Family<Bound>; 2] = [
    gauge("atp_budget_limit_tokens", "Tokens that may be spent in a window", |line| float(line.limit)),
    gauge("atp_budget_spent_tokens", "Tokens that were spent in the window that is now", |line| float(line.spent)),
];

impl Picture {
    fn new(source: Source) -> Result<Self, prometheus::Error> {
        let mut descs = vec![LEFT_USD.desc(&ACCOUNT)?, LEFT_TOKENS.desc(&ACCOUNT)?];
        for family in &ACCOUNTS {
            descs.push(family.desc(&ACCOUNT)?);
        }
        for family in USD.iter().chain(&TOKENS) {
            descs.push(family.desc(&LINE)?);
        }
        Ok(Self { source, descs })
    }
}

impl Collector for Picture {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let accounts = self.source.get().map_or_else(Vec::new, |source| source());
        let (usd, tokens) = (left(&accounts, |line| line.left_usd_micros), left(&accounts, |line| line.left_tokens));
        let money = bounds(&accounts, |line| Some((line.budget.cost?.0, line.spent.cost.0)));
        let counted = bounds(&accounts, |line| Some((line.budget.tokens?, line.spent.tokens)));
        let mut families =
            vec![LEFT_USD.rows(&usd, |row| row.labels.clone()), LEFT_TOKENS.rows(&tokens, |row| row.labels.clone())];
        families.extend(ACCOUNTS.iter().map(|family| family.rows(&accounts, labels)));
        families.extend(USD.iter().map(|family| family.rows(&money, |row| row.labels.clone())));
        families.extend(TOKENS.iter().map(|family| family.rows(&counted, |row| row.labels.clone())));
        families
    }
}

fn labels(account: &BudgetView) -> Vec<(&'static str, String)> {
    vec![("whose", account.whose.label().to_owned()), ("name", account.name.to_string())]
}

/// What is left of each account that `of` bounds.
fn left(accounts: &[BudgetView], of: impl Fn(&BudgetLine) -> Option<u64>) -> Vec<Left> {
    let row = |account: &BudgetView| {
        let left = account.lines.iter().filter_map(&of).min()?;
        Some(Left { labels: labels(account), left })
    };
    accounts.iter().filter_map(row).collect()
}

/// The budgets that bound a thing, with limit and spending.
fn bounds(accounts: &[BudgetView], of: impl Fn(&BudgetLine) -> Option<(u64, u64)>) -> Vec<Bound> {
    let lines = accounts.iter().flat_map(|account| account.lines.iter().map(move |line| (account, line)));
    let row = |(account, line): (&BudgetView, &BudgetLine)| {
        let (limit, spent) = of(line)?;
        let mut labels = labels(account);
        labels.push(("per", line.budget.per.label().to_owned()));
        Some(Bound { labels, limit, spent })
    };
    lines.filter_map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a scrape shows numbers as floats")]
fn float(number: u64) -> f64 {
    number as f64
}
