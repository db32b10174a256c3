//! How a connection ends: the last words, a half-close, a little patience, and the socket is gone.

use std::future::{Future, poll_fn};
use std::io;
use std::time::Duration;

use bytes::Bytes;
use protocol::Farewell;

use crate::connection::outbox::{Outbox, Sent};
use crate::transport::{Transport, frame};

/// How long a client may take to take our last words, and then to hang up.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a client may still be sending: read and thrown away, since a socket closed on unread bytes
/// is reset, and the reset overtakes our last words.
const DISCARD_BYTES_MAX: usize = 128 * 1024;

/// Whole frames: what the dialect says before closing, and the close frame.
pub(super) fn last_words(farewell: &Farewell) -> Bytes {
    let mut bytes = Vec::new();
    for said in &farewell.frames {
        frame::append(&mut bytes, said);
    }
    frame::append_close(&mut bytes, farewell.code, farewell.text);
    bytes.into()
}

/// Says `words` after what is in the outbox and ends the stream. A client that does not read finds
/// them in its socket when it does, as far as the kernel holds them for us.
pub(super) async fn end(transport: &Transport, mut outbox: Outbox, words: Option<Bytes>) {
    transport.begin_close();
    if let Some(words) = words {
        let _ = outbox.send(Some(transport), &words, || words.clone());
    }
    within(async {
        while outbox.flush(transport) == Sent::Queued {
            if poll_fn(|cx| transport.poll_writable(cx)).await.is_err() {
                break;
            }
        }
    })
    .await;
    transport.shut_write();
    within(discard(transport)).await;
}

async fn discard(transport: &Transport) {
    let mut buffer = vec![0; 4096];
    let mut left = DISCARD_BYTES_MAX;
    while left > 0 {
        match transport.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => left = left.saturating_sub(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if poll_fn(|cx| transport.poll_readable(cx)).await.is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
}

async fn within(work: impl Future<Output = ()>) {
    // Running out of patience is one of the two expected ends.
    let _ = tokio::time::timeout(PATIENCE, work).await;
}
