//! Who signed a request, and what.

use model::{Reason, Signature};
use percent_encoding::percent_decode_str;

use super::{USERS, parameter, parameters};
use crate::AppRef;
use crate::hex::is_hex;
use crate::server_api::{ApiCredential, ApiError, ApiRequest};

pub(super) fn read(request: &ApiRequest<'_>) -> Result<ApiCredential, ApiError> {
    let parameters = parameters(request)?;
    let get = |name| parameter(&parameters, name);
    let key = get("auth_key").ok_or_else(|| unauthorized("auth_key is missing"))?;
    let app = if request.path.starts_with(USERS) {
        AppRef::Key(String::from(key))
    } else {
        app(request.path)?
    };
    let version = get("auth_version").ok_or_else(|| unauthorized("auth_version is missing"))?;
    if version != "1.0" {
        return Err(unauthorized("auth_version must be 1.0"));
    }
    let timestamp = get("auth_timestamp")
        .ok_or_else(|| unauthorized("auth_timestamp is missing"))?
        .parse()
        .map_err(|_| unauthorized("auth_timestamp must be whole seconds of Unix time"))?;
    let digest = get("auth_signature").ok_or_else(|| unauthorized("auth_signature is missing"))?;
    if !is_hex(digest, 64) {
        return Err(unauthorized("auth_signature must be 64 lower-case hex digits"));
    }
    let body_md5 = get("body_md5");
    if body_md5.is_some_and(|md5| !is_hex(md5, 32)) {
        return Err(unauthorized("body_md5 must be 32 lower-case hex digits"));
    }
    Ok(ApiCredential {
        app,
        signature: Signature {
            key: String::from(key),
            message: message(request, &parameters),
            digest: String::from(digest),
        },
        timestamp,
        body_md5: body_md5.map(String::from),
    })
}

fn app(path: &str) -> Result<AppRef, ApiError> {
    let id = path.strip_prefix("/apps/").and_then(|rest| rest.split('/').next());
    id.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|id| id.parse().ok())
        .map(AppRef::Id)
        .ok_or_else(|| ApiError::new(404, Reason::NotFound, "no app has this id"))
}

/// Method, path and parameters. Values are signed without URL escapes; so is the path, since the
/// libraries sign it before their HTTP client escapes it (a user's id, say).
fn message(request: &ApiRequest<'_>, parameters: &[(String, String)]) -> String {
    let path = percent_decode_str(request.path).decode_utf8_lossy();
    let mut message = format!("{}\n{path}\n", request.method);
    let signed = parameters.iter().filter(|(name, _)| name != "auth_signature");
    for (index, (name, value)) in signed.enumerate() {
        if index > 0 {
            message.push('&');
        }
        message.push_str(name);
        message.push('=');
        message.push_str(value);
    }
    message
}

fn unauthorized(detail: &'static str) -> ApiError {
    ApiError::new(401, Reason::Unauthorized, detail)
}
