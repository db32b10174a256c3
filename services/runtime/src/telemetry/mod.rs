//! Logs, metrics and traces of a process: one subscriber, one meter provider behind both `/metrics`
//! and OTLP push, one tracer provider. Nothing here waits for a collector or for a terminal.

mod log;
mod otlp;
mod panics;
mod process;
mod writer;

use std::error::Error as StdError;
use std::time::Duration;

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::Registry;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config;

pub use log::{LogConfig, LogFormat, LogOutput};
pub use opentelemetry_sdk::trace::SdkTracer as Tracer;
pub use panics::panics;

use otlp::Otlp;
use writer::LogWriter;

#[cfg(test)]
mod tests;

/// How long [`Telemetry::shutdown`] takes at most.
const SHUTDOWN_MAX: Duration = Duration::from_secs(3);
const LOG_FLUSH_MAX: Duration = Duration::from_millis(500);
/// Series of one metric. The attributes we allow have short closed lists of values, and the SDK
/// reserves this much for each instrument from the start.
const SERIES_MAX_DEFAULT: usize = 1_000;

/// What a process decides about its telemetry. Where OTLP goes is decided by the standard `OTEL_*`
/// variables.
#[derive(Debug, Clone)]
pub struct Config {
    pub log: LogConfig,
    /// Series of one metric; what is over it is counted in one series with
    /// `otel_metric_overflow="true"`.
    pub series_max: usize,
    /// Replace the panic hook by one that logs the place and never the message. Tests keep theirs.
    pub panic_hook: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { log: LogConfig::default(), series_max: SERIES_MAX_DEFAULT, panic_hook: true }
    }
}

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Exit with [`config::EXIT_CONFIG`].
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("start telemetry")]
    Start(#[source] Box<dyn StdError + Send + Sync>),
}

/// The telemetry of one process. Everything made from it (meters, tracer, registry) may be cloned
/// and used on any thread.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    meters: SdkMeterProvider,
    traces: Option<SdkTracerProvider>,
    log: LogWriter,
}

impl Telemetry {
    /// Installs the log subscriber and the panic hook, and starts metrics and traces.
    ///
    /// Must be called inside a tokio runtime that outlives it: OTLP connections live there. A
    /// second call in one process (tests) leaves the first's subscriber in place.
    ///
    /// Metrics are pushed and traces made when `OTEL_EXPORTER_OTLP_ENDPOINT`, or the variable of
    /// that signal, is set, unless `OTEL_METRICS_EXPORTER` or `OTEL_TRACES_EXPORTER` lists others
    /// than `otlp`; `OTEL_SDK_DISABLED=true` turns both off, `/metrics` stays.
    pub fn start(
        service: &'static str,
        version: &'static str,
        config: &Config,
    ) -> Result<Self, Error> {
        tokio::runtime::Handle::try_current().map_err(|error| Error::Start(error.into()))?;
        let otlp = Otlp::from_env()?;
        let resource = resource(service, version);
        let log = log::install(&config.log, &resource)?;
        if config.panic_hook {
            panics::install_hook();
        }
        let registry = Registry::new();
        let meters = meter_provider(&registry, &otlp, resource.clone(), config.series_max)?;
        let traces = trace_provider(&otlp, resource)?;
        let meter = meters.meter("wharf.runtime");
        process::register(&meter, Instant::now());
        register_own(&meter, &log);
        Ok(Self { registry, meters, traces, log })
    }

    /// For a part's instruments; `name` is the scope, such as `wharf.gateway`. Histogram boundaries
    /// are given to the instrument's builder (`with_boundaries`).
    pub fn meter(&self, name: &'static str) -> Meter {
        self.meters.meter(name)
    }

    /// None when traces go nowhere: then nothing need be measured for them.
    pub fn tracer(&self) -> Option<Tracer> {
        let scope = InstrumentationScope::builder("wharf").build();
        self.traces.as_ref().map(|traces| traces.tracer_with_scope(scope))
    }

    /// What `/metrics` serves. Gathering it runs the callbacks of all observable instruments on the
    /// gathering thread.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Log lines given up because the output did not take them.
    pub fn log_lines_dropped(&self) -> u64 {
        self.log.dropped()
    }

    /// Pushes what is still held and writes out the log, on threads of its own; returns within 3 s
    /// whatever the collector does. Stop the admin listener first: afterwards the registry is
    /// empty.
    pub async fn shutdown(self) {
        let Self { registry: _, meters, traces, log } = self;
        let mut ends = Vec::new();
        if let Some(traces) = traces {
            ends.push(off_thread("telemetry-traces", move || {
                report("traces", traces.shutdown_with_timeout(SHUTDOWN_MAX));
            }));
        }
        ends.push(off_thread("telemetry-metrics", move || {
            report("metrics", meters.shutdown_with_timeout(SHUTDOWN_MAX));
        }));
        let all = async {
            for end in ends {
                let _ = end.await;
            }
        };
        if tokio::time::timeout(SHUTDOWN_MAX - LOG_FLUSH_MAX, all).await.is_err() {
            tracing::warn!("telemetry is not fully delivered: the collector does not answer");
        }
        let _ = off_thread("telemetry-log", move || log.flush(LOG_FLUSH_MAX)).await;
    }
}

fn report(signal: &'static str, result: opentelemetry_sdk::error::OTelSdkResult) {
    if let Err(error) = result {
        tracing::warn!(signal, %error, "telemetry is not fully delivered");
    }
}

/// Runs `work` on its own thread. If no thread can be had, the receiver ends at once and the work
/// is not done: the process is ending.
fn off_thread(name: &str, work: impl FnOnce() + Send + 'static) -> oneshot::Receiver<()> {
    let (done, end) = oneshot::channel();
    let _detached = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        work();
        let _ = done.send(());
    });
    end
}

fn meter_provider(
    registry: &Registry,
    otlp: &Otlp,
    resource: Resource,
    series_max: usize,
) -> Result<SdkMeterProvider, Error> {
    let scrape = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .build()
        .map_err(|error| Error::Start(error.into()))?;
    let limit = move |_: &Instrument| {
        Stream::builder().with_cardinality_limit(series_max.max(1)).build().ok()
    };
    let builder =
        SdkMeterProvider::builder().with_resource(resource).with_reader(scrape).with_view(limit);
    Ok(match otlp.metrics()? {
        Some(push) => builder.with_reader(push).build(),
        None => builder.build(),
    })
}

fn trace_provider(otlp: &Otlp, resource: Resource) -> Result<Option<SdkTracerProvider>, Error> {
    let Some(exporter) = otlp.spans()? else { return Ok(None) };
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let builder = SdkTracerProvider::builder().with_resource(resource);
    Ok(Some(builder.with_batch_exporter(exporter).build()))
}

/// Who produces the telemetry. What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say wins.
fn resource(service: &'static str, version: &'static str) -> Resource {
    let given = Resource::builder().build();
    let has = |key: &'static str| given.get(&key.into()).is_some();
    let mut ours = Vec::new();
    let named = given
        .get(&"service.name".into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if !named {
        ours.push(KeyValue::new("service.name", service));
    }
    if !has("service.version") {
        ours.push(KeyValue::new("service.version", version));
    }
    if !has("service.instance.id") {
        let host = rustix::system::uname();
        let instance = format!("{}-{}", host.nodename().to_string_lossy(), std::process::id());
        ours.push(KeyValue::new("service.instance.id", instance));
    }
    Resource::builder().with_attributes(ours).build()
}

fn register_own(meter: &Meter, log: &LogWriter) {
    let log = log.clone();
    meter
        .u64_observable_counter("wharf.log.dropped")
        .with_description("Log lines given up because the output did not take them")
        .with_unit("{line}")
        .with_callback(move |observer| observer.observe(log.dropped(), &[]))
        .build();
    meter
        .u64_observable_counter("wharf.panic.count")
        .with_description("Panics; each is a bug")
        .with_unit("{panic}")
        .with_callback(|observer| observer.observe(panics(), &[]))
        .build();
}
