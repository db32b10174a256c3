//! A handshake that asks for many last values gets them all: they are no sign of a slow client.

use std::time::Duration;

use tests::pusher_api::PusherApi;
use tests::{Client, Gateway};

#[tokio::test]
async fn last_values_beyond_the_queue_close_nobody() {
    const CHANNELS: usize = 60;
    const VALUE_BYTES: usize = 9_500;
    let gateway = Gateway::demo().expect("a gateway");
    let api = PusherApi::demo(gateway.address());
    let value = "v".repeat(VALUE_BYTES);
    let mut path = String::from("/a/demo/raw?key=demokey");
    for number in 0..CHANNELS {
        let channel = format!("cache-{number}");
        api.trigger(&channel, "tick", &value).await.expect("accepted");
        path += &format!("&channel={channel}");
    }

    let mut client = Client::connect(&gateway.url(&path)).await.expect("connected");

    for _ in 0..CHANNELS {
        assert_eq!(client.text().await.expect("a last value").len(), VALUE_BYTES);
    }
    assert!(client.is_silent(Duration::from_millis(100)).await, "and nothing else, no close");
}
