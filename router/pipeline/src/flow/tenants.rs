//! The tenants' weights: as configured, until an operator changes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use atp_core::{Caller, Weight};

use crate::snapshot::Tenant;
use crate::view::WeightView;

/// Every tenant of one configuration; at least one.
pub(crate) struct Tenants(Box<[Share]>);

/// One tenant's weight.
struct Share {
    configured: Tenant,
    /// In thousandths; within a weight's bounds, because it comes from one.
    now: AtomicU32,
}

impl Tenants {
    /// The tenants of a snapshot. A weight that was changed while the router ran stays in force as
    /// long as the configured one is what it was then.
    pub(crate) fn resolve(configured: &[Tenant], before: Option<&Self>) -> Self {
        let anonymous = [Tenant { name: Caller::anonymous().tenant, weight: Weight::ONE }];
        let configured = if configured.is_empty() { &anonymous } else { configured };
        Self(configured.iter().map(|tenant| Share::new(tenant, before)).collect())
    }

    /// Changes a tenant's weight, and returns the one before; `None` where there is no such tenant.
    pub(crate) fn set_weight(&self, name: &str, weight: Weight) -> Option<Weight> {
        let share = self.0.iter().find(|share| &*share.configured.name == name)?;
        Some(to_weight(share.now.swap(weight.thousandths(), Ordering::Relaxed)))
    }

    /// Every tenant, in configured order.
    pub(crate) fn view(&self) -> Vec<WeightView> {
        let view = |share: &Share| WeightView {
            tenant: Arc::clone(&share.configured.name),
            configured: share.configured.weight,
            weight: to_weight(share.now.load(Ordering::Relaxed)),
        };
        self.0.iter().map(view).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the tenant at `index` has this name.
    pub(crate) fn is_named(&self, index: usize, name: &str) -> bool {
        self.0.get(index).is_some_and(|share| &*share.configured.name == name)
    }

    /// The weight of the tenant `name`, which stands at `index` unless a reload has moved it.
    pub(crate) fn weight(&self, index: usize, name: &str) -> Weight {
        let named = |share: &&Share| &*share.configured.name == name;
        let share = self.0.get(index).filter(named).or_else(|| self.0.iter().find(named));
        share.map_or(Weight::ONE, |share| to_weight(share.now.load(Ordering::Relaxed)))
    }
}

impl Share {
    fn new(configured: &Tenant, before: Option<&Tenants>) -> Self {
        let kept = before.and_then(|before| before.0.iter().find(|share| share.configured == *configured));
        let now = kept.map_or(configured.weight.thousandths(), |share| share.now.load(Ordering::Relaxed));
        Self { configured: configured.clone(), now: AtomicU32::new(now) }
    }
}

fn to_weight(thousandths: u32) -> Weight {
    Weight::new(f64::from(thousandths) / 1_000.0).unwrap_or_default()
}
