//! Adapters in processes of their own: where they listen, how they are trusted, and how they register.

use std::path::Path;
use std::time::Duration;

use atp_adapters::remote::client::Place;
use atp_core::Timeouts;

use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::{RawConfig, RawProvider};
use super::super::resolved::{Adapters, GrpcProvider, Trust};
use super::{Context, secrets, tls};

/// How often adapters report, and how long one may be silent, where the file does not say.
const REPORT_EVERY: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(300);

/// A provider of kind `grpc`.
pub(super) fn provider(
    context: &mut Context<'_>,
    path: &FieldPath,
    raw: &RawProvider,
    timeouts: Timeouts,
) -> GrpcProvider {
    let files = [raw.ca_file.as_deref(), raw.cert_file.as_deref(), raw.key_file.as_deref()];
    GrpcProvider { endpoints: endpoints(context, path, raw), trust: trust(context, path, files), timeouts }
}

fn endpoints(context: &mut Context<'_>, path: &FieldPath, raw: &RawProvider) -> Vec<Place> {
    if raw.endpoint.is_some() && !raw.endpoints.is_empty() {
        let issue = Issue::new(Code::Conflict, "both `endpoint` and `endpoints` are given");
        context.fail(&path.key("endpoint"), issue.allowed("one of them"));
    }
    let one = raw.endpoint.iter().map(|text| (path.key("endpoint"), text));
    let several = raw.endpoints.iter().map(|(place, text)| (path.key("endpoints").index(place), text));
    let mut places = Vec::new();
    for (path, text) in one.chain(several) {
        match Place::parse(text) {
            Ok(place) if places.contains(&place) => {
                context.fail(&path, Issue::new(Code::Conflict, "this adapter is named twice").allowed("each one once"));
            }
            Ok(place) => places.push(place),
            Err(_) => {
                let issue = Issue::new(Code::BadValue, "this is no place where an adapter could listen");
                context.fail(&path, issue.allowed("`http://host:port`, `https://host:port` or `unix:/path`"));
            }
        }
    }
    places
}

/// Authorities, certificate and key.
fn trust(context: &mut Context<'_>, path: &FieldPath, files: [Option<&Path>; 3]) -> Trust {
    let [ca, cert, key] = files;
    let authorities = ca.and_then(|file| tls::authorities(context, &path.key("ca_file"), file));
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => tls::identity(context, path, [cert, key]),
        (None, None) => None,
        (Some(_), None) => lonely(context, path, ["cert_file", "key_file"]),
        (None, Some(_)) => lonely(context, path, ["key_file", "cert_file"]),
    };
    Trust { authorities, identity }
}

fn lonely<T>(context: &mut Context<'_>, path: &FieldPath, [given, missing]: [&str; 2]) -> Option<T> {
    let issue = Issue::new(Code::MissingField, &format!("`{missing}` is missing: a certificate goes with its key"));
    context.fail(&path.key(given), issue.allowed("both files, or none"));
    None
}

/// What is to be known of adapters that register themselves.
pub(super) fn adapters(raw: &RawConfig, context: &mut Context<'_>) -> Adapters {
    let raw = &raw.adapters;
    let path = FieldPath::of(&["adapters"]);
    let token = raw.token.as_ref().and_then(|source| secrets::read(context, &path.key("token"), source));
    let report_every =
        context.span_from(&path.key("report_every"), raw.report_every, Duration::from_millis(100), REPORT_EVERY);
    let silence = context.span_from(&path.key("silence"), raw.silence, report_every, SILENCE.max(report_every));
    let files = [raw.ca_file.as_deref(), raw.cert_file.as_deref(), raw.key_file.as_deref()];
    Adapters { token, report_every, silence, trust: trust(context, &path, files) }
}
