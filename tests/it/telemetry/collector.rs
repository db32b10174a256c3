//! An OTLP collector (rotel) that prints all it receives.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use super::sidecar::{Sidecar, cache, free_port};

pub(super) struct Collector {
    sidecar: Sidecar,
    endpoint: String,
}

/// What has a gateway push to `endpoint`, sooner than a test's patience ends.
pub(super) fn variables(endpoint: &str) -> [(&str, &str); 3] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_METRIC_EXPORT_INTERVAL", "300"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ]
}

impl Collector {
    pub(super) fn start() -> Self {
        let packages = cache().join("rotel/lib");
        let python = std::fs::read_dir(&packages).into_iter().flatten().flatten().next();
        let program = python.map(|python| python.path().join("site-packages/rotel/rotel-agent"));
        let program = program.filter(|path| path.is_file()).unwrap_or_else(|| {
            let venv = cache().join("rotel");
            let venv = venv.display();
            panic!(
                "rotel is missing: run tests/setup.sh, or: \
                 python3 -m venv {venv} && {venv}/bin/pip install rotel==0.0.1a15"
            )
        });
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(program);
        command
            .args(["start", "--exporter", "blackhole"])
            .args(["--debug-log", "metrics", "--debug-log", "traces"])
            .args(["--debug-log-verbosity", "detailed"])
            .args(["--otlp-grpc-endpoint", &address.to_string()])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{}", free_port())]);
        let folder = tempfile::tempdir().expect("a folder");
        let sidecar = Sidecar::start(command, address, folder);
        Self { endpoint: format!("http://{address}"), sidecar }
    }

    pub(super) fn variables(&self) -> [(&str, &str); 3] {
        variables(&self.endpoint)
    }

    /// Takes connections and answers nothing from now on.
    pub(super) fn pause(&self) {
        self.sidecar.signal(Signal::STOP);
    }

    /// The last value that was pushed for a series; the sum of all that have these attributes.
    pub(super) fn metric(&self, name: &str, attributes: &[(&str, &str)]) -> Option<u64> {
        let log = self.sidecar.log();
        let wanted = format!("     -> Name: {name}");
        let (_, last) = log.rsplit_once(&format!("{wanted}\n"))?;
        // Up to the next metric; the newest push may not be written to its end yet.
        let ends = ["\nMetric #", "\nResourceMetrics #", "\nResourceSpans #", "\nScopeMetrics #"];
        let end = ends.iter().filter_map(|end| last.find(end)).min();
        let points = last[..end.unwrap_or(last.len())].split("\nNumberDataPoints #").skip(1);
        let has = |point: &&str| {
            let each = attributes.iter();
            each.clone().all(|(key, value)| point.contains(&format!("-> {key}: Str({value})\n")))
        };
        let values = points.filter(has).map(|point| {
            let (_, value) = point.rsplit_once("\nValue: ")?;
            value.lines().next()?.parse::<u64>().ok()
        });
        values.collect::<Option<Vec<_>>>().filter(|v| !v.is_empty()).map(|v| v.iter().sum())
    }

    /// How many spans of this name came with this attribute.
    pub(super) fn spans(&self, name: &str, attribute: &str) -> usize {
        let log = self.sidecar.log();
        let named = format!("    Name           : {name}\n");
        let spans = log.split("\nSpan #").skip(1);
        let spans = spans.map(|span| span.split("\nResource").next().unwrap_or_default());
        spans.filter(|span| span.contains(&named) && span.contains(attribute)).count()
    }
}
