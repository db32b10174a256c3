//! Gateways under test: in this process on free ports, or the real binary.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ::gateway::config::Config;
use ::gateway::{Parts, Running};
use anyhow::{Context as _, bail};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use runtime::admin::Health;
use tempfile::TempDir;

use crate::Metrics;

/// Lifts what a test on one address would run into, and keeps the rest as shipped.
pub const ROOMY: &str = r#"
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
shards = 2
[shutdown]
window = "1s"
[limits]
connects_per_second = 100000
connects_per_second_per_address = 100000
connections_per_address_max = 20000
"#;

/// Two apps: `demo` speaks everything and lets anyone publish; `echo` sends back what it gets.
pub const APPS: &str = r#"
[[app]]
code = "demo"
app_id = "1"
environment = "development"
client_events = true
[[app.key]]
key = "demokey"
secret = "demo-secret-0123456789"
[[app.rule]]
pattern = "*"
subscribe = "anyone"
publish = "anyone"

[[app]]
code = "echo"
app_id = "2"
environment = "development"
dialects = ["raw"]
echo = true
[[app.key]]
key = "echokey"
secret = "echo-secret-0123456789"
"#;

/// A gateway in this process.
#[derive(Debug)]
pub struct Gateway {
    pub running: Arc<Running>,
    pub health: Arc<Health>,
    registry: Registry,
    files: TempDir,
    /// Its instruments end with it.
    _meters: SdkMeterProvider,
}

impl Gateway {
    /// Starts one from the texts of its two files.
    pub fn start(config: &str, apps: &str) -> anyhow::Result<Self> {
        Self::start_with(config, apps, |_| {})
    }

    /// As [`Gateway::start`], with parts of the test's own.
    pub fn start_with(
        config: &str,
        apps: &str,
        change: impl FnOnce(&mut Parts),
    ) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let config: Config = runtime::config::parse_text(config, Path::new("gateway.toml"))?;
        let health = Health::new();
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        let exporter = exporter.scope_info_enabled(false).build()?;
        let meters = SdkMeterProvider::builder().with_reader(exporter).build();
        let mut parts = Parts {
            config: config.check()?,
            apps: parse_apps(&files, apps)?,
            meter: meters.meter("test"),
            tracer: None,
            health: Arc::clone(&health),
            page: None,
            broker: None,
        };
        change(&mut parts);
        let running = Arc::new(::gateway::start(parts)?);
        Ok(Self { running, health, registry, files, _meters: meters })
    }

    /// What `/metrics` of a process would say.
    pub fn metrics(&self) -> Metrics {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        Metrics::new(text.expect("metric families are text"))
    }

    /// As shipped, with room for a test's many connections, and the apps of [`APPS`].
    pub fn demo() -> anyhow::Result<Self> {
        Self::start(ROOMY, APPS)
    }

    pub fn address(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address())
    }

    /// Takes up other apps, as SIGHUP does; how many connections were closed.
    pub async fn apply(&self, apps: &str) -> anyhow::Result<usize> {
        Ok(self.running.apply(parse_apps(&self.files, apps)?).await)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.running.stop();
    }
}

fn parse_apps(files: &TempDir, apps: &str) -> anyhow::Result<Vec<model::App>> {
    let path = files.path().join("apps.toml");
    std::fs::write(&path, apps)?;
    Ok(::gateway::control::file::load(&path)?.0)
}

/// The real binary, on free ports; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    files: TempDir,
}

impl Process {
    /// Starts `wharf-gateway` with these files and waits until it says ready. `config` names no
    /// addresses: they are chosen here.
    pub fn start(config: &str, apps: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let (address, admin) = (free_address()?, free_address()?);
        let head = format!("listen = \"{address}\"\nadmin_listen = \"{admin}\"\n");
        std::fs::write(files.path().join("gateway.toml"), head + config)?;
        std::fs::write(files.path().join("apps.toml"), apps)?;
        let mut child = Command::new(binary("wharf-gateway")?)
            .arg("--config")
            .arg(files.path().join("gateway.toml"))
            .env("WHARF_GATEWAY__LOG__FORMAT", "json")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .context("start wharf-gateway")?;
        wait_until_ready(&mut child)?;
        Ok(Self { child, address, admin, files })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn apps_file(&self) -> PathBuf {
        self.files.path().join("apps.toml")
    }

    pub fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = rustix::process::Pid::from_raw(pid).context("a child has a pid")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits for its end, at most `within`.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                bail!("wharf-gateway did not end within {within:?}");
            }
            pause();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the log up to the ready line, and goes on reading so that the pipe never fills.
fn wait_until_ready(child: &mut Child) -> anyhow::Result<()> {
    let mut log = BufReader::new(child.stdout.take().context("stdout is piped")?);
    let mut line = String::new();
    while log.read_line(&mut line)? > 0 {
        if line.contains("gateway.ready") {
            let drain = move || std::io::copy(&mut log, &mut std::io::sink());
            std::thread::Builder::new().name(String::from("log")).spawn(drain)?;
            return Ok(());
        }
        line.clear();
    }
    bail!("wharf-gateway ended before it was ready: {:?}", child.wait()?)
}

/// A binary of this workspace, beside the running test's own: `make test` builds it first.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("a test runs from target/<profile>/deps")?;
    let path = folder.join(name);
    anyhow::ensure!(path.exists(), "{} is missing: cargo build --workspace", path.display());
    Ok(path)
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[expect(clippy::disallowed_methods, reason = "waiting for another process, on a test's thread")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
