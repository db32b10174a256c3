//! The seam of server-side HTTP APIs: a dialect reads a request and writes an answer; the gateway
//! checks the credential and carries out the call.

use std::fmt::Debug;

use bytes::Bytes;
use model::{Reason, Refusal, ServerAnswer, ServerCall};

use crate::AppRef;

/// A request, its body whole and within the gateway's bound.
#[derive(Clone, Copy, Debug)]
pub struct ApiRequest<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Still percent-encoded, beginning with `/`.
    pub path: &'a str,
    /// Still percent-encoded, without `?`.
    pub query: &'a str,
    pub content_type: Option<&'a str>,
    pub body: &'a Bytes,
}

/// A dialect's server-side HTTP API.
pub trait ServerApi: Debug + Sync {
    /// Whether a path is of this API; decides before the body is read.
    fn owns(&self, path: &str) -> bool;

    /// Who asks. Read and judged before the body is, which is empty here: a stranger learns nothing
    /// and holds nothing up.
    fn credential(&self, request: &ApiRequest<'_>) -> Result<ApiCredential, ApiError>;

    fn read(&self, request: &ApiRequest<'_>) -> Result<ServerCall, ApiError>;

    fn answer(&self, request: &ApiRequest<'_>, answer: &ServerAnswer) -> ApiResponse;

    /// How this API words an error.
    fn error(&self, error: &ApiError) -> ApiResponse;
}

/// A signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCredential {
    pub app: AppRef,
    pub signature: model::Signature,
    /// Unix seconds; must lie within [`ApiCredential::CLOCK_SKEW_SECONDS`] of now.
    pub timestamp: u64,
    /// The claimed MD5 of the body, lower-case hex; `None` where there is no body.
    pub body_md5: Option<String>,
}

impl ApiCredential {
    pub const CLOCK_SKEW_SECONDS: u64 = 600;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    pub reason: Reason,
    /// What was wrong, naming the field, and what to do; never repeats what was sent.
    pub detail: String,
    pub retry_after_seconds: Option<u64>,
}

impl ApiError {
    pub fn new(status: u16, reason: Reason, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), retry_after_seconds: None }
    }
}

impl From<&Refusal> for ApiError {
    fn from(refusal: &Refusal) -> Self {
        Self {
            status: status(refusal.reason),
            reason: refusal.reason,
            detail: String::from(refusal.detail),
            retry_after_seconds: refusal.retry_after_seconds(),
        }
    }
}

/// The HTTP status of each reason, the same in every API.
pub fn status(reason: Reason) -> u16 {
    match reason {
        Reason::BadMessage | Reason::UnknownType => 400,
        Reason::BadChannel | Reason::BadEvent => 422,
        Reason::Unauthorized => 401,
        Reason::Forbidden => 403,
        Reason::NotFound => 404,
        Reason::NotSubscribed | Reason::Conflict => 409,
        Reason::TooLarge | Reason::LimitExceeded => 413,
        Reason::RateLimited => 429,
        Reason::IdempotencyFull | Reason::Unavailable => 503,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
}
