//! Presigned URLs of the raw dialect.

use model::{AppCode, ChannelName, UserId};
use runtime::{Span, clock};

use super::digest::hmac_hex;
use crate::failure::Failure;
use crate::remote::{Credentials, Target};

/// Print a presigned URL of the raw dialect: whoever has it may do what it says until it expires
///
/// Examples:
///   wharf sign url --channel private-x
///   wharf sign url --channel presence-room --publish presence-room --user-id 7 --expires-in 5m
///   wharf sign url --url https://rt.example.com --app chat --key K --secret-file secret --channel a
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    credentials: Credentials,
    /// Channel to hear; may be given more than once
    #[arg(long = "channel", value_name = "NAME", value_parser = channel)]
    channels: Vec<ChannelName>,
    /// Channel to which the client's frames go
    #[arg(long, value_name = "NAME", value_parser = channel)]
    publish: Option<ChannelName>,
    /// The user that the client is; presence channels need one
    #[arg(long, value_name = "ID", value_parser = user)]
    user_id: Option<UserId>,
    /// The client does not hear its own publications
    #[arg(long)]
    no_self: bool,
    /// How long the URL is good for connecting, as 30s, 5m, 1h or 2d
    #[arg(long, value_name = "TIME", default_value = "1h", conflicts_with = "expires_at")]
    expires_in: Span,
    /// Until when instead, in Unix seconds
    #[arg(long, value_name = "SECONDS")]
    expires_at: Option<u64>,
}

impl Args {
    pub(super) fn url(&self) -> anyhow::Result<String> {
        let presence = self.channels.iter().find(|name| name.as_str().starts_with("presence-"));
        if let (Some(channel), None) = (presence, &self.user_id) {
            let text = format!("on {channel} the client is somebody: say who with --user-id ID");
            return Err(Failure::Usage(text).into());
        }
        let remote = self.target.find()?;
        let known = remote.known.as_ref();
        let mut url = Url::new(&self.credentials.key(known)?);
        for channel in &self.channels {
            url.add("channel", channel.as_str());
        }
        if let Some(publish) = &self.publish {
            url.add("publish", publish.as_str());
        }
        if self.no_self {
            url.add("self", "0");
        }
        let in_force = clock::unix_seconds() + self.expires_in.as_duration().as_secs();
        let secret = self.credentials.needed_secret(known)?;
        let user = self.user_id.as_ref().map(UserId::as_str);
        url.sign(&remote.app, &secret, user, self.expires_at.unwrap_or(in_force));
        Ok(format!("{}{}", remote.address.web_socket(), url.target(&remote.app)))
    }
}

/// A raw URL in the making.
#[derive(Debug)]
pub(crate) struct Url {
    parameters: Vec<(&'static str, String)>,
}

impl Url {
    pub(crate) fn new(key: &str) -> Self {
        Self { parameters: vec![("key", String::from(key))] }
    }

    pub(crate) fn add(&mut self, name: &'static str, value: &str) {
        self.parameters.push((name, String::from(value)));
    }

    /// Signs what was added; nothing may be added after it.
    pub(crate) fn sign(&mut self, app: &AppCode, secret: &str, user: Option<&str>, expires: u64) {
        if let Some(user) = user {
            self.add("user_id", user);
        }
        self.add("expires", &expires.to_string());
        let signature = hmac_hex(secret, &protocol::raw::sign::message(app, &self.parameters));
        self.add("signature", &signature);
    }

    /// Path and query.
    pub(crate) fn target(&self, app: &AppCode) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.parameters);
        format!("/a/{app}/raw?{}", query.finish())
    }
}

pub(crate) fn channel(text: &str) -> Result<ChannelName, String> {
    ChannelName::parse(text).map_err(|error| {
        format!("{error}: a channel's name is 1 to 200 bytes of A-Z a-z 0-9 _ - = @ , . ; : / +")
    })
}

pub(crate) fn user(text: &str) -> Result<UserId, String> {
    UserId::parse(text).map_err(|error| error.to_string())
}
