//! `<method> <path>?<query>`, a line break, a body: no request may panic, and no answer either.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::{ServerAnswer, ServerCall};
use protocol::server_api::ApiRequest;
use protocol::{Protocol, pusher::Pusher};

fuzz_target!(|text: &str| {
    let (line, body) = text.split_once('\n').unwrap_or((text, ""));
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = ApiRequest { method, path, query, content_type: None, body: &body };
    let api = Pusher.server_api().expect("Pusher has an API");
    if !api.owns(path) {
        return;
    }
    if let Err(error) = api.credential(&request) {
        drop(api.error(&error));
    }
    match api.read(&request) {
        Ok(ServerCall::Publish(publishes)) => {
            let answer = publishes.iter().map(|_| Vec::new()).collect();
            drop(api.answer(&request, &ServerAnswer::Published(answer)));
        }
        Ok(_) => drop(api.answer(&request, &ServerAnswer::Disconnected(1))),
        Err(error) => drop(api.error(&error)),
    }
});
