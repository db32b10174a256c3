//! The flags that every mode of `wharf bench` shares, and how they are read.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::ValueEnum;
use model::AppCode;

use super::stamp;
use crate::{dev, remote::app_code};

pub(super) const DURATION_MAX: Duration = Duration::from_secs(3600);
pub(super) const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// What to measure and how to speak to it.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(super) struct Target {
    /// Base address of a gateway, as ws://127.0.0.1:8080, with --app and --key beside it
    /// [default: the `wharf dev` of this folder]
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub(super) gateway: Option<String>,
    /// Whole address of any server; `channel`, `role` (sub, pub, echo), `n` in braces are filled in
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// How the server is spoken to
    #[arg(long, value_enum, default_value_t = Dialect::Raw)]
    pub(super) dialect: Dialect,
    /// App code (raw) [default: the first app of that `wharf dev`]
    #[arg(long, value_name = "CODE", value_parser = app_code)]
    pub(super) app: Option<AppCode>,
    /// App id (pusher with --publish http) [default: that of the `wharf dev`, else 1]
    #[arg(long, value_name = "ID")]
    pub(super) app_id: Option<String>,
    /// Key of the app [default: that of the `wharf dev`]
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Secret of the key, for pusher signatures [default: that of the `wharf dev`]
    #[arg(long, value_name = "SECRET", env = "WHARF_BENCH_SECRET", hide_env_values = true)]
    pub(super) secret: Option<String>,
    /// State folder of the `wharf dev` to measure
    #[arg(long, value_name = "DIR", env = "WHARF_STATE_DIR", default_value = dev::state::DEFAULT)]
    pub(super) state_dir: PathBuf,
    /// Channel to use [default: bench, or private-bench for pusher client events]
    #[arg(long, value_name = "NAME")]
    pub(super) channel: Option<String>,
    /// How pusher messages are published
    #[arg(long, value_enum, default_value_t = Publish::Client)]
    pub(super) publish: Publish,
    /// Process of the server: adds its CPU per delivery and memory
    #[arg(long, value_name = "PID")]
    pub(super) server_pid: Option<u32>,
    /// Keep the generator on this CPU
    #[arg(long, value_name = "N")]
    pub(super) cpu: Option<usize>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dialect {
    /// Wharf's raw dialect: channels in the URL, payloads as they are
    Raw,
    /// Pusher Channels protocol 7
    Pusher,
    /// Any server that broadcasts or echoes what it gets (needs --url)
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Publish {
    /// By client events of a subscriber of a private channel
    Client,
    /// By the signed HTTP API
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// How much and for how long.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Load {
    /// Time under measurement, e.g. 5s, 500ms, 2m (at most 1h)
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(super) duration: Duration,
    /// The same load before it, not counted
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(super) warm_up: Duration,
    /// Bytes of each payload (a stamp of 35 bytes is part of it)
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = parse_payload)]
    pub(super) payload: usize,
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct FanOut {
    /// Subscribers of the channel
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Messages a second, all together
    #[arg(long, value_name = "PER_SECOND", default_value_t = 20.0, value_parser = parse_rate)]
    pub(super) rate: f64,
    #[command(flatten)]
    pub(super) load: Load,
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Echo {
    /// Connections that send and wait for their own message
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Messages a second, all connections together
    #[arg(long, value_name = "PER_SECOND", default_value_t = 500.0, value_parser = parse_rate)]
    pub(super) rate: f64,
    /// How raw messages come back: through a channel of the connection's own, or from an app in
    /// echo mode
    #[arg(long, value_enum, default_value_t = Via::Channel)]
    pub(super) via: Via,
    /// Run a fan-out on the same server beside it, e.g. 5000,5
    #[arg(long, value_name = "SUBSCRIBERS,RATE", value_parser = parse_beside)]
    pub(super) beside_fanout: Option<Beside>,
    #[command(flatten)]
    pub(super) load: Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Via {
    Channel,
    App,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    pub(super) subscribers: usize,
    pub(super) rate: f64,
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct StuckReader {
    /// Subscribers that never read, besides the well-behaved ones
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = parse_connections)]
    pub(super) stuck: usize,
    /// Further subscribers that read about 20 KB/s, in percent of the well-behaved ones
    #[arg(
        long,
        value_name = "P",
        default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub(super) slow_percent: u8,
    #[command(flatten)]
    pub(super) fan_out: FanOut,
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Floor {
    /// TCP connections from the sender to the receiver
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = parse_connections)]
    pub(super) connections: usize,
    /// Rounds a second; each sends once on every connection
    #[arg(long, value_name = "PER_SECOND", default_value_t = 20.0, value_parser = parse_rate)]
    pub(super) rate: f64,
    /// Frames that one send carries
    #[arg(long, value_name = "B", default_value = "1")]
    pub(super) burst: NonZeroU32,
    /// Keep the receiver on this CPU (the sender's is --cpu)
    #[arg(long, value_name = "N")]
    pub(super) receiver_cpu: Option<usize>,
    #[command(flatten)]
    pub(super) load: Load,
}

/// `5s`, `500ms`, `2m`, `1h`, at most an hour.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a time: try 5s"))?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3600)),
        _ => return Err(format!("`{text}` needs a unit: ms, s, m or h")),
    };
    if duration > DURATION_MAX {
        return Err(format!("`{text}` is over the limit of 1h"));
    }
    Ok(duration)
}

fn parse_connections(text: &str) -> Result<usize, String> {
    within(text, 1, 500_000, "connections")
}

fn parse_payload(text: &str) -> Result<usize, String> {
    within(text, stamp::BYTES, PAYLOAD_BYTES_MAX, "bytes")
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.1..=1_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err(format!("`{text}` is not between 0.1 and 1000000 a second"))
    }
}

fn parse_beside(text: &str) -> Result<Beside, String> {
    let (subscribers, rate) =
        text.split_once(',').ok_or_else(|| format!("`{text}` is not like 5000,5"))?;
    Ok(Beside { subscribers: parse_connections(subscribers)?, rate: parse_rate(rate)? })
}

fn within(text: &str, min: usize, max: usize, unit: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("`{text}` is not between {min} and {max} {unit}")),
    }
}
