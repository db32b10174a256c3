//! Which requests the table knows.

use hyper::Method;

use crate::http::api::routes::{NotFound, Operation, find};

#[test]
fn each_path_and_method_has_its_operation_or_none() {
    let cases: [(Method, &str, Result<Operation, NotFound>); 24] = [
        (Method::POST, "/v1/apps/demo/publish", Ok(Operation::Publish)),
        (Method::POST, "/v1/apps/demo/batch", Ok(Operation::Batch)),
        (Method::POST, "/v1/apps/demo/broadcast", Ok(Operation::Broadcast)),
        (Method::POST, "/v1/apps/demo/disconnect", Ok(Operation::Disconnect)),
        (Method::GET, "/v1/apps/demo/channels", Ok(Operation::Channels)),
        (Method::HEAD, "/v1/apps/demo/channels", Ok(Operation::Channels)),
        (Method::GET, "/v1/apps/demo/channels/a%2Fb", Ok(Operation::Channel)),
        (Method::GET, "/v1/apps/demo/channels/a/presence", Ok(Operation::Presence)),
        (Method::GET, "/v1/apps/demo/channels/a/history", Ok(Operation::History)),
        (Method::GET, "/v1/openapi.json", Ok(Operation::Document)),
        (Method::GET, "/v1/apps/demo/publish", Err(NotFound::Method("POST"))),
        (Method::OPTIONS, "/v1/apps/demo/publish", Err(NotFound::Method("POST"))),
        (Method::DELETE, "/v1/apps/demo/channels/a", Err(NotFound::Method("GET, HEAD"))),
        (Method::POST, "/v1/", Err(NotFound::Path)),
        (Method::POST, "/v1/apps/demo/publish/", Err(NotFound::Path)),
        (Method::POST, "/v1/apps/demo/publish.", Err(NotFound::Path)),
        (Method::POST, "/v1/apps/demo//publish", Err(NotFound::Path)),
        (Method::POST, "/v1//apps/demo/publish", Err(NotFound::Path)),
        (Method::POST, "/v1/apps/%2e%2e/publish", Err(NotFound::Path)),
        (Method::POST, "/v1/apps/demo/%70ublish", Err(NotFound::Path)),
        (Method::POST, "/v1/apps/Demo/publish", Err(NotFound::Path)),
        (Method::GET, "/v1/apps/demo/channels/", Err(NotFound::Path)),
        (Method::GET, "/v1/apps/demo/channels/%2e%2e", Err(NotFound::Path)),
        (Method::GET, "/v1/apps/demo/channels/./history", Err(NotFound::Path)),
    ];
    for (method, path, expected) in cases {
        let found = find(&method, path).map(|found| found.operation);
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn names_in_the_path_are_captured_as_sent() {
    let found = find(&Method::GET, "/v1/apps/demo/channels/a%2Fb/history").unwrap();
    assert_eq!(found.app.unwrap().as_str(), "demo");
    assert_eq!(found.channel, Some("a%2Fb"));
}
