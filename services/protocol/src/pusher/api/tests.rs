//! The HTTP API: its vector, what it reads, refuses and answers.

use std::sync::Arc;
use std::time::Duration;

use model::{
    ChannelName, ChannelState, ConnectionId, Member, MessageId, Occupancy, Payload, Publication,
    Published, Refusal, ServerPublish, Source, UserId,
};
use ring::hmac;

use super::*;
use crate::AppRef;

const SECRET: &str = "7ad3773142a6692b25b8";
const AUTH: &str = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0";
const DIGEST: &str = "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
const MD5: &str = "ec365a775a4cd0599faeb73354201b6f";
const TRIGGER: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;

#[test]
fn the_documented_vector_holds() {
    let query = format!("{AUTH}&body_md5={MD5}&auth_signature={DIGEST}");
    let credential = with("POST", "/apps/3/events", &query, TRIGGER, |r| Api.credential(r));
    let credential = credential.expect("a credential");
    assert_eq!(credential.app, AppRef::Id(3));
    assert_eq!(credential.timestamp, 1_353_088_179);
    assert_eq!(credential.body_md5.as_deref(), Some(MD5));
    assert_eq!(credential.signature.key, "278d425bdf160c739803");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, credential.signature.message.as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(credential.signature.digest, hex);
}

#[test]
fn what_is_signed_is_decoded_lower_cased_and_sorted() {
    let query = format!("Info=a%2Cb&{AUTH}&filter_by_prefix=pre%26x&AUTH_SIGNATURE={DIGEST}");
    let path = "/apps/3/users/a%20%7Cb/terminate_connections";
    let credential = with("GET", path, &query, "", |r| Api.credential(r)).expect("a credential");
    let message = "GET\n/apps/3/users/a |b/terminate_connections\n\
                   auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&\
                   filter_by_prefix=pre&x&info=a,b";
    assert_eq!(credential.signature.message, message);
}

#[test]
fn credentials_that_cannot_hold_are_refused() {
    let sha = format!("auth_signature={DIGEST}");
    let body = format!("body_md5={MD5}");
    let rows: &[(u16, &str, String, &str)] = &[
        (404, "/apps/x/events", format!("{AUTH}&{body}&{sha}"), "id"),
        (404, "/apps//events", format!("{AUTH}&{body}&{sha}"), "id"),
        (404, "/apps/99999999999999999999/events", format!("{AUTH}&{body}&{sha}"), "id"),
        (401, "/apps/3/events", String::new(), "auth_key"),
        (401, "/apps/3/events", format!("auth_key=k&{body}&{sha}"), "auth_version"),
        (401, "/apps/3/events", format!("{AUTH}&{body}"), "auth_signature"),
        (401, "/apps/3/events", format!("{AUTH}&body_md5=x&{sha}"), "body_md5"),
        (401, "/apps/3/events", format!("{AUTH}&{body}&auth_signature=X"), "auth_signature"),
        (400, "/apps/3/events", format!("{AUTH}&{AUTH}&{body}&{sha}"), "once"),
        (400, "/apps/3/events", format!("{AUTH}&{body}&{sha}&AUTH_KEY=k"), "once"),
        (401, "/apps/3/events", format!("{}&{body}&{sha}", AUTH.replace("1.0", "1")), "version"),
        (401, "/apps/3/events", format!("{}&{body}&{sha}", AUTH.replace("=1353", "=x")), "seconds"),
        (401, "/apps/3/events", format!("{}&{body}&{sha}", AUTH.replace("=1353", "=-")), "seconds"),
    ];
    for (status, path, query, names) in rows {
        let error = with("POST", path, query, TRIGGER, |r| Api.credential(r)).err();
        let error = error.unwrap_or_else(|| panic!("{path}?{query} is taken"));
        assert_eq!(error.status, *status, "{path}?{query}: {}", error.detail);
        assert!(error.detail.contains(names), "{path}?{query}: {}", error.detail);
    }
}

#[test]
fn events_are_read() {
    assert_eq!(
        events(TRIGGER),
        Ok(ServerCall::Publish(vec![publish("project-3", "foo", r#"{"some":"data"}"#)]))
    );
    let body = r#"{"name":"n","channel":"a","data":"d","socket_id":"1234.1234","info":"user_count","new":1}"#;
    let expected = ServerPublish {
        exclude: Some(ConnectionId(1234 << 32 | 1234)),
        occupancy: true,
        ..publish("a", "n", "d")
    };
    assert_eq!(events(body), Ok(ServerCall::Publish(vec![expected])));
    let body = r#"{"name":"n","channel":"a","data":"d","socket_id":null,"info":""}"#;
    assert_eq!(events(body), Ok(ServerCall::Publish(vec![publish("a", "n", "d")])));
    let user = events(r##"{"name":"n","channels":["#server-to-user-7"],"data":""}"##);
    let Ok(ServerCall::Publish(publishes)) = user else { panic!("{user:?}") };
    assert_eq!(publishes[0].channels[0].user(), UserId::parse("7").ok());
}

#[test]
fn events_that_cannot_be_read_are_refused_by_field() {
    let hundred = |n: usize| {
        let names: Vec<String> = (0..n).map(|i| format!("\"c{i}\"")).collect();
        format!(r#"{{"name":"n","channels":[{}],"data":""}}"#, names.join(","))
    };
    assert!(events(&hundred(100)).is_ok());
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let long = format!(r#"{{"name":"{}","channel":"a","data":""}}"#, "n".repeat(201));
    let rows: &[(&str, &str)] = &[
        ("", "body"),
        ("[]", "body"),
        ("{} {}", "body"),
        ("\u{feff}{}", "body"),
        (&deep, "32 levels"),
        (r#"{"name":"n","x":"\ud800"}"#, "surrogate"),
        (r#"{"name":"n","name":"SECRET"}"#, "body"),
        ("{}", "name"),
        (r#"{"name":1,"channel":"a","data":""}"#, "name"),
        (r#"{"name":"","channel":"a","data":""}"#, "name"),
        (r#"{"name":"a\u0000","channel":"a","data":""}"#, "name"),
        (&long, "name"),
        (r#"{"name":"n","channel":"a"}"#, "data"),
        (r#"{"name":"n","channel":"a","data":{"SECRET":1}}"#, "data"),
        (r#"{"name":"n","channel":"a","data":null}"#, "data"),
        (r#"{"name":"n","data":""}"#, "channels"),
        (r#"{"name":"n","channels":"SECRET","data":""}"#, "channels"),
        (r#"{"name":"n","channels":[],"data":""}"#, "channels"),
        (r#"{"name":"n","channels":[1],"data":""}"#, "channels"),
        (r#"{"name":"n","channels":["SECRET!"],"data":""}"#, "channel"),
        (r#"{"name":"n","channel":"a:b","data":""}"#, "channel"),
        (r#"{"name":"n","channel":"a","channels":["b"],"data":""}"#, "not both"),
        (&hundred(101), "100"),
        (r#"{"name":"n","channels":["private-encrypted-a","b"],"data":""}"#, "encrypted"),
        (r#"{"name":"n","channel":"a","data":"","socket_id":"SECRET"}"#, "socket_id"),
        (r#"{"name":"n","channel":"a","data":"","socket_id":1}"#, "socket_id"),
        (r#"{"name":"n","channel":"a","data":"","info":1}"#, "info"),
        (r#"{"name":"n","channel":"a","data":"","info":"SECRET"}"#, "info"),
    ];
    for (body, names) in rows {
        let error = events(body).err().unwrap_or_else(|| panic!("{body} is taken"));
        assert_eq!(error.status, 400, "{body}");
        assert!(error.detail.contains(names), "{body}: {}", error.detail);
        assert!(!error.detail.contains("SECRET"), "{body}: {}", error.detail);
    }
    let body = Bytes::from_static(b"{\"name\":\"\xff\"}");
    let request = ApiRequest {
        method: "POST",
        path: "/apps/3/events",
        query: "",
        content_type: None,
        body: &body,
    };
    assert_eq!(Api.read(&request).err().map(|error| error.status), Some(400));
}

#[test]
fn batches_are_read_and_bounded() {
    let batch = |events: &str| {
        let body = format!(r#"{{"batch":[{events}]}}"#);
        with("POST", "/apps/3/batch_events", "", &body, |r| Api.read(r))
    };
    let event = r#"{"name":"n","channel":"a","data":"d"}"#;
    assert_eq!(batch(""), Ok(ServerCall::Publish(vec![])));
    let two = format!("{event},{event}");
    let twice = vec![publish("a", "n", "d"), publish("a", "n", "d")];
    assert_eq!(batch(&two), Ok(ServerCall::Publish(twice)));
    assert!(batch(&[event; 10].join(",")).is_ok());
    assert_eq!(batch(&[event; 11].join(",")).err().map(|error| error.status), Some(400));
    for wrong in ["1", "[]", r#"{"name":"n","channels":["a"],"data":""}"#, r#"{"name":"n"}"#] {
        assert_eq!(batch(wrong).err().map(|error| error.status), Some(400), "{wrong}");
    }
    let none = with("POST", "/apps/3/batch_events", "", "{}", |r| Api.read(r));
    assert_eq!(none.err().map(|error| error.status), Some(400));
}

#[test]
fn queries_are_read() {
    let get = |path: &str, query: &str| with("GET", path, query, "", |r| Api.read(r));
    let channels =
        |prefix: &str| Ok(ServerCall::Channels { prefix: String::from(prefix), limit: 100_000 });
    assert_eq!(get("/apps/3/channels", ""), channels(""));
    let query = "filter_by_prefix=presence-&info=user_count";
    assert_eq!(get("/apps/3/channels", query), channels("presence-"));
    let channel = channel("presence-a;b");
    assert_eq!(
        get("/apps/3/channels/presence-a%3Bb", "info=user_count,cache"),
        Ok(ServerCall::Channel { channel: channel.clone() })
    );
    assert_eq!(get("/apps/3/channels/presence-a;b/users", ""), Ok(ServerCall::Members { channel }));
    let user = UserId::parse("a b").expect("an allowed id");
    let path = "/apps/3/users/a%20b/terminate_connections";
    let terminate = with("POST", path, "", "{}", |r| Api.read(r));
    assert_eq!(terminate, Ok(ServerCall::DisconnectUser { user }));
}

#[test]
fn queries_that_make_no_sense_are_refused() {
    let rows: &[(u16, &str, &str, &str)] = &[
        (404, "GET", "/apps/3", ""),
        (404, "GET", "/apps/3/", ""),
        (404, "GET", "/apps/3/what", ""),
        (404, "GET", "/apps/3/channels/a/b", ""),
        (404, "GET", "/apps/3/channels/a/users/b", ""),
        (404, "GET", "/apps/3/channels/%ff", ""),
        (405, "GET", "/apps/3/events", ""),
        (405, "DELETE", "/apps/3/channels", ""),
        (405, "GET", "/apps/3/users/7/terminate_connections", ""),
        (400, "GET", "/apps/3/channels", "info=user_count"),
        (400, "GET", "/apps/3/channels", "info=user_count&filter_by_prefix=a"),
        (400, "GET", "/apps/3/channels", "info=what"),
        (400, "GET", "/apps/3/channels", "info=cache&info=cache"),
        (400, "GET", "/apps/3/channels/a", "info=user_count"),
        (400, "GET", "/apps/3/channels/a/users", ""),
        (400, "GET", "/apps/3/channels/a%2Fb", ""),
        (400, "GET", "/apps/3/channels/", ""),
        (400, "POST", "/apps/3/users//terminate_connections", ""),
    ];
    for (status, method, path, query) in rows {
        let error = with(method, path, query, "", |r| Api.read(r)).err();
        let is = error.map(|error| error.status);
        assert_eq!(is, Some(*status), "{method} {path}?{query}");
    }
}

#[test]
fn answers_tell_what_was_asked() {
    let counts = |subscriptions, users| Some(Occupancy { subscriptions, users });
    let published = |name: &str, occupancy| {
        let (channel, id) = (channel(name), MessageId(1));
        Ok(Published { channel, id, position: None, occupancy })
    };
    let plain = ServerAnswer::Published(vec![vec![published("a", None)]]);
    events_answer(TRIGGER, &plain, "{}");
    let told = ServerAnswer::Published(vec![vec![
        published("presence-a", counts(3, Some(2))),
        published("b", counts(1, None)),
    ]]);
    let body = |info: &str| {
        format!(r#"{{"name":"n","channels":["presence-a","b"],"data":"","info":"{info}"}}"#)
    };
    events_answer(
        &body("subscription_count,user_count"),
        &told,
        r#"{"channels":{"presence-a":{"subscription_count":3,"user_count":2},"b":{"subscription_count":1}}}"#,
    );
    events_answer(
        &body("user_count"),
        &told,
        r#"{"channels":{"presence-a":{"user_count":2},"b":{}}}"#,
    );
    let batch = ServerAnswer::Published(vec![
        vec![published("a", None)],
        vec![published("presence-a", counts(3, Some(2)))],
    ]);
    let body = r#"{"batch":[{"name":"n","channel":"a","data":""},{"name":"n","channel":"presence-a","data":"","info":"user_count"}]}"#;
    let answer = with("POST", "/apps/3/batch_events", "", body, |r| Api.answer(r, &batch));
    said(&answer, 200, r#"{"batch":[{},{"user_count":2}]}"#);
    let refused = ServerAnswer::Published(vec![vec![
        published("a", None),
        Err(Refusal::new(Reason::RateLimited, "too many publications")),
    ]]);
    let answer = with("POST", "/apps/3/events", "", TRIGGER, |r| Api.answer(r, &refused));
    said(&answer, 429, "too many publications\n");
}

#[test]
fn queries_are_answered() {
    let get = |path: &str, query: &str, answer: ServerAnswer, body: &str| {
        let answer = with("GET", path, query, "", |r| Api.answer(r, &answer));
        said(&answer, 200, body);
    };
    let state = |name: &str, subscriptions, users, cached| ChannelState {
        channel: channel(name),
        occupancy: Occupancy { subscriptions, users },
        cached,
    };
    let states =
        || vec![state("presence-a", 3, Some(2), None), state("#server-to-user-7", 1, None, None)];
    let channels = || ServerAnswer::Channels(states());
    get("/apps/3/channels", "", channels(), r#"{"channels":{"presence-a":{}}}"#);
    let query = "filter_by_prefix=presence-&info=user_count";
    let body = r#"{"channels":{"presence-a":{"user_count":2}}}"#;
    get("/apps/3/channels", query, channels(), body);
    let publication = Arc::new(Publication {
        id: MessageId(1),
        event: None,
        payload: Payload::text(r#"{"a":1}"#),
        exclude: None,
        source: Source::Server,
        position: None,
    });
    let cached = || Some((Arc::clone(&publication), Duration::from_millis(60_900)));
    let one = |cached| ServerAnswer::Channel(state("cache-a", 3, Some(2), cached));
    get("/apps/3/channels/cache-a", "", one(None), r#"{"occupied":true}"#);
    let query = "info=user_count,subscription_count,cache";
    let body = r#"{"occupied":true,"subscription_count":3,"user_count":2,"cache":{"data":"{\"a\":1}","ttl":60}}"#;
    get("/apps/3/channels/cache-a", query, one(cached()), body);
    let body = r#"{"occupied":true,"cache":null}"#;
    get("/apps/3/channels/cache-a", "info=cache", one(None), body);
    let vacant = ServerAnswer::Channel(state("a", 0, None, None));
    let body = r#"{"occupied":false,"subscription_count":0}"#;
    get("/apps/3/channels/a", "info=subscription_count", vacant, body);
    let user = UserId::parse("a\"b").expect("an allowed id");
    let members = ServerAnswer::Members(vec![Member { user, info: None }]);
    get("/apps/3/channels/presence-a/users", "", members, r#"{"users":[{"id":"a\"b"}]}"#);
    let path = "/apps/3/users/7/terminate_connections";
    get(path, "", ServerAnswer::Disconnected(2), "{}");
}

#[test]
fn errors_are_plain_text_of_pushers_statuses() {
    for (reason, status) in [
        (Reason::BadChannel, 400),
        (Reason::BadEvent, 400),
        (Reason::Conflict, 400),
        (Reason::Unauthorized, 401),
        (Reason::Forbidden, 403),
        (Reason::TooLarge, 413),
        (Reason::RateLimited, 429),
        (Reason::Unavailable, 503),
    ] {
        let response = Api.error(&ApiError::from(&Refusal::new(reason, "what was wrong")));
        said(&response, status, "what was wrong\n");
        assert_eq!(response.content_type, "text/plain; charset=utf-8");
    }
}

#[test]
fn paths_of_others_are_not_owned() {
    assert!(Api.owns("/apps/3/events"));
    assert!(Api.owns("/apps/"));
    for path in ["/app/key", "/v1/apps/demo/publish", "/apps", "/", ""] {
        assert!(!Api.owns(path), "{path}");
    }
}

fn with<T>(
    method: &str,
    path: &str,
    query: &str,
    body: &str,
    test: impl FnOnce(&ApiRequest<'_>) -> T,
) -> T {
    let body = Bytes::copy_from_slice(body.as_bytes());
    test(&ApiRequest { method, path, query, content_type: Some("application/json"), body: &body })
}

fn events(body: &str) -> Result<ServerCall, ApiError> {
    with("POST", "/apps/3/events", "", body, |request| Api.read(request))
}

fn events_answer(body: &str, answer: &ServerAnswer, expected: &str) {
    let answer = with("POST", "/apps/3/events", "", body, |request| Api.answer(request, answer));
    said(&answer, 200, expected);
}

fn said(response: &ApiResponse, status: u16, body: &str) {
    let is = std::str::from_utf8(&response.body).expect("UTF-8");
    assert_eq!((response.status, is), (status, body));
    if status == 200 {
        assert_eq!(response.content_type, "application/json");
        serde_json::from_str::<serde_json::Value>(is).expect("JSON");
    }
}

fn publish(channel_name: &str, event: &str, data: &str) -> ServerPublish {
    ServerPublish {
        channels: vec![channel(channel_name)],
        event: Some(model::EventName::parse(event).expect("an allowed name")),
        payload: Payload::text(data),
        exclude: None,
        occupancy: false,
    }
}

fn channel(text: &str) -> ChannelName {
    crate::pusher::channel::name(text).expect("an allowed name")
}
