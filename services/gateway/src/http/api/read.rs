//! Reads requests: one JSON object with known fields, each once; a query with known names, each
//! once. What is wrong is named by its field; what was sent is not repeated.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use bytes::Bytes;
use hyper::StatusCode;
use model::{ChannelName, ConnectionId, EventName, Payload, Reason, UserId};
use protocol::json::{self, JsonError};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::answer::Failure;

/// A field's value as sent; `None`: it is not there.
pub(super) type Field<'a> = Option<&'a RawValue>;

/// A body as text of which serde_json can judge the rest.
pub(super) fn text(body: &Bytes) -> Result<&str, Failure> {
    let bad = |detail| Failure::new(StatusCode::BAD_REQUEST, Reason::BadMessage, detail);
    if body.is_empty() {
        return Err(bad("the body is empty: send one JSON object"));
    }
    let text = std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?;
    json::check(text).map_err(|error| Failure::field(Reason::BadMessage, error.detail()))?;
    Ok(text)
}

/// The values of `names`, in that order. `null` is a value.
pub(super) fn object<'a, const N: usize>(
    text: &'a str,
    names: &[&'static str; N],
) -> Result<[Field<'a>; N], Failure> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Names(names).deserialize(&mut deserializer);
    let read = read.and_then(|fields| deserializer.end().map(|()| fields));
    let Fields { values, fault } = read.map_err(|error| match error.classify() {
        Category::Data => Failure::field(Reason::BadMessage, "this must be one JSON object"),
        Category::Io | Category::Syntax | Category::Eof => {
            let place = format!("line {}, column {}", error.line(), error.column());
            let detail = format!("the body is not JSON: see {place}");
            Failure::new(StatusCode::BAD_REQUEST, Reason::BadMessage, detail)
        }
    })?;
    match fault {
        None => Ok(values),
        Some(Fault::Twice(name)) => Err(wrong(name, "is there twice: send it once")),
        Some(Fault::Unknown(name)) => {
            let known = names.join(", ");
            let detail = format!("there is no field {name} here: the fields are {known}");
            Err(Failure::field(Reason::BadMessage, detail))
        }
    }
}

/// The values of `names`, in that order, percent-decoded.
pub(super) fn query<'a, const N: usize>(
    query: &'a str,
    names: &[&'static str; N],
) -> Result<[Option<Cow<'a, str>>; N], Failure> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(at) = names.iter().position(|known| *known == name) else {
            let name = shown(&name);
            let known = if N == 0 { Cow::from("none") } else { Cow::from(names.join(", ")) };
            let detail = format!("there is no parameter {name} here: the parameters are {known}");
            return Err(Failure::field(Reason::BadMessage, detail));
        };
        if values[at].replace(value).is_some() {
            return Err(wrong(names[at], "is there twice: send it once"));
        }
    }
    Ok(values)
}

/// `None` where a field that may be left away is `null`.
pub(super) fn optional(field: Field<'_>) -> Field<'_> {
    field.filter(|raw| raw.get() != "null")
}

pub(super) fn string<'a>(name: &'static str, raw: &'a RawValue) -> Result<Cow<'a, str>, Failure> {
    json::string(raw).ok_or_else(|| wrong(name, "must be a string"))
}

/// The elements of an array, of which there may be so many.
pub(super) fn array<'a>(
    name: &'static str,
    field: Field<'a>,
    items_max: usize,
) -> Result<Vec<&'a RawValue>, Failure> {
    let raw = field.ok_or_else(|| wrong(name, "is missing"))?;
    let items: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| wrong(name, "must be an array"))?;
    if items.is_empty() {
        return Err(wrong(name, "is empty: name one at least"));
    }
    if items.len() > items_max {
        let detail = format!("`{name}` has more than {items_max}: send them in several requests");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, Reason::LimitExceeded, detail));
    }
    Ok(items)
}

pub(super) fn channel(name: &'static str, field: Field<'_>) -> Result<ChannelName, Failure> {
    let raw = field.ok_or_else(|| bad_channel(name, "is missing"))?;
    let text = json::string(raw).ok_or_else(|| bad_channel(name, "must be a string"))?;
    channel_text(name, &text)
}

/// A channel's name as one segment of a path.
pub(super) fn channel_segment(segment: &str) -> Result<ChannelName, Failure> {
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    channel_text("channel", &decoded.map_err(|_| bad_channel("channel", "is not UTF-8"))?)
}

pub(super) fn channel_text(name: &'static str, text: &str) -> Result<ChannelName, Failure> {
    ChannelName::parse(text).map_err(|error| {
        let allowed = "a channel's name is 1 to 200 bytes of A-Z a-z 0-9 _ - = @ , . ; : / +";
        bad_channel(name, &format!("{error}: {allowed}"))
    })
}

pub(super) fn event(field: Field<'_>) -> Result<Option<EventName>, Failure> {
    let bad = |what: &str| Failure::field(Reason::BadEvent, format!("`event` {what}"));
    let Some(raw) = optional(field) else { return Ok(None) };
    let text = json::string(raw).ok_or_else(|| bad("must be a string"))?;
    let allowed = "an event's name is 1 to 200 bytes, no control characters";
    EventName::parse(&text).map(Some).map_err(|error| bad(&format!("{error}: {allowed}")))
}

/// What is published: any JSON value, or bytes in base64. Exactly one of the two.
pub(super) fn payload(
    data: Field<'_>,
    base64: Field<'_>,
    bytes_max: usize,
) -> Result<Payload, Failure> {
    let payload = match (data, base64) {
        (Some(data), None) => {
            let text = json::decode_data(data.get()).map_err(|error: JsonError| {
                Failure::field(Reason::BadMessage, format!("`data`: {}", error.detail()))
            })?;
            Payload::Text(text)
        }
        (None, Some(base64)) => {
            let text = string("data_base64", base64)?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(&*text);
            let what = "must be padded base64 of the standard alphabet";
            Payload::Binary(Bytes::from(bytes.map_err(|_| wrong("data_base64", what))?))
        }
        (None, None) => {
            return Err(wrong("data", "is missing: send any JSON value, null included"));
        }
        (Some(_), Some(_)) => {
            return Err(wrong("data", "and `data_base64` are both there: send one of them"));
        }
    };
    if payload.len() > bytes_max {
        let detail = format!("`data` is larger than the {bytes_max} bytes that the app allows");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, Reason::TooLarge, detail));
    }
    Ok(payload)
}

pub(super) fn connection(name: &'static str, raw: &RawValue) -> Result<ConnectionId, Failure> {
    let what = "must be a connection's id: a string such as \"123.456\"";
    let text = json::string(raw).ok_or_else(|| wrong(name, what))?;
    ConnectionId::parse(&text).map_err(|_| wrong(name, what))
}

pub(super) fn user(name: &'static str, raw: &RawValue) -> Result<UserId, Failure> {
    let what = "must be a user's id: a string of 1 to 128 bytes, no control characters";
    let text = json::string(raw).ok_or_else(|| wrong(name, what))?;
    UserId::parse(&text).map_err(|_| wrong(name, what))
}

/// A parameter that says how much of a list is wanted.
pub(super) fn limit(value: Option<&str>) -> Result<usize, Failure> {
    const DEFAULT: usize = 100;
    const MAX: usize = 1_000;
    let Some(text) = value else { return Ok(DEFAULT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX).contains(limit));
    limit.ok_or_else(|| wrong("limit", "must be a number from 1 to 1000"))
}

pub(super) fn wrong(name: &str, what: &str) -> Failure {
    Failure::field(Reason::BadMessage, format!("`{name}` {what}"))
}

fn bad_channel(name: &str, what: &str) -> Failure {
    Failure::field(Reason::BadChannel, format!("`{name}` {what}"))
}

/// A name that a client made up, as far as it may be shown back.
fn shown(name: &str) -> Cow<'static, str> {
    const BYTES_MAX: usize = 40;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if plain && !name.is_empty() && name.len() <= BYTES_MAX {
        Cow::Owned(format!("`{name}`"))
    } else {
        Cow::Borrowed("of such a name")
    }
}

struct Names<'n, const N: usize>(&'n [&'static str; N]);

struct Fields<'a, const N: usize> {
    values: [Field<'a>; N],
    /// The first one; what follows is still read, since a text that is not JSON is a worse fault.
    fault: Option<Fault>,
}

enum Fault {
    Twice(&'static str),
    Unknown(Cow<'static, str>),
}

impl<'de, const N: usize> DeserializeSeed<'de> for Names<'_, N> {
    type Value = Fields<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Names<'_, N> {
    type Value = Fields<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { values: [None; N], fault: None };
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let value: &'de RawValue = map.next_value()?;
            let fault = match self.0.iter().position(|known| *known == name) {
                None => Some(Fault::Unknown(shown(&name))),
                Some(at) => fields.values[at].replace(value).map(|_| Fault::Twice(self.0[at])),
            };
            fields.fault = fields.fault.or(fault);
        }
        Ok(fields)
    }
}
