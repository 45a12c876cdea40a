//! Leaving in order: readiness off, a pause, listeners closed, answers finished, then the books.

use std::time::Duration;

use atp_ingress::listen::Connections;
use atp_ingress::{Drain, Phase};

use crate::signals::Signals;
use crate::tasks::Tasks;

/// How often the counts are looked at while answers finish.
const LOOK: Duration = Duration::from_millis(10);

/// A signal to a process group comes twice where a parent (make, a shell, an init) passes it on: what
/// comes so soon after the first one is its echo, not a second wish.
const ECHO: Duration = Duration::from_millis(250);

/// What leaving waits for.
pub(crate) struct Leaving<'a> {
    pub(crate) drain: &'a Drain,
    pub(crate) connections: &'a Connections,
    pub(crate) tasks: &'a Tasks,
    /// How long the listeners stay open after readiness has gone, so that load balancers notice.
    pub(crate) min_delay: Duration,
    /// How long answers under way may take after that.
    pub(crate) grace: Duration,
}

impl Leaving<'_> {
    /// Goes through the phases; a second signal cuts them short.
    pub(crate) async fn run(&self, signals: &mut Signals) {
        tokio::select! {
            () = self.phases() => {}
            () = insisted(signals) => tracing::warn!("second signal: ending at once"),
        }
        self.drain.advance(Phase::Ended);
    }

    async fn phases(&self) {
        self.drain.advance(Phase::Leaving);
        tracing::info!(open = self.connections.open(), min_delay = ?self.min_delay, grace = ?self.grace, "draining");
        tokio::time::sleep(self.min_delay).await;
        self.drain.advance(Phase::Closing);
        match tokio::time::timeout(self.grace, self.idle()).await {
            Ok(()) => tracing::info!("drained"),
            Err(_elapsed) => tracing::warn!(
                connections = self.connections.open(),
                tasks = self.tasks.running(),
                "grace period over; what is left is cut"
            ),
        }
    }

    async fn idle(&self) {
        // The listeners empty their backlog before the first look can find nothing open.
        tokio::time::sleep(LOOK).await;
        while self.connections.open() > 0 || self.tasks.running() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Waits for the operator to ask again.
async fn insisted(signals: &mut Signals) {
    let echoes = async {
        loop {
            signals.end().await;
        }
    };
    let Err(_elapsed) = tokio::time::timeout(ECHO, echoes).await;
    signals.end().await;
}
