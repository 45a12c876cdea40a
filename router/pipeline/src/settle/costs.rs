//! What an exchange has used and what that costs, counted when its books close.

use std::sync::atomic::Ordering;

use atp_core::{MicroUsd, Operation, Report, Usage};

use super::{Books, Ending};

impl Books {
    /// What so much of the lane's work costs.
    pub(super) fn cost(&self, usage: Option<Usage>) -> Option<MicroUsd> {
        if self.reused.is_some() {
            return Some(MicroUsd::default());
        }
        let price = self.current()?.price_of(self.model.as_deref()?)?;
        Some(price.cost(&usage?))
    }

    /// Counts tokens and money, and says so once where one of them is not known.
    pub(super) fn count_usage(&self, ending: Ending<'_>, report: &Report) -> Option<MicroUsd> {
        if self.reused.is_some() {
            return Some(MicroUsd::default());
        }
        let parts = self.count_parts(report.usage);
        let (Some(route), Some(lane)) = (&self.route, self.current()) else { return None };
        let Some(usage) = report.usage else {
            let begun = self.status != 0 && self.operation_tells_usage();
            if begun {
                route.metrics.unknown_usage.inc();
            }
            // A caller who leaves takes the usage with him: counted, but nothing to warn of.
            if begun && matches!(ending, Ending::Served) && !route.warned_usage.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    request_id = %self.id, model = &*route.name, provider = &**lane.provider.name(),
                    "the provider tells no usage, so tokens and cost of this model are unknown"
                );
            }
            return None;
        };
        lane.metrics.count_usage(&usage);
        let cost = self.cost(Some(usage));
        match cost {
            Some(cost) => lane.metrics.count_cost(cost),
            None => {
                route.metrics.unknown_price.inc();
                if !route.warned_price.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        request_id = %self.id, model = &*route.name, provider = &**lane.provider.name(),
                        "the model has no price, so its cost is unknown; set `prices` for it"
                    );
                }
            }
        }
        cost.zip(parts).map(|(cost, parts)| MicroUsd(cost.0.saturating_add(parts.0)))
    }

    /// Whether a provider is expected to tell tokens; the other operations are priced otherwise.
    fn operation_tells_usage(&self) -> bool {
        matches!(self.operation, Operation::Chat | Operation::Completions | Operation::Embeddings)
    }
}
