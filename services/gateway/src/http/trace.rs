//! One span for each request to a server-side API whose credential held: a stranger cannot fill our
//! traces.

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use runtime::telemetry::Tracer;

use crate::Gateway;

/// Ended when told or dropped.
pub(super) struct Span(Option<<Tracer as opentelemetry::trace::Tracer>::Span>);

/// A backend's own trace goes on in ours: whoever holds a secret key is trusted with that.
pub(super) fn start(
    gateway: &Gateway,
    operation: &'static str,
    request: &Request<Incoming>,
) -> Span {
    let Some(tracer) = &gateway.tracer else { return Span(None) };
    let headers = Headers(request.headers());
    let parent = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &headers)
    });
    let attributes = [
        KeyValue::new("http.request.method", method(request)),
        KeyValue::new("wharf.operation", operation),
    ];
    let span = tracer
        .span_builder(operation)
        .with_kind(SpanKind::Server)
        .with_attributes(attributes)
        .start_with_context(tracer, &parent);
    Span(Some(span))
}

impl Span {
    /// `error` is the one word for what went wrong.
    pub(super) fn end(&mut self, status: StatusCode, error: Option<&'static str>) {
        let Some(span) = &mut self.0 else { return };
        let code = i64::from(status.as_u16());
        span.set_attribute(KeyValue::new("http.response.status_code", code));
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error));
        }
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Only the methods of our routes come here.
fn method(request: &Request<Incoming>) -> &'static str {
    match request.method().as_str() {
        "POST" => "POST",
        "HEAD" => "HEAD",
        _ => "GET",
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(hyper::header::HeaderName::as_str).collect()
    }
}
