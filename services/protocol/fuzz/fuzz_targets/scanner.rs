//! The gateway's frame scanner against tungstenite: whatever the bytes and however they are cut, as
//! long as the library has no objection both agree on what is open.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

// The scanner alone: the gateway as a whole would be built with the sanitizer otherwise.
#[allow(dead_code, reason = "the gateway uses all of it")]
#[path = "../../../gateway/src/connection/scanner.rs"]
mod scanner;

struct Input<'a>(&'a [u8]);

impl io::Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
    }
}

impl io::Write for Input<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let config = WebSocketConfig::default().read_buffer_size(4096).max_frame_size(Some(4096));
    let mut library = WebSocketContext::new(Role::Server, Some(config));
    let mut scanner = scanner::Scanner::default();
    for piece in stream.chunks(usize::from(cut).max(1)) {
        let before = scanner.clone();
        let (used, refused) = scanner.scan(piece, |_| Ok::<(), ()>(()));
        assert_eq!((used, refused), (piece.len(), None), "a scanner that refuses nothing takes all");

        // Byte by byte or at once, the scanner stands in the same place.
        let mut slowly = before;
        for byte in piece.chunks(1) {
            slowly.scan(byte, |_| Ok::<(), ()>(()));
        }
        assert_eq!(slowly.at_boundary(), scanner.at_boundary());

        let mut input = Input(piece);
        loop {
            match library.read(&mut input) {
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed) => return,
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
    }
    // At a boundary the library holds nothing back: a fresh context would go on just as well.
    if scanner.at_boundary() && library.can_read() {
        let mut fresh = WebSocketContext::new(Role::Server, Some(config));
        let ping = [0x89, 0x80, 0, 0, 0, 0];
        assert!(matches!(library.read(&mut Input(&ping)), Ok(Message::Ping(_))));
        assert!(matches!(fresh.read(&mut Input(&ping)), Ok(Message::Ping(_))));
    }
});
