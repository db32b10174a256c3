//! The first line is an address, the rest a frame: neither may panic in any dialect.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::ConnectionId;
use protocol::{Frame, Handshake, Inbound, PROTOCOLS};

fuzz_target!(|text: &str| {
    let (address, frame) = text.split_once('\n').unwrap_or((text, ""));
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let handshake = Handshake { path, query, connection: ConnectionId(7) };
    for protocol in PROTOCOLS {
        let Some(mut accepted) = protocol.accept(&handshake) else { continue };
        for frame in [Frame::text(frame), Frame::Binary(Bytes::copy_from_slice(frame.as_bytes()))] {
            // Whatever it makes of it.
            drop(accepted.codec.decode(frame, &mut Inbound::default()));
        }
    }
});
