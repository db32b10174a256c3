//! Metrics appear, logs have their form, and nothing waits for who does not listen.

use std::io;
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;
use prometheus::{Encoder, TextEncoder};
use tracing_subscriber::layer::SubscriberExt;

use super::*;

fn scrape(registry: &Registry) -> String {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).expect("metrics encode");
    String::from_utf8(text).expect("metrics are text")
}

/// A test keeps its panic hook; its subscriber is set for each check, not for the process.
fn config() -> Config {
    Config { panic_hook: false, series_max: 10, ..Config::default() }
}

#[tokio::test]
async fn metrics_appear_under_their_prometheus_names() {
    let telemetry = Telemetry::start("wharf-test", "1.2.3", &config()).expect("telemetry starts");
    let meter = telemetry.meter("wharf.test");
    meter.u64_counter("wharf.gateway.message.received").build().add(7, &[]);
    let latency = meter
        .f64_histogram("wharf.message.delivery.duration")
        .with_unit("s")
        .with_boundaries(vec![0.001, 0.25])
        .build();
    latency.record(0.1, &[KeyValue::new("wharf.path", "local")]);
    let wide = meter.u64_counter("wharf.wide").build();
    (0..20).for_each(|n: i64| wide.add(1, &[KeyValue::new("n", n)]));
    let text = scrape(&telemetry.registry());
    for line in [
        "wharf_gateway_message_received_total 7",
        "wharf_message_delivery_duration_seconds_bucket{wharf_path=\"local\",le=\"0.25\"} 1",
        "otel_metric_overflow=\"true\"",
        "process_memory_usage_bytes ",
        "process_cpu_time_seconds_total{cpu_mode=\"user\"} ",
        "process_open_file_descriptor_count ",
        "process_uptime_seconds ",
        "wharf_log_dropped_total 0",
        "wharf_panic_count_total ",
        "service_name=\"wharf-test\"",
        "service_version=\"1.2.3\"",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("otel_scope"), "{text}");
    assert!(telemetry.tracer().is_none());
    telemetry.shutdown().await;
}

#[test]
fn the_process_has_figures() {
    assert!(process::resident_bytes().is_some_and(|bytes| bytes > 100_000));
    assert!(process::open_descriptors().is_some_and(|count| count >= 3));
    let cpu = process::cpu_seconds().expect("processor time");
    assert!(cpu.user >= 0.0 && cpu.system >= 0.0);
}

#[test]
fn telemetry_outside_a_runtime_is_an_error() {
    assert!(matches!(Telemetry::start("t", "0", &config()), Err(Error::Start(_))));
}

#[test]
fn push_follows_the_standard_variables() {
    let check = |set: &[(&str, &str)]| {
        Otlp::from_lookup(|name| {
            set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
        .map(|otlp| format!("{otlp:?}"))
        .map_err(|error| error.to_string())
    };
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    let none = Ok("Otlp { metrics: None, spans: None }".to_owned());
    assert_eq!(check(&[]), none);
    assert_eq!(check(&[all, ("OTEL_SDK_DISABLED", "true")]), none);
    let both = check(&[all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).expect("good");
    assert_eq!(both.matches("Some(").count(), 2, "{both}");
    let one = check(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://h:1")]).expect("good");
    assert!(one.contains("spans: None") && !one.contains("metrics: None"), "{one}");
    for (list, pushed) in [
        ("none", false),
        ("console", false),
        ("prometheus", false),
        ("otlp", true),
        ("prometheus, OTLP", true),
    ] {
        for (variable, unpushed) in
            [("OTEL_TRACES_EXPORTER", "spans: None"), ("OTEL_METRICS_EXPORTER", "metrics: None")]
        {
            let said = check(&[all, (variable, list)]).expect("good");
            assert_eq!(said.contains(unpushed), !pushed, "{variable}={list}: {said}");
            assert_eq!(said.matches("None").count(), usize::from(!pushed), "{said}");
        }
    }
    let refused = check(&[all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    let refused = refused.expect_err("only gRPC");
    assert!(refused.contains("OTEL_EXPORTER_OTLP_PROTOCOL: protocol is not supported"));
    assert!(!refused.contains("protobuf"), "a value is shown: {refused}");
}

const CHILD: &str = "RUNTIME_TEST_TELEMETRY_CHILD";

/// Not a test of its own: what the next one runs as another process.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child_with_a_collector_that_does_not_answer() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let log = LogConfig { format: LogFormat::Json, ..LogConfig::default() };
    let config = Config { log, ..Config::default() };
    let telemetry = Telemetry::start("wharf-test", "1.2.3", &config).expect("telemetry starts");
    let tracer = telemetry.tracer().expect("an endpoint is set");
    opentelemetry::trace::Tracer::start(&tracer, "handshake");
    let tasks = crate::Tasks::new();
    tasks.spawn("unlucky", async { panic!("hunter2-canary") });
    assert_eq!(tasks.stop(Duration::from_secs(1)).await, 0);
    assert_eq!(panics(), 1);
    let before = Instant::now();
    telemetry.shutdown().await;
    assert!(before.elapsed() < Duration::from_millis(3_500), "{:?}", before.elapsed());
}

#[test]
fn a_silent_collector_holds_nothing_up_and_a_panic_tells_its_place_only() {
    // Connections are taken by the kernel and never answered.
    let collector = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = collector.local_addr().expect("a bound port");
    let output = std::process::Command::new(std::env::current_exe().expect("this test's path"))
        .args(["--exact", "telemetry::tests::child_with_a_collector_that_does_not_answer"])
        .env(CHILD, "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://user:hunter2-canary@{address}"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2-canary")
        .env("RUST_LOG", "trace")
        .output()
        .expect("the child runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let line = |needle: &str| {
        text.lines()
            .find(|line| line.contains(needle))
            .unwrap_or_else(|| panic!("{needle}: {text}"))
    };
    assert!(line("\"msg\":\"panic\"").contains("src/telemetry/tests.rs:"));
    assert!(line("\"msg\":\"task panicked\"").contains("\"task\":\"unlucky\""));
    assert!(line("not fully delivered").contains("\"level\":\"warn\""));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("hunter2") && !errors.contains("hunter2"), "{text}{errors}");
}

/// An output that keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, level: &str, asked: Option<&str>, work: impl FnOnce()) -> String {
    let kept = Kept::default();
    let writer = LogWriter::to(kept.clone()).expect("a writer");
    let config = LogConfig { format, level: level.to_owned(), ..LogConfig::default() };
    let resource = Resource::builder_empty()
        .with_attributes([KeyValue::new("service.name", "wharf-test")])
        .build();
    let layer = log::layer(&config, asked, &resource, writer.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    writer.flush(Duration::from_secs(5));
    let bytes = kept.0.lock().clone();
    String::from_utf8(bytes).expect("a log is text")
}

#[test]
fn a_json_line_has_its_fields() {
    let text = logged(LogFormat::Json, "info", None, || {
        let span = tracing::info_span!("connection", wharf.connection.id = 5, reason = "outer");
        let _entered = span.enter();
        tracing::info!(reason = "drain", level = "mine", bytes = 12, "closed\n\"now\"");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).expect("a JSON line");
    for (field, expected) in [
        ("level", serde_json::json!("info")),
        ("msg", serde_json::json!("closed\n\"now\"")),
        ("target", serde_json::json!("runtime::telemetry::tests")),
        ("service", serde_json::json!("wharf-test")),
        ("wharf.connection.id", serde_json::json!(5)),
        ("reason", serde_json::json!("drain")),
        ("field.level", serde_json::json!("mine")),
        ("bytes", serde_json::json!(12)),
    ] {
        assert_eq!(line[field], expected, "{field} in {text}");
    }
    assert!(line["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')), "{text}");
}

#[test]
fn e05_levels_are_followed_and_garbage_falls_back_to_info() {
    let lines = |level: &str, asked: Option<&str>| {
        logged(LogFormat::Pretty, level, asked, || {
            tracing::trace!("t");
            tracing::debug!("d");
            tracing::info!("i");
            tracing::warn!("w");
            tracing::trace!(target: "tungstenite::protocol", "payload");
            tracing::debug!(target: "hyper", "payload");
            tracing::debug!(target: "opentelemetry-otlp", "endpoint");
            tracing::debug!(target: "opentelemetry_sdk", "endpoint");
        })
        .lines()
        .count()
    };
    for (level, asked, expected) in [
        ("info", None, 2),
        ("warn", None, 1),
        ("off", None, 0),
        ("info", Some("debug"), 3),
        ("info", Some("trace"), 4),
        ("info", Some("trace,tungstenite=trace"), 4),
        ("info", Some("trace,opentelemetry-otlp=trace"), 4),
        ("info", Some("garbage"), 2),
        ("info", Some("=,=/"), 2),
        ("info", Some("runtime=warn"), 1),
        ("info", Some("other=debug"), 2),
    ] {
        assert_eq!(lines(level, asked), expected, "{level} {asked:?}");
    }
    let garbage = LogConfig { level: "loud".to_owned(), ..LogConfig::default() };
    assert!(garbage.check().is_err());
}

/// An output whose first write waits until the test lets it go.
struct Blocked(mpsc::Receiver<()>);

impl io::Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_blocked_output_costs_lines_and_never_time() {
    let (release, wait) = mpsc::channel::<()>();
    let writer = LogWriter::to(Blocked(wait)).expect("a writer");
    let line = [b'x'; 1_024];
    let before = Instant::now();
    for _ in 0..4_096 {
        use tracing_subscriber::fmt::MakeWriter;
        io::Write::write_all(&mut writer.make_writer(), &line).expect("never fails");
    }
    writer.flush(Duration::from_millis(10));
    assert!(before.elapsed() < Duration::from_secs(2));
    assert!((1_024..4_096).contains(&writer.dropped()), "{}", writer.dropped());
    drop(release);
    writer.flush(Duration::from_secs(5));
}

#[test]
fn a_closed_output_counts_what_it_lost() {
    let (reader, output) = io::pipe().expect("a pipe");
    drop(reader);
    let writer = LogWriter::to(output).expect("a writer");
    {
        use tracing_subscriber::fmt::MakeWriter;
        io::Write::write_all(&mut writer.make_writer(), b"line\n").expect("never fails");
    }
    writer.flush(Duration::from_secs(5));
    assert_eq!(writer.dropped(), 1);
}
