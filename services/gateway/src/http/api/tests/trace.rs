//! One span for each request that was let in, below the caller's own.

use std::sync::Arc;

use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;

use super::server::Server;

#[derive(Clone, Debug, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().extend(batch);
        Ok(())
    }
}

#[test]
fn publication_is_a_span_below_its_caller() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let exported = Exported::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
    let server = Server::start_traced(|_| {}, Some(provider.tracer("test")));
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let good = r#"{"channel":"lobby","data":1}"#;
    assert_eq!(server.post_with("/v1/apps/demo/publish", parent, good).status, 200);
    assert_eq!(server.post_with("/v1/apps/demo/publish", parent, "{}").status, 422);
    assert_eq!(server.post_with("/v1/apps/nobody/publish", parent, good).status, 401);

    let spans = exported.0.lock().clone();
    let seen: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(seen, ["publish", "publish"], "a stranger makes no span");
    for (span, status) in spans.iter().zip(["200", "422"]) {
        assert_eq!(span.span_kind, SpanKind::Server);
        let trace = span.span_context.trace_id().to_string();
        assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        let attributes = span.attributes.iter();
        let mut attributes = attributes.map(|a| format!("{}={}", a.key, a.value.as_str()));
        assert!(attributes.any(|a| a == format!("http.response.status_code={status}")));
    }
}
