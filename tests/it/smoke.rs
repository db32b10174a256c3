//! The shortest way from a publisher to a subscriber, in each dialect.

use tests::{Client, Gateway};

#[tokio::test]
async fn a_raw_publication_reaches_raw_and_pusher_subscribers() {
    let gateway = Gateway::demo().expect("a gateway");
    let url = gateway.url("/a/demo/raw?key=demokey&channel=lobby");
    let mut raw = Client::connect(&url).await.expect("a raw subscriber");
    let url = gateway.url("/app/demokey?protocol=7");
    let (mut pusher, _) = Client::pusher(&url).await.expect("a Pusher client");
    pusher.subscribe("lobby", "").await.expect("a subscription");
    let url = gateway.url("/a/demo/raw?key=demokey&publish=lobby");
    let mut publisher = Client::connect(&url).await.expect("a publisher");

    publisher.send_text("hello").await.expect("sent");

    assert_eq!(raw.text().await.expect("a message"), "hello");
    let message = pusher.event("message").await.expect("a message");
    assert_eq!(
        (message["channel"].as_str(), message["data"].as_str()),
        (Some("lobby"), Some("hello"))
    );
}
