//! What a raw client asks for with its URL.

use model::{
    AppCode, ChannelName, CloseReason, Command, Echo, Member, Presence, Signature, UserId, Verb,
};

use super::sign;
use crate::Admission;
use crate::hex::is_hex;

#[derive(Debug)]
pub(super) struct Request {
    pub(super) admission: Admission,
    pub(super) commands: Vec<Command>,
    /// The channel to which the client's frames go.
    pub(super) publish: Option<ChannelName>,
    pub(super) echo: Echo,
}

/// Each parameter once, but `channel`.
#[derive(Default)]
struct Parameters {
    key: Option<String>,
    channels: Vec<ChannelName>,
    publish: Option<ChannelName>,
    echo: Option<Echo>,
    expires: Option<u64>,
    user: Option<UserId>,
    digest: Option<String>,
}

/// The app's code in `/a/<code>/raw`.
pub(super) fn app(path: &str) -> Option<AppCode> {
    let code = path.strip_prefix("/a/")?.strip_suffix("/raw")?;
    AppCode::parse(code).ok()
}

pub(super) fn request(app: &AppCode, query: &str) -> Result<Request, CloseReason> {
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let mut parameters = Parameters::default();
    for (name, value) in &pairs {
        parameters.take(name, value)?;
    }
    let key = parameters.key.ok_or(CloseReason::Unauthorized)?;
    let signature = parameters.digest.map(|digest| Signature {
        key: key.clone(),
        message: sign::message(app, &pairs),
        digest,
    });
    // What nobody signed is nobody's word: a user or a term needs a signature, and it a term.
    let signed = signature.is_some();
    if signed != parameters.expires.is_some() || (parameters.user.is_some() && !signed) {
        return Err(CloseReason::BadMessage);
    }
    let user = parameters.user.map(|user| Member { user, info: None });
    let commands = commands(&parameters.channels, user.as_ref());
    let expires = parameters.expires;
    let admission = Admission { key: Some(key), signature, expires, user };
    let echo = parameters.echo.unwrap_or(Echo::Include);
    Ok(Request { admission, commands, publish: parameters.publish, echo })
}

impl Parameters {
    fn take(&mut self, name: &str, value: &str) -> Result<(), CloseReason> {
        match name {
            "channel" => {
                let channel = channel(value)?;
                if !self.channels.contains(&channel) {
                    self.channels.push(channel);
                }
                Ok(())
            }
            "key" => once(&mut self.key, String::from(value)),
            "publish" => once(&mut self.publish, channel(value)?),
            "self" => once(&mut self.echo, echo(value)?),
            "expires" => once(&mut self.expires, number(value)?),
            "user_id" => {
                let user = UserId::parse(value).map_err(|_| CloseReason::BadMessage)?;
                once(&mut self.user, user)
            }
            "signature" => once(&mut self.digest, digest(value)),
            _ => Err(CloseReason::BadMessage),
        }
    }
}

/// The admission's signature speaks for all of them, so they carry none.
fn commands(channels: &[ChannelName], user: Option<&Member>) -> Vec<Command> {
    let subscribe = |channel: &ChannelName| {
        let presence = match user {
            Some(user) if channel.as_str().starts_with("presence-") => {
                Presence::Member(user.clone())
            }
            _ => Presence::None,
        };
        Command::from(Verb::Subscribe { channel: channel.clone(), signature: None, presence })
    };
    channels.iter().map(subscribe).collect()
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), CloseReason> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(CloseReason::BadMessage),
    }
}

fn channel(value: &str) -> Result<ChannelName, CloseReason> {
    ChannelName::parse(value).map_err(|_| CloseReason::BadMessage)
}

fn echo(value: &str) -> Result<Echo, CloseReason> {
    match value {
        "0" => Ok(Echo::Exclude),
        "1" => Ok(Echo::Include),
        _ => Err(CloseReason::BadMessage),
    }
}

fn number(value: &str) -> Result<u64, CloseReason> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CloseReason::BadMessage);
    }
    value.parse().map_err(|_| CloseReason::BadMessage)
}

/// A malformed digest becomes one that cannot hold: the client is not authorised.
fn digest(value: &str) -> String {
    if is_hex(value, 64) { String::from(value) } else { String::new() }
}
