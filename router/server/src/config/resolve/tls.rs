//! Certificates: that of `listen`, tried against its key, and the authorities that a provider's is trusted by.

use std::path::Path;
use std::sync::Arc;

use atp_adapters::http_client::Identity;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::RawTls;
use super::super::resolved::{Authorities, ClientIdentity, Tls};
use super::Context;
use super::secrets::read_small;

/// Loads both files; `None` where one of them is wrong, which has been reported then.
pub(super) fn load(raw: &RawTls, context: &mut Context<'_>) -> Option<Tls> {
    let path = FieldPath::of(&["tls"]);
    let cert = context.locate(&raw.cert);
    let key = context.locate(&raw.key);
    let chain = read(context, &path.key("cert"), &cert, certificates);
    let private = read(context, &path.key("key"), &key, |pem| PrivateKeyDer::from_pem_slice(pem).ok());
    let (chain, private) = (chain?, private?);
    match CertifiedKey::from_der(chain, private, &rustls::crypto::ring::default_provider()) {
        Ok(certified) => Some(Tls { cert, key, certified: Arc::new(certified) }),
        Err(reason) => {
            unfit(context, &path.key("key"), &reason);
            None
        }
    }
}

/// Loads the authorities of a provider; `None` where the file is wrong, which has been reported then.
pub(super) fn authorities(context: &mut Context<'_>, path: &FieldPath, file: &Path) -> Option<Authorities> {
    let file = context.locate(file);
    let mut kept = Vec::new();
    let certificates = read(context, path, &file, |pem| {
        kept.extend_from_slice(pem);
        certificates(pem)
    })?;
    let mut roots = RootCertStore::empty();
    for (place, certificate) in certificates.into_iter().enumerate() {
        if let Err(reason) = roots.add(certificate) {
            let message = format!("certificate {} of {} cannot be trusted: {reason}", place + 1, file.display());
            let issue = Issue::new(Code::BadValue, &message);
            context.fail(path, issue.allowed("certificates of authorities in PEM (X.509, version 3)"));
            return None;
        }
    }
    Some(Authorities { file, pem: kept.into() })
}

/// Loads a client's certificate and key, tried against each other; `None` where one of them is wrong, which has been
/// reported then.
pub(super) fn identity(context: &mut Context<'_>, path: &FieldPath, files: [&Path; 2]) -> Option<ClientIdentity> {
    let [cert, key] = files.map(|file| context.locate(file));
    let (mut chain_pem, mut key_pem) = (Vec::new(), Vec::new());
    let chain = read(context, &path.key("cert_file"), &cert, |pem| {
        chain_pem.extend_from_slice(pem);
        certificates(pem)
    });
    let private = read(context, &path.key("key_file"), &key, |pem| {
        key_pem.extend_from_slice(pem);
        PrivateKeyDer::from_pem_slice(pem).ok()
    });
    let (chain, private) = (chain?, private?);
    if let Err(reason) = CertifiedKey::from_der(chain, private, &rustls::crypto::ring::default_provider()) {
        unfit(context, &path.key("key_file"), &reason);
        return None;
    }
    Some(ClientIdentity { files: [cert, key], pem: Identity { chain: chain_pem, key: key_pem } })
}

fn unfit(context: &mut Context<'_>, path: &FieldPath, reason: &rustls::Error) {
    let issue = Issue::new(Code::Conflict, &format!("the private key cannot serve this certificate: {reason}"));
    context.fail(path, issue.allowed("the private key that the certificate was made for"));
}

/// Every certificate of a text in PEM; `None` where one is garbled or there is none.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok();
    chain.filter(|chain| !chain.is_empty())
}

fn read<T>(
    context: &mut Context<'_>,
    path: &FieldPath,
    file: &Path,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<T> {
    let pem = match read_small(file) {
        Ok(pem) => pem,
        Err(reason) => {
            let message = format!("the file {} {reason}", file.display());
            context.fail(path, Issue::new(Code::File, &message).allowed("the path of a readable PEM file"));
            return None;
        }
    };
    context.watched.push(file.to_owned());
    let parsed = parse(&pem);
    if parsed.is_none() {
        let message = format!("the file {} holds no PEM of the right kind", file.display());
        let allowed = "a file with a section `-----BEGIN CERTIFICATE-----` or `-----BEGIN PRIVATE KEY-----`";
        context.fail(path, Issue::new(Code::BadValue, &message).allowed(allowed));
    }
    parsed
}
