//! Lines are frames of one Pusher conversation: none may panic, and every answer is JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{ConnectionId, ServerMessage};
use protocol::{DecodeError, Frame, Handshake, Inbound, Outbound, Protocol, pusher::Pusher};

fuzz_target!(|text: &str| {
    let handshake =
        Handshake { path: "/app/key", query: "protocol=7", connection: ConnectionId(7) };
    let mut codec = Pusher.accept(&handshake).expect("a good address").codec;
    for line in text.lines() {
        let mut inbound = Inbound::default();
        let mut outbound = Outbound::default();
        match codec.decode(Frame::text(line), &mut inbound) {
            Ok(()) => {}
            Err(DecodeError::Close(_)) => return,
            Err(DecodeError::Refused { channel, refusal }) => {
                let refused =
                    ServerMessage::Refused { id: None, verb: "message", channel, refusal };
                codec.encode(&refused, &mut outbound);
            }
        }
        for frame in inbound.replies.iter().chain(&outbound.frames) {
            serde_json::from_slice::<serde_json::Value>(frame.as_bytes()).expect("JSON");
        }
    }
});
