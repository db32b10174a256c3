//! `wharf pub`: one publication by our HTTP API.

mod request;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::ChannelName;
use runtime::config::read_bounded;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Output};
use crate::remote::{Remote, Target, first_line};
use crate::sign::raw::channel;

/// What an app may be set to allow at most. Its gateway may take less of one request.
const DATA_BYTES_MAX: u64 = 1 << 20;

/// Publish a message on a channel
///
/// Examples:
///   wharf pub lobby '{"hello":"world"}'
///   date | wharf pub lobby -
///   wharf pub lobby --binary-file picture.png
///   wharf pub private-orders '{"id":42}' --event placed
///   wharf pub lobby hi --url https://rt.example.com --app chat --api-key-file key
///
/// Prints the message's id. Subscribers get DATA as it is; of standard input, without the newline at
/// its end.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The channel
    #[arg(value_parser = channel)]
    channel: ChannelName,
    /// The message; -: standard input
    #[arg(required_unless_present = "binary_file", conflicts_with = "binary_file")]
    data: Option<String>,
    /// The event's name, for Pusher subscribers [default: message]
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Publish this file's bytes, 1 MiB at most; on their way, as base64, they are a third more
    #[arg(long, value_name = "FILE")]
    binary_file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// An API key of the app [default: that of the `wharf dev`]; the list of processes shows it:
    /// better use the file or the variable
    #[arg(long, value_name = "KEY", env = "WHARF_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// File with the API key in its first line; goes before --api-key and the variable
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// json: the gateway's answer, with id and position
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.target.find()?;
    let api_key = args.api_key(&remote)?;
    let body = args.body()?;
    let asked = request::Publish { remote: &remote, api_key: &api_key, body };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let answer = runtime.block_on(asked.send())?;
    let id = answer.get("id").and_then(Value::as_str);
    match (args.output, id) {
        (Output::Text, Some(id)) => output::line(&output::shown(String::from(id)))?,
        (Output::Text, None) | (Output::Json, _) => output::line(&output::json(&answer))?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn api_key(&self, remote: &Remote) -> anyhow::Result<String> {
        if let Some(path) = &self.api_key_file {
            return first_line(path);
        }
        let known = remote.known.as_ref().and_then(|app| app.api_key.clone());
        Ok(self.api_key.clone().or(known).ok_or_else(|| {
            let app = &remote.app;
            Failure::Usage(format!(
                "publishing needs an API key of {app}: --api-key-file FILE or WHARF_API_KEY"
            ))
        })?)
    }

    fn body(&self) -> anyhow::Result<Value> {
        let mut body = json!({ "channel": self.channel.as_str() });
        if let Some(event) = &self.event {
            body["event"] = json!(event);
        }
        match (&self.binary_file, self.data.as_deref()) {
            (Some(path), _) => {
                let bytes = read_bounded(path, DATA_BYTES_MAX)?;
                body["data_base64"] = json!(STANDARD.encode(bytes));
            }
            // A JSON string: what is in it arrives byte for byte.
            (None, Some("-")) => body["data"] = json!(standard_input()?),
            (None, Some(data)) => body["data"] = json!(data),
            (None, None) => {
                let text = "say what to publish: DATA, - or --binary-file FILE";
                return Err(Failure::Usage(String::from(text)).into());
            }
        }
        Ok(body)
    }
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args").field("channel", &self.channel).finish_non_exhaustive()
    }
}

fn standard_input() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().take(DATA_BYTES_MAX + 1).read_to_end(&mut bytes).context("read stdin")?;
    if bytes.len() as u64 > DATA_BYTES_MAX {
        let text = format!("standard input is over {DATA_BYTES_MAX} bytes: no app allows more");
        return Err(Failure::Usage(text).into());
    }
    let mut text = String::from_utf8(bytes).map_err(|_| {
        let text = "standard input is not UTF-8: publish bytes with --binary-file FILE";
        Failure::Usage(String::from(text))
    })?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}
