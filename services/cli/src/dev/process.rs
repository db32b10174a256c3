//! The dev process: takes its folder, starts telemetry, gateway and admin listener, says ready, obeys
//! signals, and leaves in order.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use gateway::config::{Config, Listen, Warning};
use gateway::{Parts, Running, StartError, control};
use runtime::admin::{self, Health};
use runtime::shutdown::{Signal, Signals};
use runtime::telemetry::{LogConfig, LogFormat, LogOutput, Telemetry};
use runtime::{Span, chain};
use tracing::{debug, error, info, warn};

use super::invocation::Invocation;
use super::page::DevPage;
use super::ready::{Ready, ReadyApp};
use super::state::State;
use super::terminal::Terminal;
use super::{Args, banner};
use crate::failure::Failure;
use crate::output::{self, Output};

/// How long clients are given to go elsewhere.
const DRAIN: Span = Span::from_secs(2);
/// The highest rate that there is: one machine is all clients at once, and a reload is a storm.
const RATE_MAX: u32 = 1_000_000;
const CONNECTIONS_MAX: u32 = 4_000_000;
/// The gateway's warning of a setting that nobody set here; ours says the same of `--listen`.
const NOT_OF_DEV: &str = "allow_insecure ";
/// Set to `make` by the Makefile, whose users typed no flags.
const STARTED_BY: &str = "WHARF_STARTED_BY";

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    // Telemetry export, signals and sweeps: everything that is no shard's.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("side")
        .enable_all()
        .build()
        .context("start the side runtime")?;
    runtime.block_on(serve(args))
}

/// What is read again on SIGHUP and shown in three places.
struct Shown<'a> {
    state: &'a State,
    apps_file: PathBuf,
    page: Arc<DevPage>,
    gateway_url: String,
    admin_url: String,
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let state = State::take(&args.state_dir)?;
    let apps_file = match &args.apps {
        Some(file) => file.clone(),
        None => state.apps()?,
    };
    let (apps, warnings) = load(&apps_file)?;
    let telemetry = start_telemetry()?;
    warn_of(&warnings);
    let admin_listener = listen_admin(args.admin_listen)?;
    let terminal = Terminal::new();
    let signals = Signals::new().context("take over signals")?;
    let health = Health::new();
    let invocation = Invocation::new(&args.state_dir);
    let page = Arc::new(DevPage::new(invocation.clone()));
    let running = start(args, apps.clone(), &telemetry, Arc::clone(&health), Arc::clone(&page))?;
    let running = Arc::new(running);
    let admin = admin::start(admin_listener, health, telemetry.registry())?;
    let gateway_address = running.addresses().first().copied().unwrap_or(args.listen);
    let shown = Shown {
        state: &state,
        apps_file,
        page,
        gateway_url: url(gateway_address),
        admin_url: url(admin.local_addr()),
    };
    let ready = shown.show(&apps)?;
    let text = match args.output {
        Output::Json => serde_json::to_string(&ready)?,
        Output::Text => banner::text(&ready, &args.state_dir, &invocation),
    };
    // Not as in other commands: whoever does not hear this cannot use what was started.
    output::line(&text).map_err(|error| anyhow!("say on stdout what is ready: {error}"))?;
    until_stopped(signals, &terminal, &running, &shown).await;
    state.withdraw();
    running.drain().await;
    admin.stop();
    telemetry.shutdown().await;
    Ok(())
}

fn start_telemetry() -> anyhow::Result<Telemetry> {
    // Quiet: what a newcomer must see is what this command prints.
    let log = LogConfig {
        format: LogFormat::Pretty,
        level: String::from("warn,wharf=info"),
        output: LogOutput::Stderr,
    };
    let config = runtime::telemetry::Config { log, ..runtime::telemetry::Config::default() };
    let telemetry = Telemetry::start("wharf-dev", env!("CARGO_PKG_VERSION"), &config);
    telemetry.map_err(|error| Failure::Config(chain(&error).to_string()).into())
}

fn start(
    args: &Args,
    apps: Vec<model::App>,
    telemetry: &Telemetry,
    health: Arc<Health>,
    page: Arc<DevPage>,
) -> anyhow::Result<Running> {
    let mut config = config(args).check().map_err(|error| Failure::Config(error.to_string()))?;
    warn_of(warnings(args.listen, &config.warnings));
    // One person's machine has descriptors enough, and nobody asked for 100,000 connections.
    if let Some(capped) = gateway::config::cap_connections(&mut config) {
        debug!(event = "config.warning", "{capped}");
    }
    let parts = Parts {
        config,
        apps,
        meter: telemetry.meter("wharf.gateway"),
        tracer: telemetry.tracer(),
        health,
        page: Some(page),
        broker: None,
    };
    gateway::start(parts).map_err(|error| match error {
        StartError::Listen(error) => port_taken("--listen", &chain(&error).to_string()).into(),
        error @ (StartError::Tls(_) | StartError::Thread(_)) => anyhow::Error::from(error),
    })
}

pub(super) fn config(args: &Args) -> Config {
    let mut config = Config {
        listen: Listen(vec![args.listen.to_string()]),
        admin_listen: args.admin_listen.to_string(),
        // Whoever asks for another address than loopback has a phone to try, not an internet.
        allow_insecure: true,
        ..Config::default()
    };
    config.shutdown.window = DRAIN;
    config.limits.connects_per_second = RATE_MAX;
    config.limits.connects_per_second_per_address = RATE_MAX;
    config.limits.connections_per_address_max = CONNECTIONS_MAX;
    config
}

fn load(file: &Path) -> anyhow::Result<(Vec<model::App>, Vec<Warning>)> {
    let loaded = control::file::load(file);
    let (mut apps, warnings) =
        loaded.map_err(|error| Failure::Config(chain(&error).to_string()))?;
    for app in &mut apps {
        app.limits.connects_per_second = RATE_MAX;
    }
    Ok((apps, warnings))
}

fn listen_admin(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let text = match error.kind() {
            std::io::ErrorKind::AddrInUse => String::from("the address is in use"),
            _ => error.to_string(),
        };
        let fix = "choose another address or stop who has it";
        port_taken("--admin-listen", &format!("listen on {address}: {text}; {fix}")).into()
    })
}

impl Shown<'_> {
    /// Writes to page and folder what these apps are.
    fn show(&self, apps: &[model::App]) -> anyhow::Result<Ready> {
        let api_keys = self.state.api_keys();
        let ready = Ready {
            ready: true,
            gateway_url: self.gateway_url.clone(),
            admin_url: self.admin_url.clone(),
            apps: apps.iter().map(|app| ReadyApp::of(app, &api_keys)).collect(),
        };
        self.page.show(&ready);
        self.state.publish(&ready)?;
        Ok(ready)
    }
}

async fn until_stopped(
    mut signals: Signals,
    terminal: &Terminal,
    running: &Running,
    shown: &Shown<'_>,
) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut reloaded = false;
    loop {
        tokio::select! {
            _ = second.tick() => {
                running.sweep();
                // A shell that ends sends the signal a moment before its terminal is gone.
                if std::mem::take(&mut reloaded) && terminal.is_gone() {
                    return;
                }
            }
            signal = signals.next() => match signal {
                Signal::Stop => return,
                Signal::Reload if terminal.is_gone() => return,
                Signal::Reload => {
                    reload(running, shown).await;
                    reloaded = true;
                }
            }
        }
    }
}

/// The old apps stay if the new ones are not right.
async fn reload(running: &Running, shown: &Shown<'_>) {
    let (apps, warnings) = match load(&shown.apps_file) {
        Ok(loaded) => loaded,
        Err(error) => {
            running.reload_refused();
            return error!(event = "config.refused", error = %error, "apps not reloaded");
        }
    };
    warn_of(&warnings);
    let closed = running.apply(apps.clone()).await;
    if let Err(error) = shown.show(&apps) {
        error!(event = "state.refused", error = format!("{error:#}"), "keys are not written");
    }
    info!(event = "config.reloaded", apps = apps.len(), closed, "apps reloaded");
}

fn warn_of(warnings: impl IntoIterator<Item = impl fmt::Display>) {
    for warning in warnings {
        warn!(event = "config.warning", "{warning}");
    }
}

/// Those of the gateway, with its words on encryption in terms of the flag that was given.
pub(super) fn warnings(listen: SocketAddr, of_gateway: &[Warning]) -> Vec<String> {
    let mut said: Vec<String> = of_gateway.iter().map(Warning::to_string).collect();
    said.retain(|text| !text.starts_with(NOT_OF_DEV));
    if !listen.ip().is_loopback() {
        said.push(format!(
            "--listen {listen} lets other machines in, without encryption: keys and messages can \
             be read on the way, so only in a network that you trust"
        ));
    }
    said
}

/// A port that cannot be had, and how another is asked for by whoever started us.
fn port_taken(flag: &str, why: &str) -> Failure {
    let made = std::env::var_os(STARTED_BY).is_some_and(|by| by == "make");
    let again = if made {
        "; make run ARGS='--listen 127.0.0.1:9000 --admin-listen 127.0.0.1:9001' takes others"
    } else {
        ""
    };
    Failure::Port(format!("{flag}: {why}; port 0 takes a free one{again}"))
}

/// Where a program on this machine reaches a listener.
fn url(listener: SocketAddr) -> String {
    let mut address = listener;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}
