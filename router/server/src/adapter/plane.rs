//! An adapter's data plane: one thread per worker, all behind one door, and the certificate that it shows.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atp_adapters::remote::host::{self, Door, Host};
use atp_core::percore;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::start::StartError;
use crate::tls::{self, Certificate};

/// Open doors, one for each worker.
pub(super) enum Doors {
    Tcp(SocketAddr, Vec<std::net::TcpListener>),
    Unix(PathBuf, Vec<UnixListener>),
}

impl Doors {
    /// Opens `unix:/path` or `host:port`.
    pub(super) async fn open(listen: &str, workers: usize) -> io::Result<Self> {
        if let Some(path) = listen.strip_prefix("unix:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            let first = host::claim(&path).await?;
            let mut listeners = Vec::with_capacity(workers);
            for _ in 1..workers {
                listeners.push(first.try_clone()?);
            }
            listeners.push(first);
            return Ok(Self::Unix(path, listeners));
        }
        let found = tokio::net::lookup_host(listen).await?.next();
        let address =
            found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no address for {listen}")))?;
        let first = atp_ingress::bind(address)?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..workers {
            listeners.push(atp_ingress::bind(address)?);
        }
        Ok(Self::Tcp(address, listeners))
    }

    /// Where routers of this machine reach it.
    pub(super) fn place(&self, secured: bool) -> String {
        match self {
            Self::Tcp(address, _) => format!("{}://{address}", if secured { "https" } else { "http" }),
            Self::Unix(path, _) => format!("unix:{}", path.display()),
        }
    }
}

/// A door that has not met its runtime yet.
type Shut = Box<dyn FnOnce() -> io::Result<Door> + Send>;

fn shut(doors: Doors) -> Vec<Shut> {
    match doors {
        Doors::Tcp(_, listeners) => listeners
            .into_iter()
            .map(|listener| Box::new(move || tokio::net::TcpListener::from_std(listener).map(Door::Tcp)) as Shut)
            .collect(),
        Doors::Unix(path, listeners) => listeners
            .into_iter()
            .map(|listener| {
                let path = path.clone();
                let open = move || Ok(Door::Unix(tokio::net::UnixListener::from_std(listener)?, path));
                Box::new(open) as Shut
            })
            .collect(),
    }
}

/// The threads.
pub(super) struct Plane {
    /// Closed once all of them have ended.
    alive: mpsc::Receiver<()>,
}

impl Plane {
    pub(super) fn start(
        doors: Doors,
        host: &Host,
        tls: Option<&Secured>,
        patience: Duration,
        leaving: &watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let (lives, alive) = mpsc::channel(1);
        for (index, shut) in shut(doors).into_iter().enumerate() {
            let settings = host::Settings { tls: tls.map(|tls| tls.acceptor.clone()), patience };
            let (host, leaving, life) = (host.clone(), leaving.clone(), lives.clone());
            let thread = std::thread::Builder::new().name(format!("atp-adapter-{index}"));
            thread.spawn(move || {
                percore::set_worker(index);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let outcome = runtime.and_then(|runtime| {
                    runtime.block_on(async {
                        host::serve(shut()?, host, settings, leaving).await;
                        Ok(())
                    })
                });
                if let Err(error) = outcome {
                    tracing::error!(worker = index, %error, "a worker could not serve");
                }
                drop(life);
            })?;
        }
        Ok(Self { alive })
    }

    /// Resolves once every thread has ended.
    pub(super) async fn ended(mut self) {
        while self.alive.recv().await.is_some() {}
    }
}

/// A certificate from files, and the acceptor that shows it.
pub(super) struct Secured {
    files: [PathBuf; 2],
    certificate: Arc<Certificate>,
    acceptor: TlsAcceptor,
}

impl Secured {
    pub(super) fn load(files: &[PathBuf; 2], client_ca: Option<&Path>) -> Result<Self, StartError> {
        let certificate = Arc::<Certificate>::default();
        certificate.put(read(files).map_err(StartError::Other)?);
        let acceptor = match client_ca {
            None => tls::acceptor(Arc::clone(&certificate)).map_err(StartError::other)?,
            Some(file) => {
                let clients = roots(file).map_err(StartError::Other)?;
                tls::acceptor_for(Arc::clone(&certificate), clients).map_err(StartError::Other)?
            }
        };
        Ok(Self { files: files.clone(), certificate, acceptor })
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Puts what the files hold now in force; what cannot be used changes nothing.
    pub(super) fn renew(this: Option<&Self>) {
        let Some(this) = this else { return };
        match read(&this.files) {
            Ok(certified) => {
                this.certificate.put(certified);
                tracing::info!(file = %this.files[0].display(), "the certificate was read again");
            }
            Err(why) => tracing::error!(why, "the certificate is refused; the old one stays in force"),
        }
    }
}

fn read([cert, key]: &[PathBuf; 2]) -> Result<Arc<CertifiedKey>, String> {
    let told = |file: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).map_err(|error| told(cert, &error))?.collect();
    let chain = chain.map_err(|error| told(cert, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, &error))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, private, &provider).map(Arc::new).map_err(|error| told(key, &error))
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let told = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| told(&error))? {
        roots.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
    }
    Ok(roots)
}
