//! Every adapter again, behind the door and through the hop, on TCP and on a Unix socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atp_core::port::Provider;
use atp_core::{Exchange, Usage};
use atp_proto::adapter::v1::CapabilitiesResponse;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Scene, Stage};
use crate::http_client::ClientSettings;
use crate::remote::client::{Endpoint, Place, Remote, RemoteConfig};
use crate::remote::host::{self, Door, Estimate, Estimates, Host};

/// How the hop is made.
#[derive(Debug, Clone, Copy)]
enum Way {
    Tcp,
    Unix,
}

/// A stage whose provider is asked through the hop.
struct Hosted<S>(S, Way);

struct Nothing;

impl Estimates for Nothing {
    fn estimate(&self, _: &Exchange) -> Estimate {
        Estimate::default()
    }

    fn learn(&self, _: &Exchange, _: &Usage) {}
}

static SOCKETS: AtomicUsize = AtomicUsize::new(0);

async fn door(way: Way) -> (Door, Place) {
    match way {
        Way::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let place = Place::Url(format!("http://{}", listener.local_addr().unwrap()));
            (Door::Tcp(listener), place)
        }
        Way::Unix => {
            let name = format!("atp-{}-{}.sock", std::process::id(), SOCKETS.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            let listener = host::claim(&path).await.unwrap();
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            (Door::Unix(listener, path.clone()), Place::Socket(path))
        }
    }
}

impl<S: Stage> Stage for Hosted<S> {
    async fn provider(&self, scene: Scene) -> Arc<dyn Provider> {
        let inner = self.0.provider(scene).await;
        let (door, place) = door(self.1).await;
        let host = Host::new(inner, CapabilitiesResponse::default(), Arc::new(Nothing), 1 << 20);
        let settings = host::Settings { tls: None, patience: Duration::from_secs(1) };
        let (alive, leaving) = watch::channel(false);
        #[expect(clippy::disallowed_methods, reason = "the test's runtime owns the far side and ends it")]
        tokio::spawn(async move {
            host::serve(door, host, settings, leaving).await;
            drop(alive);
        });
        let endpoint = Endpoint::new(place, ClientSettings::default(), 1).unwrap();
        let config = RemoteConfig { name: Arc::from("far"), whole_answer_cap: 1 << 20 };
        Arc::new(Remote::new(config, vec![Arc::new(endpoint)]))
    }

    fn work(&self) -> usize {
        self.0.work()
    }

    fn words(&self, asked: bool) -> Option<String> {
        self.0.words(asked)
    }
}

mod openai_on_tcp {
    use super::super::openai::Sockets;
    use super::{Hosted, Way};

    super::super::all_claims!(Hosted(Sockets::default(), Way::Tcp), paused: false);
}

mod openai_on_unix {
    use super::super::openai::Sockets;
    use super::{Hosted, Way};

    super::super::all_claims!(Hosted(Sockets::default(), Way::Unix), paused: false);
}

mod ollama_on_unix {
    use super::super::ollama::Sockets;
    use super::{Hosted, Way};

    super::super::all_claims!(Hosted(Sockets::default(), Way::Unix), paused: false);
}

mod simulated_on_unix {
    use super::super::simulated::InProcess;
    use super::{Hosted, Way};

    super::super::all_claims!(Hosted(InProcess::default(), Way::Unix), paused: false);
}
