//! Opens many streams and holds them, to see what an open stream costs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::client::{Client, Sample, Until};
use super::plan::{Plan, Target};

/// How many streams to open and how to ask for them.
#[derive(Clone, Debug)]
pub struct HoldPlan {
    /// What each stream asks for; its scenario must be a stream.
    pub plan: Plan,
    /// How many streams.
    pub streams: usize,
    /// How many may be opening at one time.
    pub opening: usize,
    /// When opening has to be over.
    pub within: Duration,
}

/// Streams that have delivered their first bytes and stay open until this value is dropped.
pub struct Held {
    /// How many are open.
    pub open: usize,
    /// Why the others are not, in the order in which they failed; at most ten.
    pub failures: Vec<String>,
    clients: Vec<Client>,
    runtime: tokio::runtime::Runtime,
}

impl Held {
    /// Keeps the streams for so long and tells how many of them are still silent, thus open, after it.
    #[must_use]
    pub fn keep(&mut self, length: Duration) -> usize {
        let clients = std::mem::take(&mut self.clients);
        let (kept, still) = self.runtime.block_on(async {
            let mut waits = JoinSet::new();
            for mut client in clients {
                waits.spawn(async move {
                    let silent = tokio::time::timeout(length, client.until_more()).await.is_err();
                    (client, silent)
                });
            }
            let mut kept = Vec::new();
            let mut still = 0;
            while let Some(Ok((client, silent))) = waits.join_next().await {
                still += usize::from(silent);
                kept.push(client);
            }
            (kept, still)
        });
        self.clients = kept;
        still
    }
}

/// Opens streams and waits for the first bytes of each.
///
/// # Errors
/// A plan that cannot run. Streams that fail to open are counted in the result.
pub fn hold(hold: &HoldPlan) -> anyhow::Result<Held> {
    hold.plan.check()?;
    let target = Arc::new(Target::parse(&hold.plan.url)?);
    let messages = Arc::new(hold.plan.messages(&target));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (clients, failures) = runtime.block_on(async {
        let mut opening = JoinSet::new();
        let gate = Arc::new(tokio::sync::Semaphore::new(hold.opening.max(1)));
        for index in 0..hold.streams {
            let (target, messages, gate) = (Arc::clone(&target), Arc::clone(&messages), Arc::clone(&gate));
            let timeout = hold.plan.timeout;
            opening.spawn(async move {
                let _turn = gate.acquire_owned().await.map_err(|error| error.to_string())?;
                let mut client = Client::new(target, index);
                let message = messages.first().ok_or("no message to send")?;
                let mut sample = Sample::default();
                let opened = client.exchange(message, &mut sample, Until::FirstBytes);
                match tokio::time::timeout(timeout, opened).await {
                    Ok(Ok(())) => Ok(client),
                    Ok(Err(failure)) => Err(failure.kind()),
                    Err(_) => Err("timeout".to_owned()),
                }
            });
        }
        let mut clients = Vec::with_capacity(hold.streams);
        let mut failures = Vec::new();
        let deadline = tokio::time::Instant::now() + hold.within;
        while let Ok(Some(Ok(opened))) = tokio::time::timeout_at(deadline, opening.join_next()).await {
            match opened {
                Ok(client) => clients.push(client),
                Err(failure) if failures.len() < 10 => failures.push(failure),
                Err(_) => {}
            }
        }
        (clients, failures)
    });
    Ok(Held { open: clients.len(), failures, clients, runtime })
}
