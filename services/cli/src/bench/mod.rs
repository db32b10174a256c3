//! `wharf bench`: an open-loop load generator that refuses to print what it cannot stand for, and
//! the gates that Wharf holds itself to.

mod affinity;
mod args;
mod clock;
mod echo;
mod endpoint;
mod engine;
mod fan_out;
mod floor;
mod found;
mod frame;
mod gates;
mod idle;
mod interrupt;
mod process;
mod progress;
mod report;
mod sockets;
mod stamp;
mod stuck;
#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, process::ExitCode};

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::{
    args::{Output, Target},
    endpoint::Endpoint,
    engine::Engine,
    interrupt::Interrupt,
    process::Process,
    progress::Progress,
};

const EXAMPLES: &str = "\
Examples:
  # Round trips through the `wharf dev` of this folder, which says where it is and its keys
  wharf bench echo

  # 1,000 subscribers of a gateway, 20 messages a second, with what it costs the server
  wharf bench fan-out --gateway ws://127.0.0.1:8080 --app demo --key KEY --server-pid PID

  # The same through Pusher's protocol, published by the signed HTTP API
  wharf bench fan-out --gateway ws://127.0.0.1:8080 --dialect pusher --key KEY --secret SECRET \\
      --app-id 1 --publish http

  # Another server that broadcasts whatever it is sent
  wharf bench fan-out --dialect plain --url ws://127.0.0.1:9000/{role}

  # Does a busy channel make others wait?
  wharf bench echo --gateway ws://127.0.0.1:8080 --app demo --key KEY --beside-fanout 5000,5

  # What one bare send costs on this machine: nothing can deliver for less
  wharf bench floor --connections 1000

  # Wharf's own gates, on a gateway that it starts
  wharf bench gates --gateway-bin target/release/wharf-gateway";

/// Descriptors for everything that is not a connection.
const SPARE_DESCRIPTORS: u64 = 64;

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, clap::Subcommand)]
enum Mode {
    /// Memory of the server per idle connection
    Idle {
        #[command(flatten)]
        target: Target,
        /// Connections to open, one subscription each
        #[arg(long, value_name = "N", default_value_t = 1000)]
        connections: usize,
        #[command(flatten)]
        load: args::Load,
    },
    /// One publisher, many subscribers: cost, latency, order and loss of deliveries
    FanOut {
        #[command(flatten)]
        target: Target,
        /// Messages that are due at once and written at once
        #[arg(long, value_name = "B", default_value = "1", value_parser = burst)]
        burst: NonZeroU32,
        #[command(flatten)]
        params: args::FanOut,
    },
    /// Fan-out with eight messages at once
    Burst {
        #[command(flatten)]
        target: Target,
        #[arg(long, value_name = "B", default_value = "8", value_parser = burst)]
        burst: NonZeroU32,
        #[command(flatten)]
        params: args::FanOut,
    },
    /// Round trips, alone or beside a fan-out
    Echo {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        params: args::Echo,
    },
    /// Subscribers that do not read: what others lose and what the server holds
    StuckReader {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        params: args::StuckReader,
    },
    /// CPU of one bare send() on loopback, the least that a delivery can cost
    Floor {
        #[command(flatten)]
        params: args::Floor,
        /// Keep the sender on this CPU
        #[arg(long, value_name = "N")]
        cpu: Option<usize>,
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Start a gateway, measure it beside the floor, and hold it to Wharf's gates
    Gates(gates::Args),
    #[command(hide = true)]
    FloorReceiver {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        cpu: Option<usize>,
    },
}

/// Runs one mode and prints its result. Fails with code 1 when a gate is missed.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit()?;
    match args.mode {
        Mode::Idle { target, connections, load } => {
            let mut engine = engine(&target, "idle", connections)?;
            let outcome = idle::measure(&mut engine, connections, &load)?;
            report::print(target.output, &outcome.table(authority(&engine)), &outcome)?;
        }
        Mode::FanOut { target, burst, params } | Mode::Burst { target, burst, params } => {
            let mut engine = engine(&target, "fan-out", params.connections)?;
            let outcome = fan_out::measure(&mut engine, &params, burst.get())?;
            report::print(target.output, &outcome.table(authority(&engine)), &outcome)?;
        }
        Mode::Echo { target, params } => {
            ensure!(
                target.dialect != args::Dialect::Pusher,
                "pusher never sends a message back to its sender: use raw or plain"
            );
            let beside = params.beside_fanout.map_or(0, |beside| beside.subscribers);
            let mut engine = engine(&target, "echo", params.connections + beside)?;
            engine.set_echo_via(params.via);
            let outcome = echo::measure(&mut engine, &params)?;
            report::print(target.output, &outcome.table(authority(&engine)), &outcome)?;
        }
        Mode::StuckReader { target, params } => {
            let connections = 2 * params.fan_out.connections + params.stuck;
            let mut engine = engine(&target, "stuck-reader", connections)?;
            let outcome = stuck::measure(&mut engine, &params)?;
            report::print(target.output, &outcome.table(authority(&engine)), &outcome)?;
        }
        Mode::Floor { params, cpu, output } => {
            ensure_descriptors(params.connections)?;
            let outcome = floor::measure(&params, cpu, &Interrupt::listen()?)?;
            report::print(output, &outcome.table(), &outcome)?;
        }
        Mode::Gates(args) => return gates::run(&args),
        Mode::FloorReceiver { connections, cpu } => return floor::receive(connections, cpu),
    }
    Ok(ExitCode::SUCCESS)
}

fn engine(target: &Target, label: &str, connections: usize) -> anyhow::Result<Engine> {
    ensure_descriptors(connections)?;
    let endpoint = Endpoint::try_new(&target.clone().found()?)?;
    let server = target.server_pid.map(Process::try_new).transpose()?;
    let interrupt = Interrupt::listen()?;
    if let Some(cpu) = target.cpu {
        affinity::pin(cpu)?;
    }
    Engine::try_new(endpoint, server, interrupt, Progress::new(label))
}

fn authority(engine: &Engine) -> &str {
    &engine.endpoint().authority
}

fn raise_descriptor_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raise the limit of open files")
}

fn ensure_descriptors(connections: usize) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        connections as u64 + SPARE_DESCRIPTORS <= limit,
        "{connections} connections need as many descriptors and this process may open {limit}: \
         lower --connections or raise `ulimit -Hn`"
    );
    Ok(())
}

fn burst(text: &str) -> Result<NonZeroU32, String> {
    match text.parse::<u32>().map(NonZeroU32::new) {
        Ok(Some(burst)) if burst.get() <= 1000 => Ok(burst),
        _ => Err(format!("`{text}` is not between 1 and 1000")),
    }
}
