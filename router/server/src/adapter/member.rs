//! An adapter's stay with one router: it registers, reports, registers again where it has been forgotten, and leaves.

use std::time::Duration;

use atp_adapters::remote::client::Place;
use atp_adapters::remote::host::Host;
use atp_adapters::remote::unary::Unary;
use atp_core::{Secret, Timeouts};
use atp_proto::adapter::v1::{
    LeaveRequest, LeaveResponse, RegisterRequest, RegisterResponse, ReportRequest, ReportResponse,
};
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::config::resolved::Trust;

const REGISTER: &str = "/atp.adapter.v1.RegistryService/Register";
const REPORT: &str = "/atp.adapter.v1.RegistryService/Report";
const LEAVE: &str = "/atp.adapter.v1.RegistryService/Leave";

/// How long a call to the router may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause after a router that could not be reached: the first, and the longest. It doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One stay.
pub(super) struct Member {
    router: String,
    call: Unary,
}

impl Member {
    pub(super) fn new(router: &Place, trust: &Trust, token: Option<&Secret>) -> Result<Self, String> {
        let timeouts = Timeouts { connect: PATIENCE, first_byte: PATIENCE, idle: PATIENCE, total: PATIENCE };
        let call = Unary::new(router, trust.client(), token, timeouts).map_err(|error| error.to_string())?;
        Ok(Self { router: router.to_string(), call })
    }

    /// Stays until the adapter leaves.
    pub(super) async fn stay(self, name: String, endpoint: String, host: Host, mut leaving: watch::Receiver<bool>) {
        let request = RegisterRequest { name, endpoint, capabilities: Some(host.facts().clone()) };
        let mut pause = FIRST_PAUSE;
        loop {
            let registered = tokio::select! {
                registered = self.call.call::<_, RegisterResponse>(REGISTER, &request) => registered,
                () = until(&mut leaving) => return,
            };
            match registered {
                Ok(RegisterResponse { lease, report_every_ms, .. }) => {
                    tracing::info!(router = self.router, "registered");
                    pause = FIRST_PAUSE;
                    let every = Duration::from_millis(report_every_ms.max(100));
                    if self.report(&lease, every, &host, &mut leaving).await == End::Leaving {
                        return;
                    }
                }
                Err(status) => self.complain(&status, "cannot register"),
            }
            if wait(pause, &mut leaving).await == End::Leaving {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reports until the router has forgotten the lease, or the adapter leaves.
    async fn report(&self, lease: &str, every: Duration, host: &Host, leaving: &mut watch::Receiver<bool>) -> End {
        loop {
            if wait(every, leaving).await == End::Leaving {
                let request = LeaveRequest { lease: lease.to_owned() };
                if let Err(status) = self.call.call::<_, LeaveResponse>(LEAVE, &request).await {
                    self.complain(&status, "left without a word");
                }
                return End::Leaving;
            }
            let request = ReportRequest { lease: lease.to_owned(), health: Some(host.health().told()) };
            match self.call.call::<_, ReportResponse>(REPORT, &request).await {
                Ok(ReportResponse {}) => {}
                Err(status) if status.code() == Code::NotFound => return End::Forgotten,
                Err(status) => self.complain(&status, "cannot report"),
            }
        }
    }

    fn complain(&self, status: &Status, what: &str) {
        let (code, message) = (status.code(), status.message());
        tracing::warn!(router = self.router, code = ?code, message, "{what}");
    }
}

/// Why something is over.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Leaving,
    Forgotten,
    Waited,
}

async fn wait(pause: Duration, leaving: &mut watch::Receiver<bool>) -> End {
    tokio::select! {
        () = until(leaving) => End::Leaving,
        () = tokio::time::sleep(pause) => End::Waited,
    }
}

async fn until(leaving: &mut watch::Receiver<bool>) {
    // The lock of what it reads is given back at once.
    drop(leaving.wait_for(|leaving| *leaving).await);
}
