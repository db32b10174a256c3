//! `wharf dev`: everything in one process, with an app to try it, for work on one machine.

mod banner;
mod demo;
mod invocation;
mod page;
mod process;
mod ready;
pub(crate) mod state;
mod terminal;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::output::Output;

pub(crate) use ready::{Ready, ReadyApp};

/// Start everything in this process, with a demo app: for development, not for production
///
/// Examples:
///   wharf dev
///   wharf dev --listen 127.0.0.1:9000 --admin-listen 127.0.0.1:9001
///   wharf dev --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --output json
///
/// Keys are generated once and kept in the state folder. `wharf sub` and `wharf pub`, run in the same
/// folder, find address and keys by themselves. SIGHUP reads the apps again; SIGTERM, Ctrl-C and
/// closing the terminal end it. Logs go to stderr; RUST_LOG=info shows more of them.
///
/// The page at / shows all keys, to this machine only. A reverse proxy in front would be this
/// machine: that is not for production, and a request that says it came through one (Forwarded,
/// Via, X-Forwarded-*) does not get the page.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where clients connect and the page is; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7000", value_parser = address)]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7001", value_parser = address)]
    admin_listen: SocketAddr,
    /// Folder of generated keys, for one `wharf dev` at a time
    #[arg(long, value_name = "DIR", default_value = state::DEFAULT, env = "WHARF_STATE_DIR")]
    state_dir: PathBuf,
    /// File of apps instead of the generated demo app
    #[arg(long, value_name = "FILE")]
    apps: Option<PathBuf>,
    /// json: one line, with addresses and keys, once it is ready
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    process::run(args)?;
    Ok(ExitCode::SUCCESS)
}

/// `127.0.0.1:7000`, `[::1]:7000`, `localhost:7000` or `:7000`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':'));
    let address = match port {
        Some(port) => port.parse().ok().map(|port| (IpAddr::V4(Ipv4Addr::LOCALHOST), port).into()),
        None => text.parse().ok(),
    };
    address
        .ok_or_else(|| String::from("write an address and a port, as 127.0.0.1:7000 or [::1]:7000"))
}
