//! Bearer keys of our own HTTP API: `whf_sk<l|d>_<key id>_<secret><check>`. The check makes slips
//! and cut-off keys known without a look-up; of the secret only its SHA-256 is kept.

use std::fmt;

use model::{ApiKey, Environment, Reason};
use protocol::server_api::ApiError;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use runtime::Secret;
use subtle::ConstantTimeEq;

const PREFIX: &str = "whf_sk";
const KEY_ID_CHARS: usize = 12;
const SECRET_CHARS: usize = 32;
const CHECK_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// [`BASE62`] without what is easily misread: `0`, `I`, `O`, `l`.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A key of the right form and check.
#[derive(Clone, Copy)]
pub struct Bearer<'a> {
    pub key_id: &'a str,
    secret: &'a str,
}

/// A new key; `text` is shown once and kept nowhere.
#[derive(Debug)]
pub struct Generated {
    pub text: Secret<String>,
    pub key_id: String,
    pub sha256: [u8; 32],
}

/// `text` as a key, if it has the form and its check is right. Looks nothing up.
pub fn parse(text: &str) -> Option<Bearer<'_>> {
    let rest = text.strip_prefix(PREFIX)?.strip_prefix(['l', 'd'])?.strip_prefix('_')?;
    let (key_id, tail) = rest.split_once('_')?;
    let base62 = tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_key_id(key_id) || !base62 || tail.len() != SECRET_CHARS + CHECK_CHARS {
        return None;
    }
    let (body, claimed) = text.split_at(text.len() - CHECK_CHARS);
    (check(body) == claimed).then(|| Bearer { key_id, secret: &tail[..SECRET_CHARS] })
}

/// Whether a request's `Authorization` headers hold a key of `app`; `None` stands for an app that
/// does not exist. Every way to be wrong is answered alike and costs alike, but for two headers,
/// which no client sends by accident.
pub fn verify<'a>(
    app: Option<&model::App>,
    authorization: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), ApiError> {
    let mut headers = authorization.into_iter();
    let first = headers.next();
    if headers.next().is_some() {
        return Err(ApiError::new(
            400,
            Reason::BadMessage,
            "there is more than one Authorization header: send one",
        ));
    }
    let bearer = first.and_then(token).and_then(parse).ok_or_else(unauthorized)?;
    let given = sha256(bearer.secret);
    let keys: &[ApiKey] = app.map_or(&[], |app| &app.api_keys);
    let known = keys.iter().find(|key| key.key_id == bearer.key_id);
    // Nothing hashes to zeros that anybody could find.
    let kept = known.map_or([0; 32], |key| key.sha256);
    if bool::from(kept.ct_eq(&given)) && known.is_some() { Ok(()) } else { Err(unauthorized()) }
}

/// A new key from the system's random source.
pub fn generate(environment: Environment) -> Generated {
    let letter = match environment {
        Environment::Development => 'd',
        Environment::Production => 'l',
    };
    let key_id = random_text(BASE58, KEY_ID_CHARS);
    let secret = random_text(BASE62, SECRET_CHARS);
    let body = format!("{PREFIX}{letter}_{key_id}_{secret}");
    let text = Secret::new(format!("{body}{}", check(&body)));
    Generated { text, key_id, sha256: sha256(&secret) }
}

/// Whether a text has the form of a key's id.
pub fn is_key_id(text: &str) -> bool {
    text.len() == KEY_ID_CHARS && text.bytes().all(|byte| BASE58.contains(&byte))
}

/// The one answer to every key that does not hold.
fn unauthorized() -> ApiError {
    ApiError::new(
        401,
        Reason::Unauthorized,
        "no valid API key: send `Authorization: Bearer whf_sk...` with a key of this app",
    )
}

/// What follows `Bearer ` (in any case), if anything does.
fn token(header: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// CRC-32 in base 62, six characters, most significant first.
fn check(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut text = [b'0'; CHECK_CHARS];
    for place in text.iter_mut().rev() {
        *place = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    text.iter().copied().map(char::from).collect()
}

fn sha256(secret: &str) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn random_text(alphabet: &[u8], chars: usize) -> String {
    // Bytes beyond the last whole multiple would make the first characters likelier.
    let fair = 256 / alphabet.len() * alphabet.len();
    let random = SystemRandom::new();
    let mut text = String::with_capacity(chars);
    while text.len() < chars {
        let mut bytes = [0; 64];
        random.fill(&mut bytes).expect("the system's random source answers");
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        let missing = chars - text.len();
        text.extend(fair.take(missing).map(|byte| char::from(alphabet[byte % alphabet.len()])));
    }
    text
}

impl fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
