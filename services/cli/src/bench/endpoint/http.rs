//! Publishing by Pusher's signed HTTP API over one kept connection, and reading its answers.

use md5::{Digest as _, Md5};
use ring::hmac;
use serde_json::json;

use super::Endpoint;
use crate::bench::clock;
use crate::sign::digest::hex;

/// The API takes no more events in one batch.
const BATCH_MAX: usize = 10;

/// What the complete answers at the start of a buffer said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct Answers {
    /// Bytes to drop from the buffer.
    pub(in crate::bench) consumed: usize,
    pub(in crate::bench) count: usize,
    /// Status line and body of the first refusal.
    pub(in crate::bench) refused: Option<String>,
}

/// Requests that publish `payloads` as one event, or as batches.
pub(super) fn publication(endpoint: &Endpoint, payloads: &[Vec<u8>]) -> Vec<u8> {
    let app = &endpoint.credentials.app_id;
    let event = |payload: &Vec<u8>| {
        json!({
            "name": "bench",
            "channel": endpoint.channel,
            "data": String::from_utf8_lossy(payload),
        })
    };
    match payloads {
        [payload] => request(endpoint, &format!("/apps/{app}/events"), &event(payload).to_string()),
        many => many
            .chunks(BATCH_MAX)
            .flat_map(|chunk| {
                let batch = chunk.iter().map(event).collect::<Vec<_>>();
                let body = json!({ "batch": batch }).to_string();
                request(endpoint, &format!("/apps/{app}/batch_events"), &body)
            })
            .collect(),
    }
}

/// Reads every complete answer in `buffer`.
pub(in crate::bench) fn answers(buffer: &[u8]) -> Answers {
    let mut answers = Answers::default();
    while let Some((length, refusal)) = answer(&buffer[answers.consumed..]) {
        answers.consumed += length;
        answers.count += 1;
        answers.refused = answers.refused.or(refusal);
    }
    answers
}

fn request(endpoint: &Endpoint, path: &str, body: &str) -> Vec<u8> {
    let body_md5 = hex(&Md5::digest(body.as_bytes()));
    // In the order of the names, as the signature wants them.
    let query = format!(
        "auth_key={}&auth_timestamp={}&auth_version=1.0&body_md5={body_md5}",
        endpoint.credentials.key,
        clock::unix_seconds()
    );
    let signature = endpoint.credentials.secret.as_ref().map(|secret| {
        hex(hmac::sign(secret, format!("POST\n{path}\n{query}").as_bytes()).as_ref())
    });
    format!(
        "POST {path}?{query}&auth_signature={} HTTP/1.1\r\nHost: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        signature.unwrap_or_default(),
        endpoint.authority,
        body.len()
    )
    .into_bytes()
}

/// Length of the first answer and what it refused; `None` when it is not complete.
fn answer(buffer: &[u8]) -> Option<(usize, Option<String>)> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]);
    let status = text.lines().next().unwrap_or_default();
    let header = |wanted: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim())
    };
    let body = if header("transfer-encoding").is_some() {
        buffer[head..].windows(5).position(|window| window == b"0\r\n\r\n")? + 5
    } else {
        header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    };
    let content = buffer.get(head..head + body)?;
    let fine = status.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
    let refusal = (!fine).then(|| format!("{status}: {}", String::from_utf8_lossy(content)));
    Some((head + body, refusal))
}
