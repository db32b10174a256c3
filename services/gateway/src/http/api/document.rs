//! The API's description, OpenAPI 3.1, made from the handlers themselves.

use std::sync::OnceLock;

use bytes::Bytes;
use hyper::StatusCode;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use super::answer::Answer;

#[derive(OpenApi)]
#[openapi(
    info(title = "Wharf HTTP API", description = ABOUT),
    paths(
        super::publish::publish,
        super::publish::batch,
        super::publish::broadcast,
        super::channels::channels,
        super::channels::channel,
        super::channels::presence,
        super::channels::history,
        super::disconnect::disconnect,
        openapi,
    ),
    components(schemas(Message, Problem)),
    security(("key" = [])),
    modifiers(&Bearer),
)]
struct Document;

const ABOUT: &str = "For backends: publish to an app's clients, see who listens, end connections. \
                     Every call needs `Authorization: Bearer` with an API key of the app. Errors \
                     are `application/problem+json` (RFC 9457); `code` is the one word for what \
                     went wrong.";

pub(super) fn text() -> String {
    let mut text = Document::openapi().to_pretty_json().expect("it has string keys only");
    text.push('\n');
    text
}

/// This document
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "about",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)),
)]
pub(super) async fn openapi() -> Answer {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let body = TEXT.get_or_init(|| Bytes::from(text())).clone();
    Answer { status: StatusCode::OK, body, replayed: false }
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some(String::from("whf_sk<l|d>_<key id>_<secret>"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// What every call may answer when it did not work.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "described, never made: failures are written by http::problem")]
pub(super) enum Failures {
    /// Not JSON, two Authorization headers, or a key in the URL (`key_in_url`)
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// No valid key of this app; an app that does not exist is answered alike
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The app is switched off
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// The body came too slowly
    #[response(status = 408, content_type = "application/problem+json")]
    Timeout(Problem),
    /// The idempotency key is in use: by another request, or by this one, still running
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body, a payload or a list is too large
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// Not `application/json`, or compressed
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// Another expectation than 100-continue
    #[response(status = 417, content_type = "application/problem+json")]
    ExpectationFailed(Problem),
    /// A field or parameter is unknown, missing, there twice, or wrong; `detail` names it
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(Problem),
    /// The app publishes faster than it may: see `Retry-After`
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyRequests(Problem),
    /// It may work after `Retry-After` seconds: ask again with the same idempotency key
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Why a request did not work (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, never made: problems are written by http::problem")]
pub(super) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// The one word for what happened.
    #[schema(example = "bad_channel")]
    code: String,
    /// What was wrong and what to do about it.
    detail: String,
    /// Known to the server's log.
    request_id: String,
}

/// Exactly one of `data` and `data_base64` must be there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made: bodies are read by api::read")]
pub(super) struct Publish {
    #[schema(min_length = 1, max_length = 200, example = "lobby")]
    channel: String,
    /// `message` where a dialect needs one and none is given.
    #[schema(min_length = 1, max_length = 200)]
    event: Option<String>,
    /// Any JSON value, null included. Subscribers get a string's content, or the text of another
    /// value exactly as sent.
    data: Option<serde_json::Value>,
    /// Bytes instead of `data`.
    #[schema(format = "byte")]
    data_base64: Option<String>,
    /// A connection's id: the one subscriber that is not told.
    #[schema(example = "123.456")]
    exclude: Option<String>,
    /// For two minutes the same request with the same key is answered alike and not carried out
    /// again; another request with that key is a conflict. The header does the same.
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made: bodies are read by api::read")]
pub(super) struct Batch {
    #[schema(min_items = 1, max_items = 100)]
    messages: Vec<Message>,
    /// For the batch as a whole.
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// Exactly one of `data` and `data_base64` must be there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made: bodies are read by api::read")]
pub(super) struct Message {
    #[schema(min_length = 1, max_length = 200, example = "lobby")]
    channel: String,
    #[schema(min_length = 1, max_length = 200)]
    event: Option<String>,
    data: Option<serde_json::Value>,
    #[schema(format = "byte")]
    data_base64: Option<String>,
    #[schema(example = "123.456")]
    exclude: Option<String>,
}

/// Exactly one of `data` and `data_base64` must be there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made: bodies are read by api::read")]
pub(super) struct Broadcast {
    /// Each once.
    #[schema(min_items = 1, max_items = 100)]
    channels: Vec<String>,
    #[schema(min_length = 1, max_length = 200)]
    event: Option<String>,
    data: Option<serde_json::Value>,
    #[schema(format = "byte")]
    data_base64: Option<String>,
    #[schema(example = "123.456")]
    exclude: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// Exactly one of the two.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described, never made: bodies are read by api::read")]
pub(super) struct Disconnect {
    /// Every connection of this user: signed in, or a member of a channel.
    #[schema(min_length = 1, max_length = 128)]
    user: Option<String>,
    #[schema(example = "123.456")]
    connection: Option<String>,
}
