//! `wharf sub`: prints what is published, over the raw dialect.

mod backoff;
mod follow;
#[cfg(test)]
mod tests;

use std::future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{ChannelName, UserId};
use runtime::Tasks;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::output::{self, Output};
use crate::remote::{Credentials, Target};
use crate::sign::raw::{channel, user};
use follow::{Event, Follower, Payload, Signer};

const CHANNELS_MAX: usize = 50;
/// Messages that wait for whoever reads stdout; then the gateway waits.
const WAITING_MAX: usize = 64;

/// Print what is published on channels, one line a message
///
/// Examples:
///   wharf sub lobby
///   wharf sub lobby --count 1 --timeout 5
///   wharf sub presence-room --user-id 7
///   wharf sub lobby news --output json
///   wharf sub lobby --url https://rt.example.com --app chat --key "$KEY"
///
/// Text is printed as it came, binary as `base64:` and its base64; with several channels, each line
/// begins with its channel's name. A secret, given or that of the `wharf dev`, signs for `private-`
/// and `presence-` channels. Lost connections come back by themselves; what was published meanwhile
/// is not seen.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The channels
    #[arg(required = true, value_name = "CHANNEL", value_parser = channel)]
    channels: Vec<ChannelName>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    credentials: Credentials,
    /// The user to be on presence channels
    #[arg(long, value_name = "ID", value_parser = user)]
    user_id: Option<UserId>,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds; with --count, fewer messages are a failure (exit code 7)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// End when the connection does
    #[arg(long)]
    no_reconnect: bool,
    /// json: one object a message, with `channel` and `data` or `data_base64`
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.channels.len() > CHANNELS_MAX {
        return Err(Failure::Usage(format!("at most {CHANNELS_MAX} channels at once")).into());
    }
    let followers = followers(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(print(args, followers))?;
    Ok(ExitCode::SUCCESS)
}

/// One connection a channel, since a frame does not say which channel it is of.
fn followers(args: &Args) -> anyhow::Result<Vec<Follower>> {
    let remote = args.target.find()?;
    let known = remote.known.as_ref();
    let key = args.credentials.key(known)?;
    let secret = args.credentials.secret(known)?;
    let explicit = args.user_id.is_some()
        || args.credentials.secret.is_some()
        || args.credentials.secret_file.is_some();
    let mut followers = Vec::with_capacity(args.channels.len());
    for channel in &args.channels {
        let presence = channel.as_str().starts_with("presence-");
        let signed = explicit || presence || channel.as_str().starts_with("private-");
        if presence && args.user_id.is_none() {
            let text = format!("on {channel} you are somebody: say who with --user-id ID");
            return Err(Failure::Usage(text).into());
        }
        let signer = match &secret {
            Some(secret) if signed => {
                Some(Signer { secret: secret.clone(), user: args.user_id.clone() })
            }
            None if signed => {
                let text =
                    format!("{channel} needs a signature: --secret-file FILE or WHARF_SECRET");
                return Err(Failure::Usage(text).into());
            }
            Some(_) | None => None,
        };
        followers.push(Follower {
            address: remote.address.clone(),
            app: remote.app.clone(),
            key: key.clone(),
            channel: channel.clone(),
            signer,
            reconnect: !args.no_reconnect,
        });
    }
    Ok(followers)
}

async fn print(args: &Args, followers: Vec<Follower>) -> anyhow::Result<()> {
    let (sender, mut events) = mpsc::channel(WAITING_MAX);
    let tasks = Tasks::new();
    let name_channels = followers.len() > 1;
    for follower in followers {
        tasks.spawn("follow", follower.run(sender.clone()));
    }
    drop(sender);
    let end = args.timeout.map(|timeout| Instant::now() + timeout);
    let mut missing = args.count;
    while missing != Some(0) {
        let event = tokio::select! {
            event = events.recv() => event,
            () = at(end) => return timed_out(args, missing),
        };
        match event {
            Some(Event::Message { channel, payload }) => {
                output::line(&line(args.output, name_channels, &channel, payload))?;
                missing = missing.map(|missing| missing - 1);
            }
            Some(Event::Ended(error)) => return Err(error),
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => future::pending().await,
    }
}

fn timed_out(args: &Args, missing: Option<u64>) -> anyhow::Result<()> {
    let (Some(missing), Some(count)) = (missing, args.count) else { return Ok(()) };
    let got = count - missing;
    Err(Failure::Unreachable(format!("time is up: {got} of {count} messages came")).into())
}

fn line(output: Output, name_channels: bool, channel: &ChannelName, payload: Payload) -> String {
    match (output, payload) {
        (Output::Json, Payload::Text(text)) => {
            output::json(&json!({ "channel": channel.as_str(), "data": text }))
        }
        (Output::Json, Payload::Binary(bytes)) => {
            let base64 = STANDARD.encode(bytes);
            output::json(&json!({ "channel": channel.as_str(), "data_base64": base64 }))
        }
        (Output::Text, payload) => {
            let text = match payload {
                Payload::Text(text) => output::shown(text),
                Payload::Binary(bytes) => format!("base64:{}", STANDARD.encode(bytes)),
            };
            if name_channels { format!("{channel} {text}") } else { text }
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| String::from("is a number of seconds, as 5 or 0.5"))
}
