//! What each call does when all is well, and where one of several is not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::server::{Answered, Server};

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap_or("-")).collect()
}

fn statuses(answered: &Answered) -> Vec<u64> {
    let results = answered.body["results"].as_array().unwrap();
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[test]
fn publication_has_an_id_and_a_position_where_history_is_kept() {
    let server = Server::start();
    let answered = server.post("/v1/apps/demo/publish", r#"{"channel":"lobby","data":{"a":1}}"#);
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("content-type"), Some("application/json"));
    assert_eq!(answered.body["id"].as_str().unwrap().len(), 32);
    assert_eq!(answered.body["position"], Value::Null);
    let answered = server.post("/v1/apps/demo/publish", r#"{"channel":"kept-1","data":1}"#);
    assert!(answered.body["position"].as_str().unwrap().ends_with("-1"), "{answered:?}");
}

#[test]
fn payload_is_kept_to_the_byte() {
    let server = Server::start();
    let data = [
        (r#""a \"b\" ü\u00fc""#, "a \"b\" üü"),
        (r#"{ "b" : 1.0,  "a":[1e2, null] }"#, r#"{ "b" : 1.0,  "a":[1e2, null] }"#),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("null", "null"),
        (r#""""#, ""),
    ];
    for (sent, _) in data {
        let body = format!(r#"{{"channel":"kept-a","event":"e","data": {sent} }}"#);
        assert_eq!(server.post("/v1/apps/demo/publish", &body).status, 200, "{sent}");
    }
    let binary = r#"{"channel":"kept-a","data_base64":"AP8="}"#;
    assert_eq!(server.post("/v1/apps/demo/publish", binary).status, 200);
    let page = server.get("/v1/apps/demo/channels/kept-a/history");
    let expected: Vec<_> = data.iter().map(|(_, kept)| *kept).chain(["-"]).collect();
    assert_eq!(texts(&page.body["publications"], "data"), expected);
    assert_eq!(page.body["publications"][0]["event"], "e");
    assert_eq!(page.body["publications"][0]["source"], "server");
    assert_eq!(page.body["publications"][5]["data_base64"], "AP8=");
    assert_eq!(page.body["publications"][5]["event"], Value::Null);
}

#[test]
fn batch_says_what_became_of_each_message() {
    let server = Server::start();
    let send = |messages: Value| {
        let body = json!({ "messages": messages }).to_string();
        server.post("/v1/apps/demo/batch", &body)
    };
    let good = json!({"channel": "kept-b", "data": 1});
    let all = send(json!([good, good]));
    assert_eq!((all.status, statuses(&all)), (200, vec![200, 200]));
    let ids: BTreeSet<_> = texts(&all.body["results"], "id").into_iter().collect();
    assert_eq!(ids.len(), 2);

    let bad = json!({"channel": "a b", "data": 1});
    let unknown = json!({"channel": "a", "data": 1, "idempotency_key": "x"});
    let large = json!({"channel": "a", "data": "x".repeat(65_537)});
    let some = send(json!([good, bad, unknown, 1, large, good]));
    assert_eq!((some.status, statuses(&some)), (207, vec![200, 422, 422, 422, 413, 200]));
    let codes = texts(&some.body["results"], "code");
    let expected = ["-", "bad_channel", "bad_message", "bad_message", "too_large", "-"];
    assert_eq!(codes, expected);
    assert_eq!(some.body["results"][0]["channel"], "kept-b");
    let page = server.get("/v1/apps/demo/channels/kept-b/history");
    assert_eq!(page.body["publications"].as_array().unwrap().len(), 4, "P-23");
    let away = send(json!([good, {"channel": "away", "data": 1}]));
    assert_eq!((away.status, statuses(&away)), (207, vec![200, 503]));

    for (id, messages, status, code) in [
        ("P-23 none", json!([]), 422, "bad_message"),
        ("P-23 no array", json!({}), 422, "bad_message"),
        ("P-23 101", json!(vec![good.clone(); 101]), 413, "limit_exceeded"),
        ("P-23 large", json!(["x".repeat(1 << 20)]), 413, "too_large"),
    ] {
        let answered = send(messages);
        assert_eq!((answered.status, answered.code()), (status, code), "{id}: {answered:?}");
    }
    assert_eq!(send(json!(vec![good; 100])).status, 200);
}

#[test]
fn broadcast_reaches_the_channels_that_it_can() {
    let server = Server::start();
    let send = |channels: Value| {
        let body = json!({"channels": channels, "event": "e", "data": [1]}).to_string();
        server.post("/v1/apps/demo/broadcast", &body)
    };
    let all = send(json!(["kept-x", "kept-y"]));
    assert_eq!((all.status, statuses(&all)), (200, vec![200, 200]));
    assert_eq!(texts(&all.body["results"], "channel"), ["kept-x", "kept-y"]);
    let some = send(json!(["kept-x", "a b", "away", "kept-x", "kept-y"]));
    assert_eq!((some.status, statuses(&some)), (207, vec![200, 422, 503, 422, 200]), "P-24");
    let page = server.get("/v1/apps/demo/channels/kept-y/history");
    assert_eq!(texts(&page.body["publications"], "data"), ["[1]", "[1]"]);
    assert_eq!(send(json!([])).status, 422);
    assert_eq!(send(json!(vec!["a"; 101])).status, 413);
    assert_eq!(send(json!("a")).status, 422);
    let names: Vec<_> = (0..100).map(|number| format!("c{number}")).collect();
    assert_eq!(send(json!(names)).status, 200, "P-24");
}

#[test]
fn history_comes_in_pages_that_follow_each_other() {
    let server = Server::start();
    for number in 0..5 {
        let body = json!({"channel": "kept-h/1", "data": number}).to_string();
        assert_eq!(server.post("/v1/apps/demo/publish", &body).status, 200);
    }
    let path = "/v1/apps/demo/channels/kept-h%2F1/history";
    let first = server.get(&format!("{path}?limit=2")).body;
    assert_eq!(texts(&first["publications"], "data"), ["0", "1"]);
    assert_eq!((&first["more"], &first["complete"]), (&json!(true), &json!(true)));
    let last = first["publications"][1]["position"].as_str().unwrap();
    let rest = server.get(&format!("{path}?since={last}")).body;
    assert_eq!(texts(&rest["publications"], "data"), ["2", "3", "4"]);
    assert_eq!(
        (&rest["more"], &rest["head"]),
        (&json!(false), &rest["publications"][2]["position"])
    );
    let other = server.get(&format!("{path}?since=0000000000000000-1")).body;
    assert_eq!(other["complete"], false);
    for query in ["since=1", "limit=0", "limit=1001", "limit=x", "limit=1&limit=1", "before=1"] {
        let answered = server.get(&format!("{path}?{query}"));
        assert_eq!((answered.status, answered.code()), (422, "bad_message"), "{query}");
    }
}

#[test]
fn history_pages_are_bounded_in_bytes() {
    let server = Server::start();
    let body = json!({"channel": "kept-l", "data": "x".repeat(60_000)}).to_string();
    for _ in 0..20 {
        assert_eq!(server.post("/v1/apps/demo/publish", &body).status, 200);
    }
    let page = server.get("/v1/apps/demo/channels/kept-l/history");
    assert!(page.text.len() < 1_100_000);
    assert_eq!(
        (&page.body["more"], page.body["publications"][0]["id"].is_null()),
        (&json!(true), false)
    );
}

#[test]
fn unoccupied_channels_are_looked_at_and_not_listed() {
    let server = Server::start();
    let info = server.get("/v1/apps/demo/channels/nobody").body;
    assert_eq!(info, json!({"channel": "nobody", "subscriptions": 0, "users": null}));
    let info = server.get("/v1/apps/demo/channels/presence-a").body;
    assert_eq!(info["users"], 0);
    assert_eq!(
        server.get("/v1/apps/demo/channels?prefix=a&limit=5").body,
        json!({"channels": [], "more": false})
    );
    let members = server.get("/v1/apps/demo/channels/presence-a/presence").body;
    assert_eq!(members, json!({"channel": "presence-a", "members": []}));
    for (path, status) in [
        ("/v1/apps/demo/channels?prefix=%20", 422),
        ("/v1/apps/demo/channels/a%20b", 422),
        ("/v1/apps/demo/channels/%ff", 422),
        ("/v1/apps/other/channels", 401),
    ] {
        assert_eq!(server.get(path).status, status, "{path}");
    }
}

#[test]
fn disconnect_names_a_user_or_a_connection() {
    let server = Server::start();
    for (body, status) in [
        (r#"{"user":"anna"}"#, 200),
        (r#"{"connection":"1.2"}"#, 200),
        (r#"{"user":"anna","connection":null}"#, 200),
        ("{}", 422),
        (r#"{"user":"anna","connection":"1.2"}"#, 422),
        (r#"{"user":""}"#, 422),
        (r#"{"user":1}"#, 422),
        (r#"{"connection":"anna"}"#, 422),
        (r#"{"channel":"a"}"#, 422),
    ] {
        let answered = server.post("/v1/apps/demo/disconnect", body);
        assert_eq!(answered.status, status, "{body}: {answered:?}");
        if status == 200 {
            assert_eq!(answered.body, json!({"disconnected": 0}));
        }
    }
}

#[test]
fn same_key_is_carried_out_once() {
    let server = Server::start();
    let path = "/v1/apps/demo/publish";
    let header = "idempotency-key: k1\r\n";
    let body = r#"{"channel":"kept-i","data":1}"#;
    let first = server.post_with(path, header, body);
    let again = server.post_with(path, header, body);
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = server.post_with(path, header, r#"{"channel":"kept-i","data":2}"#);
    assert_eq!((other.status, other.code()), (409, "conflict"));
    let elsewhere = r#"{"channels":["kept-i"],"data":1}"#;
    let elsewhere = server.post_with("/v1/apps/demo/broadcast", header, elsewhere);
    assert_eq!(elsewhere.status, 409);
    let page = server.get("/v1/apps/demo/channels/kept-i/history");
    assert_eq!(page.body["publications"].as_array().unwrap().len(), 1);

    let field = r#"{"channel":"kept-i","data":3,"idempotency_key":"k2"}"#;
    let first = server.post(path, field);
    assert_eq!(server.post(path, field).text, first.text);
    let differ = server.post_with(path, header, field);
    assert_eq!((differ.status, differ.code()), (422, "bad_message"));
    for (id, key, status) in [
        ("255 characters", "k".repeat(255), 200),
        ("256 characters", "k".repeat(256), 422),
        ("none", String::new(), 422),
        ("not printable", String::from("\u{fc}"), 422),
    ] {
        let answered = server.post_with(path, &format!("idempotency-key: {key}\r\n"), body);
        assert_eq!(answered.status, status, "P-25 {id}: {answered:?}");
    }
    let twice = server.post_with(path, &header.repeat(2), body);
    assert_eq!(twice.status, 422);
    // What was refused is not kept.
    let away = r#"{"channel":"away","data":1,"idempotency_key":"k3"}"#;
    assert_eq!(server.post(path, away).status, 503);
    let body = away.replace("away", "back");
    assert_eq!(server.post(path, &body).status, 200);
}

#[test]
fn two_at_once_with_one_key_are_carried_out_once() {
    let server = Server::start();
    let body = r#"{"channel":"kept-late","data":1,"idempotency_key":"k"}"#;
    let mut texts = BTreeSet::new();
    std::thread::scope(|scope| {
        let requests = [(); 4].map(|()| scope.spawn(|| server.post("/v1/apps/demo/publish", body)));
        for request in requests {
            let answered = request.join().unwrap();
            assert_eq!(answered.status, 200, "P-25: {answered:?}");
            texts.insert(answered.text);
        }
    });
    assert_eq!(texts.len(), 1, "P-25");
}

#[test]
fn client_that_leaves_does_not_stop_a_publication() {
    use std::io::Write as _;

    let server = Server::start();
    let body = r#"{"messages":[{"channel":"kept-late","data":1},{"channel":"kept-late","data":2}],
                  "idempotency_key":"k"}"#;
    let mut socket = server.connect();
    socket.write_all(server.request("/v1/apps/demo/batch", "", body).as_bytes()).unwrap();
    drop(socket);
    let again = server.post("/v1/apps/demo/batch", body);
    assert_eq!(again.status, 200, "P-30");
    let page = server.get("/v1/apps/demo/channels/kept-late/history").body;
    assert_eq!(texts(&page["publications"], "data"), ["1", "2"], "P-30");
}

#[test]
fn document_is_served_to_everybody() {
    let server = Server::start();
    let answered = server.raw("GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!((answered.status, &answered.body["openapi"]), (200, &json!("3.1.0")));
    let head = server.raw("POST /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!((head.status, head.header("allow")), (405, Some("get, head")));
}
