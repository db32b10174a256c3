//! Bytes of a client to whole messages. tungstenite judges and assembles; its context lives only
//! while a frame or a message is open, so that an idle connection keeps no buffer.

use std::io;

use bytes::Bytes;
use model::{CloseReason, Text};
use protocol::Frame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::connection::scanner::{Scanner, Seen};

/// What one connection may send. Every field is a bound with a name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameLimits {
    pub(crate) frame_bytes_max: usize,
    pub(crate) message_bytes_max: usize,
    pub(crate) fragments_max: u32,
}

/// What came out of the bytes of one read, in order.
#[derive(Debug)]
pub(crate) enum Incoming {
    Frame(Frame),
    /// A ping or pong; what answers it ends here in the output.
    Control {
        answered: usize,
    },
    /// The client's close frame; it has been answered.
    Close,
}

/// A message in the making.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    scanner: Scanner,
    context: Option<Box<WebSocketContext>>,
}

/// A context without a message in it, kept by a shard for whoever reads next: most reads begin
/// and end between messages, and need no allocation then.
#[derive(Debug, Default)]
pub(crate) struct SpareContext(Option<(FrameLimits, Box<WebSocketContext>)>);

impl Assembly {
    /// Whether nothing is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.scanner.at_boundary()
    }

    /// Feeds `input`; `judge` charges each frame. The reason, if there is one, ends the connection
    /// after what was made before it; then nothing more may be fed.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        limits: FrameLimits,
        spare: &mut SpareContext,
        mut judge: impl FnMut(Seen) -> Result<(), CloseReason>,
    ) -> (Fed, Option<CloseReason>) {
        let (usable, refused) = self.scanner.scan(input, |seen| match seen {
            Seen::Data { fragment } if fragment > limits.fragments_max => {
                Err(CloseReason::MessageTooSlow)
            }
            _ => judge(seen),
        });
        let mut fed = Fed::default();
        let mut context = self.context.take().unwrap_or_else(|| spare.take(limits));
        let mut stream = Stream { input: &input[..usable], output: &mut fed.output };
        let drained = drain(&mut context, &mut stream, &mut fed.incoming);
        if let Some(reason) = drained.err().or(refused) {
            return (fed, Some(reason));
        }
        // After a close handshake a context serves nobody any more.
        if context.can_read() {
            if self.scanner.at_boundary() {
                spare.put(limits, context);
            } else {
                self.context = Some(context);
            }
        }
        (fed, None)
    }
}

/// What [`Assembly::feed`] makes: messages, and what must be answered (pongs, the echo of a close).
#[derive(Debug, Default)]
pub(crate) struct Fed {
    pub(crate) incoming: Vec<Incoming>,
    pub(crate) output: Vec<u8>,
}

fn drain(
    context: &mut WebSocketContext,
    stream: &mut Stream<'_>,
    incoming: &mut Vec<Incoming>,
) -> Result<(), CloseReason> {
    loop {
        let item = match context.read(stream) {
            // Payloads are slices of the read buffer and would pin it: they are copied out.
            Ok(Message::Text(text)) => Incoming::Frame(Frame::Text(Text::from(text.as_str()))),
            Ok(Message::Binary(bytes)) => {
                Incoming::Frame(Frame::Binary(Bytes::copy_from_slice(&bytes)))
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {
                let _ = context.flush(stream);
                Incoming::Control { answered: stream.output.len() }
            }
            Ok(Message::Close(_)) => {
                incoming.push(Incoming::Close);
                // Writes the echo; the error it gives says only that the handshake is complete.
                let _ = context.flush(stream);
                return Ok(());
            }
            Ok(Message::Frame(_)) => continue,
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                let _ = context.flush(stream);
                return Ok(());
            }
            Err(error) => return Err(reason(&error)),
        };
        incoming.push(item);
    }
}

/// What RFC 6455, section 7.4.1, calls each fault; the library itself would just cut the socket.
fn reason(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(_) => CloseReason::MessageTooBig,
        Error::Utf8(_) => CloseReason::InvalidText,
        Error::ConnectionClosed | Error::AlreadyClosed => CloseReason::ClientClosed,
        _ => CloseReason::ProtocolViolation,
    }
}

impl SpareContext {
    fn take(&mut self, limits: FrameLimits) -> Box<WebSocketContext> {
        match self.0.take() {
            Some((of, context)) if of == limits => context,
            _ => new_context(limits),
        }
    }

    fn put(&mut self, limits: FrameLimits, context: Box<WebSocketContext>) {
        self.0 = Some((limits, context));
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where contexts are made, with limits")]
fn new_context(limits: FrameLimits) -> Box<WebSocketContext> {
    const READ_BUFFER_BYTES: usize = 4096;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        // Only control frames are written through it, into a buffer of ours that takes all.
        .max_write_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(limits.message_bytes_max))
        .max_frame_size(Some(limits.frame_bytes_max));
    Box::new(WebSocketContext::new(Role::Server, Some(config)))
}

/// The bytes of one read, and where answers go.
struct Stream<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl io::Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl io::Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
