//! A request's body, whole, within a bound and a time.

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;

use crate::Gateway;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    /// It ended early or is not what its headers say.
    Broken,
}

/// Reads all of it; a length that is declared too large is refused before a byte is read.
pub(super) async fn read(
    gateway: &Gateway,
    request: Request<Incoming>,
) -> Result<(Parts, Bytes), BodyError> {
    let limits = &gateway.config.limits;
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > limits.api_body_bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let whole = Limited::new(body, limits.api_body_bytes_max).collect();
    match tokio::time::timeout(limits.api_body_timeout, whole).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(whole)) => Ok((parts, whole.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}

impl BodyError {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::TooSlow => 408,
            Self::Broken => 400,
        }
    }

    pub(super) fn reason(self) -> model::Reason {
        match self {
            Self::TooLarge => model::Reason::TooLarge,
            Self::TooSlow | Self::Broken => model::Reason::BadMessage,
        }
    }

    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::TooLarge => "the request's body is too large: send less at once",
            Self::TooSlow => "the request's body came too slowly",
            Self::Broken => "the request's body ended early",
        }
    }
}
