//! The gauge of exchanges in flight, read from the permits themselves when it is asked for.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::{IntGauge, proto};

use crate::permit::Permits;

#[derive(Clone)]
pub(super) struct InFlight {
    gauge: IntGauge,
    permits: Arc<Permits>,
}

impl InFlight {
    pub(super) fn new(permits: Arc<Permits>) -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new("atp_in_flight", "Exchanges whose answer has not ended")?;
        Ok(Self { gauge, permits })
    }
}

impl Collector for InFlight {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        self.gauge.set(i64::try_from(self.permits.in_flight()).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}
