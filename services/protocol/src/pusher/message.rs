//! What clients send, field by field: each is kept as its JSON text until its meaning is known, so
//! that an error can name the field.

use std::borrow::Cow;

use model::{Member, Reason, Refusal, Signature, Text, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::hex::is_hex;
use crate::json;

#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) event: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) channel: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) data: Option<&'a RawValue>,
}

/// `data` of `pusher:subscribe` and `pusher:unsubscribe`.
#[derive(Debug, Deserialize)]
pub(super) struct Subscription<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) channel: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) auth: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) channel_data: Option<&'a RawValue>,
}

/// `data` of `pusher:signin`.
#[derive(Debug, Deserialize)]
pub(super) struct SignIn<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) auth: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    pub(super) user_data: Option<&'a RawValue>,
}

/// What the tenant's backend signed about a member of a channel, or about a user: the one spells
/// its id `user_id`, the other `id`.
#[derive(Debug, Deserialize)]
struct Identity<'a> {
    #[serde(borrow, default, deserialize_with = "json::present")]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    user_info: Option<&'a RawValue>,
}

pub(super) fn bad(detail: &'static str) -> Refusal {
    Refusal::new(Reason::BadMessage, detail)
}

pub(super) fn required<'a>(
    field: Option<&'a RawValue>,
    detail: &'static str,
) -> Result<Cow<'a, str>, Refusal> {
    field.and_then(json::string).ok_or_else(|| bad(detail))
}

/// A string that may be missing or `null`.
pub(super) fn optional<'a>(
    field: Option<&'a RawValue>,
    detail: &'static str,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    match field {
        None => Ok(None),
        Some(raw) if raw.get() == "null" => Ok(None),
        Some(raw) => json::string(raw).map(Some).ok_or_else(|| bad(detail)),
    }
}

/// Reads `data` as an object, within a message that is checked already.
pub(super) fn data<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Result<T, Refusal> {
    let raw = field.ok_or_else(|| bad(BAD_DATA))?;
    json::fields(raw.get()).map_err(|_| bad(BAD_DATA))
}

/// Reads `channel_data` of a presence subscription.
pub(super) fn member(channel_data: &str) -> Result<Member, Refusal> {
    let identity: Identity<'_> = json::object(channel_data)
        .map_err(|_| bad("channel_data must be the text of an object"))?;
    let user = identity.user_id.and_then(user).ok_or_else(|| bad(BAD_USER_ID))?;
    Ok(Member { user, info: info(identity.user_info)? })
}

/// Reads `user_data` of a sign-in.
pub(super) fn signed_in(user_data: &str) -> Result<Member, Refusal> {
    let identity: Identity<'_> =
        json::object(user_data).map_err(|_| bad("user_data must be the text of an object"))?;
    let user = identity.id.and_then(user).ok_or_else(|| bad(BAD_ID))?;
    Ok(Member { user, info: info(identity.user_info)? })
}

/// Splits `<key>:<digest>`. A malformed one becomes a signature that cannot hold: the client is to
/// be told that it is not authorised, not that its message makes no sense.
pub(super) fn signature(auth: &str, message: String) -> Signature {
    let (key, digest) = auth.split_once(':').unwrap_or_default();
    let digest = if is_hex(digest, 64) { digest } else { "" };
    Signature { key: String::from(key), message, digest: String::from(digest) }
}

/// A user's id: a string, or a whole number, which becomes its digits.
fn user(raw: &RawValue) -> Option<UserId> {
    if let Some(text) = json::string(raw) {
        return UserId::parse(&text).ok();
    }
    let digits = raw.get();
    let number = digits.parse::<i128>().ok()?;
    let whole = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number);
    (whole && number.to_string() == digits).then(|| UserId::parse(digits).ok()).flatten()
}

fn info(field: Option<&RawValue>) -> Result<Option<Text>, Refusal> {
    let Some(raw) = field else { return Ok(None) };
    if raw.get().len() > Member::INFO_BYTES_MAX {
        return Err(Refusal::new(Reason::TooLarge, "user_info must be at most 1024 bytes of JSON"));
    }
    Ok(Some(Text::from(raw.get())))
}

const BAD_DATA: &str = "data must be an object, each field once";
const BAD_USER_ID: &str =
    "channel_data.user_id must be a string of 1 to 128 bytes without control characters";
const BAD_ID: &str = "user_data.id must be a string of 1 to 128 bytes without control characters";
