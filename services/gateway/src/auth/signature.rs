//! Signatures by an app's secret: of subscriptions, of URLs, of requests to the HTTP API.

use md5::{Digest, Md5};
use model::{Reason, Signature};
use protocol::server_api::{ApiCredential, ApiError};
use ring::hmac;
use subtle::ConstantTimeEq;

/// Signs nothing: stands in for the secret of a key that does not exist, so that such a key takes
/// as long to refuse as a wrong signature.
const NOBODY: &[u8] = b"no app signs with this";

/// Whether one of the app's keys made this signature.
pub fn verify_signature(app: &model::App, signature: &Signature) -> bool {
    let signer = app.key(&signature.key);
    let secret = signer.map_or(NOBODY, |signer| &signer.secret);
    let claimed = unhex::<32>(&signature.digest);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let holds =
        hmac::verify(&key, signature.message.as_bytes(), &claimed.unwrap_or_default()).is_ok();
    holds && signer.is_some() && claimed.is_some()
}

/// Whether a request to the HTTP API is by the app's backend, and of now. Only who holds a secret
/// is told what else is wrong. The body is judged by [`verify_body`].
pub fn verify_api(
    app: &model::App,
    credential: &ApiCredential,
    now_unix: u64,
) -> Result<(), ApiError> {
    if !verify_signature(app, &credential.signature) {
        return Err(unauthorized(
            "the signature does not hold: check the key, its secret and what is signed",
        ));
    }
    if credential.timestamp.abs_diff(now_unix) > ApiCredential::CLOCK_SKEW_SECONDS {
        return Err(unauthorized(
            "auth_timestamp is more than 600 seconds from this server's time: check the clock",
        ));
    }
    Ok(())
}

/// Whether the body is the one that was signed.
pub fn verify_body(credential: &ApiCredential, body: &[u8]) -> Result<(), ApiError> {
    match &credential.body_md5 {
        None if body.is_empty() => Ok(()),
        None => Err(unauthorized("body_md5 is missing: sign the MD5 of the body")),
        Some(claimed) => {
            let actual: [u8; 16] = Md5::digest(body).into();
            match unhex::<16>(claimed) {
                Some(claimed) if bool::from(claimed.ct_eq(&actual)) => Ok(()),
                _ => Err(unauthorized("body_md5 is not the MD5 of the body that was sent")),
            }
        }
    }
}

fn unauthorized(detail: &str) -> ApiError {
    ApiError::new(401, Reason::Unauthorized, detail)
}

/// Bytes of exactly `N` pairs of lower-case hex digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
