//! The servers that the gates are measured on: a gateway with a generated configuration, and the
//! peer beside it. Each lives on one CPU and ends when it goes out of scope.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use model::AppCode;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::bench::{
    affinity,
    args::{Dialect, Output, Publish, Target},
    clock::{self, NANOS_PER_SECOND},
    endpoint::Endpoint,
    engine::Engine,
    interrupt::Interrupt,
    process::Process,
    progress::Progress,
};

const READY_WITHIN: u64 = 15 * NANOS_PER_SECOND;
const STOPPED_WITHIN: u64 = 5 * NANOS_PER_SECOND;
const STEP: Duration = Duration::from_millis(50);

/// A running server under test.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    target: Target,
    /// Kept for its lifetime: the configuration and the log are in it.
    folder: TempDir,
}

impl Server {
    pub(super) fn gateway(
        binary: &Path,
        queue_bound: u64,
        cpu: Option<usize>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a folder for the configuration")?;
        let (listen, admin) = (free_address()?, free_address()?);
        let apps = folder.path().join("apps.toml");
        fs::write(&apps, APPS).context("write apps.toml")?;
        let config = folder.path().join("gateway.toml");
        fs::write(&config, gateway_toml(listen, admin, &apps, queue_bound))
            .context("write gateway.toml")?;
        let mut command = Command::new(binary);
        command.arg("--config").arg(&config);
        let mut server = Self::start(command, folder, cpu, Target::raw(listen))?;
        server.wait("answer /readyz with 200", || ready(admin))?;
        Ok(server)
    }

    /// `script` gets its port from PORT and serves /sub, /pub and /echo.
    pub(super) fn peer(script: &Path, cpu: Option<usize>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a folder for the log")?;
        let listen = free_address()?;
        let mut command = Command::new("node");
        command.arg(script).env("PORT", listen.port().to_string());
        let mut server = Self::start(command, folder, cpu, Target::plain(listen))?;
        server.wait("accept connections", || TcpStream::connect(listen).is_ok())?;
        Ok(server)
    }

    /// A generator for this server.
    pub(super) fn engine(&self, label: &str, interrupt: &Interrupt) -> anyhow::Result<Engine> {
        let process = Process::try_new(self.child.id())?;
        process.wait_quiet()?;
        Engine::try_new(
            Endpoint::try_new(&self.target)?,
            Some(process),
            interrupt.clone(),
            Progress::new(label),
        )
    }

    fn start(
        mut command: Command,
        folder: TempDir,
        cpu: Option<usize>,
        target: Target,
    ) -> anyhow::Result<Self> {
        let log = fs::File::create(folder.path().join("log")).context("create a log")?;
        command.stdin(Stdio::null()).stdout(log.try_clone().context("share the log")?).stderr(log);
        let program = command.get_program().to_owned();
        let child = affinity::pinned(cpu, || {
            command.spawn().with_context(|| format!("start {}", program.display()))
        })?;
        Ok(Self { child, target, folder })
    }

    fn wait(&mut self, what: &str, mut done: impl FnMut() -> bool) -> anyhow::Result<()> {
        let until = clock::now() + READY_WITHIN;
        while !done() {
            if let Some(status) = self.child.try_wait().context("ask for the server's state")? {
                bail!("the server ended with {status} before it could {what}: {}", self.log());
            }
            if clock::now() > until {
                bail!("the server did not {what} within 15 s: {}", self.log());
            }
            clock::pause(STEP);
        }
        Ok(())
    }

    /// The end of what it printed.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines = text.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may be gone already; the kill below makes sure.
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = clock::now() + STOPPED_WITHIN;
        while clock::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            clock::pause(STEP);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target {
    fn raw(address: SocketAddr) -> Self {
        Self { gateway: Some(format!("ws://{address}")), ..Self::bare(Dialect::Raw) }
    }

    fn plain(address: SocketAddr) -> Self {
        Self { url: Some(format!("ws://{address}/{{role}}")), ..Self::bare(Dialect::Plain) }
    }

    fn bare(dialect: Dialect) -> Self {
        Self {
            gateway: None,
            url: None,
            dialect,
            app: Some(AppCode::parse("bench").expect("`bench` is a code")),
            app_id: None,
            key: Some("benchkey".to_owned()),
            state_dir: PathBuf::new(),
            secret: None,
            channel: None,
            publish: Publish::Client,
            server_pid: None,
            cpu: None,
            output: Output::Table,
        }
    }
}

/// One shard, and no limit that one address with many connections would meet.
fn gateway_toml(listen: SocketAddr, admin: SocketAddr, apps: &Path, queue_bound: u64) -> String {
    format!(
        r#"listen = "{listen}"
admin_listen = "{admin}"
apps = "{}"
shards = 1

[shutdown]
window = "0s"

[limits]
connections_max = 20000
connections_per_address_max = 20000
connects_per_second = 100000
connects_per_second_per_address = 100000
frames_per_second = 100000
queue_bytes_max = "{queue_bound}B"
"#,
        apps.display()
    )
}

const APPS: &str = r#"[[app]]
code = "bench"
app_id = "1"
environment = "development"
dialects = ["raw", "pusher"]
client_events = true

[[app.key]]
key = "benchkey"
secret = "bench-secret-0123456789"

[app.limits]
connections_max = 20000
connects_per_second = 100000
publishes_per_second = 100000
publishes_per_second_per_connection = 100000

[[app.rule]]
pattern = "*"
subscribe = "anyone"
publish = "anyone"
"#;

/// An address that was free a moment ago; nobody else binds loopback ports that fast.
fn free_address() -> anyhow::Result<SocketAddr> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    probe.local_addr().context("read the free port")
}

fn ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
