//! Pusher protocol 7 from the client's side: joining a channel, heartbeats, client events.

use ring::hmac;
use serde::Deserialize;
use serde_json::json;

use super::{Endpoint, Role, Step};
use crate::sign::digest::hex;

#[derive(Deserialize)]
struct Message<'a> {
    event: &'a str,
    #[serde(default)]
    data: serde_json::Value,
}

pub(super) fn converse(endpoint: &Endpoint, role: Role, message: &[u8]) -> Step {
    let Ok(Message { event, data }) = serde_json::from_slice(message) else {
        return Step::Refused(format!(
            "the server does not speak Pusher: `{}`",
            String::from_utf8_lossy(&message[..message.len().min(200)])
        ));
    };
    match event {
        "pusher:connection_established" => match socket_id(&data) {
            Some(socket_id) => Step::Say(subscribe(endpoint, &socket_id).into_bytes()),
            None => Step::Refused("connection_established has no socket_id".to_owned()),
        },
        "pusher_internal:subscription_succeeded" => Step::Joined,
        "pusher:ping" => Step::Say(br#"{"event":"pusher:pong","data":{}}"#.to_vec()),
        "pusher:error" if role == Role::Publisher => Step::Refused(format!("publish: {data}")),
        "pusher:error" | "pusher:subscription_error" => Step::Refused(format!("{event}: {data}")),
        _ => Step::Ignore,
    }
}

/// One publication by a subscriber. The payload needs no escaping: it is a stamp and padding.
pub(super) fn client_event(channel: &str, payload: &[u8]) -> String {
    json!({
        "event": "client-bench",
        "channel": channel,
        "data": String::from_utf8_lossy(payload),
    })
    .to_string()
}

fn subscribe(endpoint: &Endpoint, socket_id: &str) -> String {
    let channel = &endpoint.channel;
    let key = &endpoint.credentials.key;
    let signed = |secret: &hmac::Key, text: &str| {
        format!("{key}:{}", hex(hmac::sign(secret, text.as_bytes()).as_ref()))
    };
    let data = match &endpoint.credentials.secret {
        Some(secret) if channel.starts_with("presence-") => {
            let member = json!({ "user_id": socket_id }).to_string();
            let auth = signed(secret, &format!("{socket_id}:{channel}:{member}"));
            json!({ "channel": channel, "auth": auth, "channel_data": member })
        }
        Some(secret) if channel.starts_with("private-") => {
            let auth = signed(secret, &format!("{socket_id}:{channel}"));
            json!({ "channel": channel, "auth": auth })
        }
        _ => json!({ "channel": channel, "auth": "" }),
    };
    json!({ "event": "pusher:subscribe", "data": data }).to_string()
}

/// `data` is a JSON string by the protocol; clients accept an object as well.
fn socket_id(data: &serde_json::Value) -> Option<String> {
    let inner: serde_json::Value;
    let object = match data {
        serde_json::Value::String(text) => {
            inner = serde_json::from_str(text).ok()?;
            &inner
        }
        object => object,
    };
    object.get("socket_id")?.as_str().map(str::to_owned)
}
