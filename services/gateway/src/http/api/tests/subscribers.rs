//! What the API says of, and does to, clients that are there.

use std::net::TcpStream;

use ring::hmac;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::server::Server;

/// A Pusher client.
struct Client {
    socket: WebSocket<TcpStream>,
    id: String,
}

impl Client {
    fn connect(server: &Server) -> Self {
        let url = format!("ws://{}/app/demo-key?protocol=7", server.address);
        let (socket, _) = tungstenite::client(url, server.connect()).unwrap();
        let mut client = Self { socket, id: String::new() };
        let established = client.next("pusher:connection_established").unwrap();
        let data: Value = serde_json::from_str(established["data"].as_str().unwrap()).unwrap();
        client.id = String::from(data["socket_id"].as_str().unwrap());
        client
    }

    fn subscribe_as(&mut self, channel: &str, user: &str) {
        let channel_data = json!({"user_id": user, "user_info": {"n": 1}}).to_string();
        let signed = format!("{}:{channel}:{channel_data}", self.id);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
        let tag = hmac::sign(&secret, signed.as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let data = json!({"channel": channel, "auth": format!("demo-key:{hex}"),
                          "channel_data": channel_data});
        let message = json!({"event": "pusher:subscribe", "data": data}).to_string();
        self.socket.send(Message::text(message)).unwrap();
        self.next("pusher_internal:subscription_succeeded").unwrap();
    }

    /// The next message of this event; `None` once the gateway has closed the connection.
    fn next(&mut self, event: &str) -> Option<Value> {
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).unwrap(),
                Ok(_) => continue,
                Err(tungstenite::Error::ConnectionClosed) => return None,
                Err(error) => panic!("{error} instead of {event}"),
            };
            if message["event"] == event {
                return Some(message);
            }
        }
    }
}

#[test]
fn subscribers_are_seen_reached_and_disconnected() {
    let server = Server::start();
    let (mut anna, mut bob) = (Client::connect(&server), Client::connect(&server));
    anna.subscribe_as("presence-a", "anna");
    bob.subscribe_as("presence-a", "bob");
    bob.subscribe_as("presence-b", "bob");

    let path = "/v1/apps/demo/channels";
    let a = json!({"channel": "presence-a", "subscriptions": 2, "users": 2});
    let b = json!({"channel": "presence-b", "subscriptions": 1, "users": 1});
    assert_eq!(server.get(path).body, json!({"channels": [a, b], "more": false}));
    let limited = server.get(&format!("{path}?limit=1&prefix=presence-")).body;
    assert_eq!(limited, json!({"channels": [a], "more": true}));
    assert_eq!(server.get(&format!("{path}/presence-a")).body, a);
    let members = server.get(&format!("{path}/presence-a/presence")).body;
    let member = |user: &str| json!({"user": user, "info": {"n": 1}});
    assert_eq!(members["members"], json!([member("anna"), member("bob")]));

    let publish = |data: &str, exclude: &str| {
        let body = json!({"channel": "presence-a", "event": "e", "data": data, "exclude": exclude});
        assert_eq!(server.post("/v1/apps/demo/publish", &body.to_string()).status, 200);
    };
    publish("for bob", &anna.id);
    publish("for anna", &bob.id);
    publish("for both", "0.0");
    let next = |client: &mut Client| client.next("e").unwrap()["data"].clone();
    assert_eq!([next(&mut anna), next(&mut anna)], ["for anna", "for both"]);
    assert_eq!([next(&mut bob), next(&mut bob)], ["for bob", "for both"]);

    let disconnect = |body: Value| {
        let answered = server.post("/v1/apps/demo/disconnect", &body.to_string());
        (answered.status, answered.body)
    };
    let one = (200, json!({"disconnected": 1}));
    assert_eq!(disconnect(json!({"connection": bob.id})), one);
    assert_eq!(bob.next("none"), None);
    assert_eq!(anna.next("pusher_internal:member_removed").unwrap()["channel"], "presence-a");
}
