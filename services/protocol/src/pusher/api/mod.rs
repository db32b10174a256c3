//! Pusher's HTTP API: `/apps/<app id>/...`, each request signed.

mod answer;
mod credential;
mod read;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use model::{Reason, ServerAnswer, ServerCall};
use percent_encoding::percent_decode_str;

use crate::server_api::{ApiCredential, ApiError, ApiRequest, ApiResponse, ServerApi};

#[derive(Debug)]
pub(super) struct Api;

/// Where the vendor's Python library terminates connections, without an app in the path: the key
/// of the signature names it.
const USERS: &str = "/users/";

impl ServerApi for Api {
    fn owns(&self, path: &str) -> bool {
        path.starts_with("/apps/") || path.starts_with(USERS)
    }

    fn credential(&self, request: &ApiRequest<'_>) -> Result<ApiCredential, ApiError> {
        credential::read(request)
    }

    fn read(&self, request: &ApiRequest<'_>) -> Result<ServerCall, ApiError> {
        read::call(request)
    }

    fn answer(&self, request: &ApiRequest<'_>, answer: &ServerAnswer) -> ApiResponse {
        match answer::body(request, answer) {
            Ok(body) => ApiResponse {
                status: 200,
                content_type: "application/json",
                body: Bytes::from(body),
            },
            Err(error) => self.error(&error),
        }
    }

    fn error(&self, error: &ApiError) -> ApiResponse {
        // Pusher has one status for whatever a request got wrong.
        let status = if matches!(error.status, 409 | 422) { 400 } else { error.status };
        ApiResponse {
            status,
            content_type: "text/plain; charset=utf-8",
            body: Bytes::from(format!("{}\n", error.detail)),
        }
    }
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Events,
    BatchEvents,
    Channels,
    Channel(String),
    Users(String),
    TerminateConnections(String),
}

impl Route {
    fn of(request: &ApiRequest<'_>) -> Result<Self, ApiError> {
        let (method, route) = Self::find(request.path)
            .ok_or_else(|| ApiError::new(404, Reason::NotFound, "no such path in this API"))?;
        if request.method != method {
            let detail = format!("this path takes {method} only");
            return Err(ApiError::new(405, Reason::BadMessage, detail));
        }
        Ok(route)
    }

    fn find(path: &str) -> Option<(&'static str, Self)> {
        let rest = match path.strip_prefix("/apps/") {
            Some(rest) => rest.split_once('/')?.1,
            None if path.starts_with(USERS) => path.strip_prefix('/')?,
            None => return None,
        };
        let segments: Vec<&str> = rest.split('/').collect();
        Some(match segments[..] {
            ["events"] => ("POST", Self::Events),
            ["batch_events"] => ("POST", Self::BatchEvents),
            ["channels"] => ("GET", Self::Channels),
            ["channels", name] => ("GET", Self::Channel(decoded(name)?)),
            ["channels", name, "users"] => ("GET", Self::Users(decoded(name)?)),
            ["users", user, "terminate_connections"] => {
                ("POST", Self::TerminateConnections(decoded(user)?))
            }
            _ => return None,
        })
    }
}

/// `None` where the bytes are not UTF-8.
fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The query's parameters, decoded, in the order of their names, which are in lower case.
fn parameters(request: &ApiRequest<'_>) -> Result<Vec<(String, String)>, ApiError> {
    let mut parameters: Vec<(String, String)> = form_urlencoded::parse(request.query.as_bytes())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
        .collect();
    parameters.sort();
    if parameters.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(bad("each query parameter may be given once"));
    }
    Ok(parameters)
}

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
}

fn bad(detail: impl Into<String>) -> ApiError {
    ApiError::new(400, Reason::BadMessage, detail)
}
