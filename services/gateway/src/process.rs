//! The gateway as a process: reads its files, starts telemetry and shards, obeys signals, and ends
//! with an exit code that says why.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use runtime::admin::{self, Health};
use runtime::chain;
use runtime::config::{EXIT_CONFIG, EXIT_PORT};
use runtime::shutdown::{Signal, Signals};
use runtime::telemetry::{self, Telemetry};
use tracing::{error, info, warn};

use crate::config::{Checked, Config, cap_connections};
use crate::{Parts, Running, StartError, control};

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Run,
    Check,
    Print,
}

/// Everything that `main` does.
pub fn main(config: Option<&Path>, asked: Asked) -> ExitCode {
    let loaded = match runtime::config::load::<Config>(config, "WHARF_GATEWAY") {
        Ok(loaded) => loaded,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    if asked == Asked::Print {
        say(&loaded.render());
        return ExitCode::SUCCESS;
    }
    let located = |error: crate::config::ConfigError| match config {
        Some(path) => error.with_file(path),
        None => error,
    };
    let mut checked = match loaded.check().map_err(located) {
        Ok(checked) => checked,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    checked.apps = beside(config, &checked.apps);
    if let Some(tls) = &mut checked.tls {
        tls.certificate = beside(config, &tls.certificate);
        tls.key = beside(config, &tls.key);
    }
    let (apps, warnings) = match control::file::load(&checked.apps) {
        Ok(loaded) => loaded,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    if let Some(tls) = &checked.tls {
        control::file::warn_if_world_readable(&tls.key, &mut checked.warnings);
        if let Err(error) = crate::http::acceptor(tls) {
            return fail(EXIT_CONFIG, &error);
        }
    }
    checked.warnings.extend(warnings);
    checked.warnings.extend(control::conflicts(&apps, &checked.limits));
    if asked == Asked::Check {
        for warning in &checked.warnings {
            say(&format!("warning: {warning}\n"));
        }
        say(&format!("ok: {} app(s)\n", apps.len()));
        return ExitCode::SUCCESS;
    }
    let capped = cap_connections(&mut checked);
    checked.warnings.extend(capped);
    run(checked, apps)
}

fn run(config: Checked, apps: Vec<model::App>) -> ExitCode {
    // Telemetry export, signals and sweeps: everything that is no shard's.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("side")
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(config, apps)),
        Err(error) => fail(1, &error),
    }
}

async fn serve(config: Checked, apps: Vec<model::App>) -> ExitCode {
    let telemetry = match Telemetry::start("wharf-gateway", VERSION, &telemetry_config(&config)) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(EXIT_CONFIG, &error),
    };
    for warning in &config.warnings {
        warn!(event = "config.warning", "{warning}");
    }
    let (signals, admin_listener) = match prepare(&config) {
        Ok(prepared) => prepared,
        Err(error) => return fail(EXIT_PORT, &error),
    };
    let (apps_file, insecure) = (config.apps.clone(), config.insecure);
    let health = Health::new();
    let parts = Parts {
        config,
        apps,
        meter: telemetry.meter("wharf.gateway"),
        tracer: telemetry.tracer(),
        health: Arc::clone(&health),
        page: None,
        broker: None,
    };
    let running = match crate::start(parts) {
        Ok(running) => Arc::new(running),
        Err(error) => return fail(exit_code(&error), &error),
    };
    let admin = match admin::start(admin_listener, health, telemetry.registry()) {
        Ok(admin) => admin,
        Err(error) => return fail(EXIT_PORT, &error),
    };
    info!(
        event = "gateway.ready",
        listen = ?running.addresses(),
        admin = %admin.local_addr(),
        "ready"
    );
    until_stopped(signals, &running, &apps_file, insecure).await;
    running.drain().await;
    info!(event = "gateway.stopped", "stopped");
    admin.stop();
    telemetry.shutdown().await;
    ExitCode::SUCCESS
}

fn telemetry_config(config: &Checked) -> telemetry::Config {
    telemetry::Config { log: config.log.clone(), ..telemetry::Config::default() }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn prepare(config: &Checked) -> Result<(Signals, TcpListener), std::io::Error> {
    let failed = |error: std::io::Error| {
        let address = config.admin_listen;
        std::io::Error::new(error.kind(), format!("listen on {address} (admin_listen): {error}"))
    };
    let listener = TcpListener::bind(config.admin_listen).map_err(failed)?;
    Ok((Signals::new()?, listener))
}

async fn until_stopped(mut signals: Signals, running: &Running, apps: &Path, insecure: bool) {
    const HOUR: Duration = Duration::from_secs(3_600);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut hour = tokio::time::interval_at(tokio::time::Instant::now() + HOUR, HOUR);
    loop {
        tokio::select! {
            _ = second.tick() => running.sweep(),
            _ = hour.tick(), if insecure => {
                warn!(event = "config.insecure", "clients are served without TLS on open addresses");
            }
            signal = signals.next() => match signal {
                Signal::Stop => return,
                Signal::Reload => reload(running, apps).await,
            }
        }
    }
}

/// The old apps stay if the new ones are not right.
async fn reload(running: &Running, apps: &Path) {
    match control::file::load(apps) {
        Ok((loaded, warnings)) => {
            for warning in warnings {
                warn!(event = "config.warning", "{warning}");
            }
            let count = loaded.len();
            let closed = running.apply(loaded).await;
            info!(event = "config.reloaded", apps = count, closed, "apps reloaded");
        }
        Err(error) => {
            running.reload_refused();
            error!(event = "config.refused", error = %chain(&error), "apps not reloaded");
        }
    }
}

fn exit_code(error: &StartError) -> u8 {
    match error {
        StartError::Listen(_) => EXIT_PORT,
        StartError::Tls(_) => EXIT_CONFIG,
        StartError::Thread(_) => 1,
    }
}

/// A relative path in a configuration file is meant from that file.
fn beside(config: Option<&Path>, path: &Path) -> PathBuf {
    match config.and_then(Path::parent) {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    }
}

fn fail(code: u8, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    // Before telemetry, or because of it: standard error is all there is.
    let _ = writeln!(std::io::stderr(), "wharf-gateway: {}", chain(error));
    ExitCode::from(code)
}

fn say(text: &str) {
    let _ = write!(std::io::stdout(), "{text}");
}
