//! Push over OTLP/gRPC as the standard `OTEL_*` variables ask for it. The exporters read endpoint,
//! headers, time-outs and compression from the environment themselves; here is only whether there
//! is anything to push to.

use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::metrics::PeriodicReader;

use crate::config;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// Which signals are pushed, each by the name of the variable that asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Otlp {
    metrics: Option<&'static str>,
    spans: Option<&'static str>,
}

impl Otlp {
    pub(super) fn from_env() -> Result<Self, config::Error> {
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    pub(super) fn from_lookup(
        get: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, config::Error> {
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self { metrics: None, spans: None });
        }
        let pushed = |exporter, endpoint, protocol| {
            if get(exporter).is_some_and(|list| !names_otlp(&list)) {
                return Ok(None);
            }
            let Some(source) = [endpoint, ENDPOINT].into_iter().find(|name| get(name).is_some())
            else {
                return Ok(None);
            };
            check_protocol(&get, protocol).map(|()| Some(source))
        };
        Ok(Self {
            metrics: pushed(
                "OTEL_METRICS_EXPORTER",
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            )?,
            spans: pushed(
                "OTEL_TRACES_EXPORTER",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            )?,
        })
    }

    pub(super) fn metrics(&self) -> Result<Option<PeriodicReader<MetricExporter>>, config::Error> {
        let Some(source) = self.metrics else { return Ok(None) };
        let exporter =
            MetricExporter::builder().with_tonic().build().map_err(|_| unusable(source))?;
        Ok(Some(PeriodicReader::builder(exporter).build()))
    }

    pub(super) fn spans(&self) -> Result<Option<SpanExporter>, config::Error> {
        let Some(source) = self.spans else { return Ok(None) };
        SpanExporter::builder().with_tonic().build().map(Some).map_err(|_| unusable(source))
    }
}

/// Of a list as `prometheus,otlp`, which may name exporters that are not ours, or `none`.
fn names_otlp(list: &str) -> bool {
    list.split(',').any(|name| name.trim().eq_ignore_ascii_case("otlp"))
}

/// gRPC sent to a port that speaks HTTP would fail for ever and say little.
fn check_protocol(
    get: impl Fn(&'static str) -> Option<String>,
    of_signal: &'static str,
) -> Result<(), config::Error> {
    let Some(name) = [of_signal, PROTOCOL].into_iter().find(|name| get(name).is_some()) else {
        return Ok(());
    };
    if get(name).is_some_and(|value| value == "grpc") {
        return Ok(());
    }
    Err(config::Error::in_variable(
        name,
        "protocol is not supported",
        "set it to grpc and the endpoint to the collector's gRPC port, usually 4317",
    ))
}

/// The exporter's own message quotes the endpoint, which may hold a password.
fn unusable(source: &'static str) -> config::Error {
    config::Error::in_variable(
        source,
        "is not an endpoint that can be used",
        "write it as http://HOST:4317; for TLS run a collector beside this process",
    )
}
