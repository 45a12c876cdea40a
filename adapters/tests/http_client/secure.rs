//! TLS towards a provider: whom it trusts, and which version they agree on.

use std::sync::Arc;

use atp_adapters::http_client::{ClientSettings, Http2, HttpClient, Origin};
use atp_core::ErrorKind;
use bytes::Bytes;
use http::Response;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::far_side::{read, rope, send, spawn, within};

/// A server with a certificate of its own for `localhost`, which answers with the version spoken.
struct Secure {
    port: u16,
    ca: String,
}

impl Secure {
    async fn start(alpn: &[&[u8]]) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                spawn(async move {
                    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                        let mut connection = h2::server::handshake(tls).await.unwrap();
                        while let Some(Ok((_, mut respond))) = connection.accept().await {
                            let mut stream = respond.send_response(Response::new(()), false).unwrap();
                            stream.send_data(Bytes::from_static(b"two"), true).unwrap();
                        }
                    } else {
                        let mut request = [0; 4096];
                        while tls.read(&mut request).await.is_ok_and(|read| read > 0) {
                            tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await.unwrap();
                        }
                    }
                });
            }
        });
        Self { port, ca: made.cert.pem() }
    }

    fn client(&self, host: &str, settings: ClientSettings) -> Arc<HttpClient> {
        let origin = Origin::parse(&format!("https://{host}:{}/v1", self.port)).unwrap();
        Arc::new(HttpClient::new(origin, settings, 1).unwrap())
    }

    fn trusted(&self, http2: Http2) -> ClientSettings {
        let extra_roots = Some(self.ca.clone().into_bytes());
        ClientSettings { http2, extra_roots, ..ClientSettings::default() }
    }
}

#[tokio::test]
async fn the_version_is_what_both_sides_speak() {
    let (both, one): (&[&[u8]], &[&[u8]]) = (&[b"h2", b"http/1.1"], &[b"http/1.1"]);
    for (http2, alpn, said) in
        [(Http2::Auto, both, "two"), (Http2::On, both, "two"), (Http2::Off, both, "one"), (Http2::Auto, one, "one")]
    {
        let server = Secure::start(alpn).await;
        let client = server.client("localhost", server.trusted(http2));
        for _ in 0..3 {
            let mut incoming = within(send(&client, rope(b"{}"))).await.unwrap();
            assert_eq!(read(&mut incoming).await, said.as_bytes(), "{http2:?}");
        }
        assert_eq!(client.connections(), 1, "{http2:?}");
    }
}

#[tokio::test]
async fn a_burst_towards_http_1_waits_only_once() {
    let server = Secure::start(&[b"http/1.1"]).await;
    let client = server.client("localhost", server.trusted(Http2::Auto));
    let all = (0..20).map(|_| async {
        let mut incoming = send(&client, rope(b"{}")).await.unwrap();
        assert_eq!(read(&mut incoming).await, b"one");
    });
    within(futures_util::future::join_all(all)).await;
}

#[tokio::test]
async fn a_stranger_is_not_trusted() {
    let server = Secure::start(&[b"h2"]).await;
    let other = Secure::start(&[b"h2"]).await;
    let named_otherwise = server.client("127.0.0.1", server.trusted(Http2::Auto));
    let nobodys = server.client("localhost", ClientSettings::default());
    let someone_elses = server.client("localhost", other.trusted(Http2::Auto));
    for client in [named_otherwise, nobodys, someone_elses] {
        let error = within(send(&client, rope(b"{}"))).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProviderUnreachable);
        assert!(error.to_string().contains("TLS with the provider"), "{error}");
        assert_eq!(client.connections(), 0);
    }
}
