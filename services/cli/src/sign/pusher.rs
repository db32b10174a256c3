//! Pusher's signatures: of a subscription, of a sign-in, of a request to the HTTP API.

use md5::{Digest as _, Md5};
use model::ChannelName;
use percent_encoding::percent_decode_str;
use runtime::clock;
use serde_json::json;

use super::digest::{hex, hmac_hex};
use super::raw::channel;
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Credentials, Target};

/// Print the auth of a subscription to a private or presence channel
///
/// Examples:
///   wharf sign channel --socket-id 1234.1234 --channel private-x
///   wharf sign channel --socket-id 1234.1234 --channel presence-x --data '{"user_id":"7"}'
///   wharf sign channel --socket-id 1234.1234 --channel private-x --output json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Channel {
    #[command(flatten)]
    signer: Signer,
    /// The channel
    #[arg(long, value_name = "NAME", value_parser = channel)]
    channel: ChannelName,
    /// Who the member is, for presence channels: channel_data, with user_id in it
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    data: Option<String>,
}

/// Print the auth of a user's sign-in
///
/// Example:
///   wharf sign user --socket-id 1234.1234 --data '{"id":"7"}'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct User {
    #[command(flatten)]
    signer: Signer,
    /// Who the user is: user_data, with id in it
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    data: String,
}

/// Print the query of a signed request to Pusher's HTTP API
///
/// Examples:
///   wharf sign request --method GET --path /apps/1/channels --param info=user_count
///   wharf sign request --path /apps/1/events --body '{"name":"e","channel":"c","data":"x"}'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Request {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    credentials: Credentials,
    /// The request's method
    #[arg(long, default_value = "POST")]
    method: String,
    /// The request's path as it is in the URL, without query
    #[arg(long)]
    path: String,
    /// Another parameter of the query; may be given more than once
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// The request's body, exactly as it will be sent
    #[arg(long)]
    body: Option<String>,
    /// Unix seconds to sign instead of now
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<u64>,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct Signer {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    credentials: Credentials,
    /// The client's socket_id, as it was told when it connected
    #[arg(long, value_name = "ID", value_parser = socket_id)]
    socket_id: String,
    /// json: what an authorization endpoint answers
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Channel {
    pub(super) fn auth(&self) -> anyhow::Result<String> {
        let presence = self.channel.as_str().starts_with("presence-");
        if presence && self.data.is_none() {
            let text = "a presence channel needs who the member is: --data '{\"user_id\":\"7\"}'";
            return Err(Failure::Usage(String::from(text)).into());
        }
        let mut message = format!("{}:{}", self.signer.socket_id, self.channel);
        if let Some(data) = &self.data {
            message = format!("{message}:{data}");
        }
        self.signer.sign(&message, "channel_data", self.data.as_deref())
    }
}

impl User {
    pub(super) fn auth(&self) -> anyhow::Result<String> {
        let message = format!("{}::user::{}", self.signer.socket_id, self.data);
        self.signer.sign(&message, "user_data", Some(&self.data))
    }
}

impl Request {
    pub(super) fn query(&self) -> anyhow::Result<String> {
        let (key, secret) = credentials(&self.target, &self.credentials)?;
        let timestamp = self.timestamp.unwrap_or_else(clock::unix_seconds);
        let mut parameters = self.parameters.clone();
        let mut add = |name: &str, value: String| parameters.push((String::from(name), value));
        add("auth_key", key);
        add("auth_timestamp", timestamp.to_string());
        add("auth_version", String::from("1.0"));
        if let Some(body) = &self.body {
            add("body_md5", hex(&Md5::digest(body.as_bytes())));
        }
        parameters.sort_unstable();
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let method = self.method.to_ascii_uppercase();
        // Signed as it is before the URL's escapes, like the values.
        let path = percent_decode_str(&self.path).decode_utf8_lossy();
        let message = format!("{method}\n{path}\n{}", pairs.join("&"));
        parameters.push((String::from("auth_signature"), hmac_hex(&secret, &message)));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&parameters);
        Ok(query.finish())
    }
}

impl Signer {
    fn sign(&self, message: &str, name: &str, data: Option<&str>) -> anyhow::Result<String> {
        let (key, secret) = credentials(&self.target, &self.credentials)?;
        let auth = format!("{key}:{}", hmac_hex(&secret, message));
        if self.output == Output::Text {
            return Ok(auth);
        }
        let mut answer = json!({ "auth": auth });
        if let Some(data) = data {
            answer[name] = json!(data);
        }
        Ok(answer.to_string())
    }
}

/// Key and secret; the dev process is asked only for what flags do not say.
fn credentials(target: &Target, given: &Credentials) -> anyhow::Result<(String, String)> {
    let said = given.key.is_some() && (given.secret.is_some() || given.secret_file.is_some());
    let known = if said || target.url.is_some() { None } else { Some(target.known()?) };
    Ok((given.key(known.as_ref())?, given.needed_secret(known.as_ref())?))
}

fn json_text(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Object(_)) => Ok(String::from(text)),
        _ => Err(String::from("must be a JSON object; quote it for the shell with '...'")),
    }
}

fn socket_id(text: &str) -> Result<String, String> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((first, second)) if digits(first) && digits(second) => Ok(String::from(text)),
        _ => Err(String::from("is two numbers with a dot between, as 1234.1234")),
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_ascii_lowercase(), String::from(value)))
}
