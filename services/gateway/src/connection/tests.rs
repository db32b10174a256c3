//! Frames in, however the network cuts them, and frames out, however little the network takes.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use model::CloseReason;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::Frame;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::assembly::{Assembly, FrameLimits, Incoming, SpareContext};
use super::outbox::{Outbox, Sent};
use super::scanner::{Scanner, Seen};
use crate::transport::{Transport, frame};

const LIMITS: FrameLimits =
    FrameLimits { frame_bytes_max: 4096, message_bytes_max: 8192, fragments_max: 8 };

/// One frame of a client.
#[derive(Clone, Debug)]
struct ClientFrame {
    first: u8,
    payload: Vec<u8>,
    mask: [u8; 4],
}

impl ClientFrame {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.first];
        match self.payload.len() {
            short @ 0..=125 => bytes.push(0x80 | short as u8),
            medium => {
                bytes.push(0x80 | 126);
                bytes.extend((medium as u16).to_be_bytes());
            }
        }
        bytes.extend(self.mask);
        let masked = self.payload.iter().zip(self.mask.iter().cycle());
        bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn is_control(&self) -> bool {
        self.first & 0x08 != 0
    }

    fn is_last(&self) -> bool {
        self.first & 0x80 != 0
    }
}

/// A message in fragments, with pings and pongs between them.
fn message() -> impl Strategy<Value = Vec<ClientFrame>> {
    let control = (any::<bool>(), vec(any::<u8>(), 0..126), any::<[u8; 4]>());
    let fragment = (vec(any::<u8>(), 0..600), any::<[u8; 4]>(), proptest::option::of(control));
    vec(fragment, 1..6).prop_map(|fragments| {
        let (mut frames, last) = (Vec::new(), fragments.len() - 1);
        for (number, (payload, mask, control)) in fragments.into_iter().enumerate() {
            let opcode = if number == 0 { 0x02 } else { 0x00 };
            let end = if number == last { 0x80 } else { 0x00 };
            frames.push(ClientFrame { first: opcode | end, payload, mask });
            frames.extend(control.map(|(is_ping, payload, mask)| {
                let first = if is_ping { 0x89 } else { 0x8a };
                ClientFrame { first, payload, mask }
            }));
        }
        frames
    })
}

fn stream() -> impl Strategy<Value = Vec<ClientFrame>> {
    vec(message(), 1..8).prop_map(|messages| messages.concat())
}

/// Where the network cuts.
fn pieces(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    vec(any::<prop::sample::Index>(), 0..40)
}

/// What came out: messages in order, the bytes of the answers, and how it ended.
type Outcome = (Vec<Bytes>, Vec<u8>, Option<CloseReason>);

/// By our way: contexts come and go at boundaries.
fn assembled(pieces: &[Vec<u8>]) -> Outcome {
    let (mut assembly, mut spare) = (Assembly::default(), SpareContext::default());
    let (mut messages, mut answers) = (Vec::new(), Vec::new());
    for piece in pieces {
        let (fed, error) = assembly.feed(piece, LIMITS, &mut spare, |_| Ok(()));
        answers.extend(fed.output);
        for incoming in fed.incoming {
            match incoming {
                Incoming::Frame(Frame::Text(text)) => messages.push(text.as_bytes().clone()),
                Incoming::Frame(Frame::Binary(bytes)) => messages.push(bytes),
                Incoming::Control { .. } => {}
                Incoming::Close => return (messages, answers, Some(CloseReason::ClientClosed)),
            }
        }
        if error.is_some() {
            return (messages, answers, error);
        }
    }
    (messages, answers, None)
}

/// By the library's: one context, all at once.
fn by_the_book(bytes: &[u8]) -> Outcome {
    #[expect(clippy::disallowed_methods, reason = "what ours is compared with")]
    let mut context = {
        let config = WebSocketConfig::default()
            .max_message_size(Some(LIMITS.message_bytes_max))
            .max_frame_size(Some(LIMITS.frame_bytes_max));
        WebSocketContext::new(Role::Server, Some(config))
    };
    let mut wire = Wire { input: bytes, output: Vec::new() };
    let mut messages = Vec::new();
    let end = loop {
        match context.read(&mut wire) {
            Ok(Message::Text(text)) => messages.push(Bytes::from(text)),
            Ok(Message::Binary(bytes)) => messages.push(bytes),
            Ok(Message::Close(_)) => break Some(CloseReason::ClientClosed),
            Ok(_) => {}
            Err(Error::Io(_)) => break None,
            Err(Error::Capacity(_)) => break Some(CloseReason::MessageTooBig),
            Err(Error::Utf8(_)) => break Some(CloseReason::InvalidText),
            Err(_) => break Some(CloseReason::ProtocolViolation),
        }
    };
    let _ = context.flush(&mut wire);
    (messages, wire.output, end)
}

struct Wire<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            self.input.read(buffer)
        }
    }
}

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn messages_agree_with_the_library_wherever_the_network_cuts(frames in stream(), cuts in cuts()) {
        let bytes: Vec<u8> = frames.iter().flat_map(ClientFrame::bytes).collect();
        let (messages, _, end) = assembled(&pieces(&bytes, &cuts));
        let (expected, _, expected_end) = by_the_book(&bytes);
        prop_assert_eq!(end, expected_end);
        prop_assert_eq!(messages, expected);
    }

    /// Of bytes that are no frames, too: the same messages before the same end.
    #[test]
    fn faults_agree_with_the_library_wherever_the_network_cuts(
        frames in stream(),
        at in any::<prop::sample::Index>(),
        noise in vec(any::<u8>(), 1..40),
        cuts in cuts(),
    ) {
        let mut bytes: Vec<u8> = frames.iter().flat_map(ClientFrame::bytes).collect();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + noise.len()).min(bytes.len()), noise);
        let (messages, _, end) = assembled(&pieces(&bytes, &cuts));
        let (expected, _, expected_end) = by_the_book(&bytes);
        // A bound on fragments is ours alone, and it comes first.
        if end != Some(CloseReason::MessageTooSlow) {
            prop_assert_eq!(end, expected_end);
            prop_assert_eq!(messages, expected);
        }
    }

    #[test]
    fn the_scanner_knows_boundaries_and_fragments(frames in stream(), cuts in cuts()) {
        let (mut bytes, mut boundaries, mut expected) = (Vec::new(), vec![0], Vec::new());
        let mut fragment = 0;
        for sent in &frames {
            bytes.extend(sent.bytes());
            if sent.is_control() {
                expected.push(Seen::Control);
            } else {
                fragment += 1;
                expected.push(Seen::Data { fragment });
                if sent.is_last() {
                    fragment = 0;
                }
            }
            if fragment == 0 {
                boundaries.push(bytes.len());
            }
        }
        let (mut scanner, mut seen, mut at) = (Scanner::default(), Vec::new(), 0);
        for piece in pieces(&bytes, &cuts) {
            let (usable, refused) = scanner.scan(&piece, |frame| {
                seen.push(frame);
                Ok::<_, ()>(())
            });
            prop_assert_eq!((usable, refused), (piece.len(), None));
            at += piece.len();
            prop_assert_eq!(scanner.at_boundary(), boundaries.contains(&at), "at {}", at);
        }
        prop_assert_eq!(seen, expected);
    }

    /// What is handed to the library ends before the frame that was refused.
    #[test]
    fn a_refused_frame_is_not_handed_on(frames in stream(), which in any::<prop::sample::Index>()) {
        let bytes: Vec<u8> = frames.iter().flat_map(ClientFrame::bytes).collect();
        let which = which.index(frames.len());
        let before: usize = frames[..which].iter().map(|sent| sent.bytes().len()).sum();
        let (mut scanner, mut count) = (Scanner::default(), 0);
        let (usable, refused) = scanner.scan(&bytes, |_| {
            count += 1;
            if count > which { Err(()) } else { Ok(()) }
        });
        prop_assert_eq!((usable, refused), (before, Some(())));
    }

    #[test]
    fn a_boundary_is_the_end_of_the_frame_that_was_begun(
        sizes in vec(prop_oneof![0..200_usize, 65_500..65_600_usize], 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        let (mut frames, mut ends) = (Vec::new(), vec![0]);
        for size in sizes {
            frame::append(&mut frames, &Frame::Binary(Bytes::from(vec![0x81; size])));
            ends.push(frames.len());
        }
        let at = at.index(frames.len() + 1);
        let expected = ends.iter().find(|end| **end >= at).copied();
        prop_assert_eq!(Some(frame::boundary(&Bytes::from(frames), at)), expected);
    }
}

/// The two ends of a socket that holds little.
async fn narrow() -> (Transport, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpSocket::new_v4().expect("a socket");
    client.set_recv_buffer_size(4096).expect("set");
    let client = client.connect(listener.local_addr().expect("bound"));
    let (client, accepted) = tokio::join!(client, listener.accept());
    let (server, _) = accepted.expect("accepted");
    socket2::SockRef::from(&server).set_send_buffer_size(4096).expect("set");
    (Transport::plain(server), client.expect("connected"))
}

fn framed(byte: u8, bytes: usize) -> Bytes {
    let mut out = Vec::new();
    frame::append(&mut out, &Frame::Binary(Bytes::from(vec![byte; bytes])));
    out.into()
}

/// Fills the socket; gives what was sent, the last of it cut off by the full socket.
fn fill(outbox: &mut Outbox, transport: &Transport) -> Vec<Bytes> {
    let mut sent = Vec::new();
    for byte in 0..200 {
        let frames = [framed(byte, 3_000), framed(byte, 10)].concat();
        let frames = Bytes::from(frames);
        sent.push(frames.clone());
        if outbox.send(Some(transport), &frames, || frames.clone()) == Sent::Queued {
            return sent;
        }
    }
    panic!("the socket takes everything");
}

/// Reads while the outbox is flushed, until `bytes` have come and nothing waits.
async fn drain(outbox: &mut Outbox, transport: &Transport, client: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        let flushed = outbox.flush(transport);
        assert_ne!(flushed, Sent::Gone);
        let read = tokio::time::timeout(
            Duration::from_millis(200),
            tokio::io::AsyncReadExt::read_buf(client, &mut got),
        );
        match read.await {
            Ok(read) => assert_ne!(read.expect("read"), 0, "ended"),
            Err(_) if flushed == Sent::All => return got,
            Err(_) => {}
        }
    }
}

#[tokio::test]
async fn a_queue_keeps_its_order_and_loses_nothing() {
    let (transport, mut client) = narrow().await;
    let mut outbox = Outbox::default();
    let mut sent = fill(&mut outbox, &transport);
    for byte in 200..220 {
        let frames = framed(byte, 500);
        assert_eq!(outbox.send(Some(&transport), &frames, || frames.clone()), Sent::Queued);
        sent.push(frames);
    }
    assert!(!outbox.is_empty());
    let got = drain(&mut outbox, &transport, &mut client).await;
    assert!(got == sent.concat(), "what came is not what was sent");
    assert!(outbox.is_empty());
    assert_eq!(outbox.bytes(), 0);
}

/// After a cut, what follows begins at a frame: the close frame can be read.
#[tokio::test]
async fn a_cut_leaves_whole_frames() {
    let (transport, mut client) = narrow().await;
    let mut outbox = Outbox::default();
    // No socket takes the large one at once, so that is where it is cut.
    let (small, large) = (framed(1, 10), framed(2, 1 << 20));
    let item = Bytes::from([&small[..], &large[..], &small[..]].concat());
    assert_eq!(outbox.send(Some(&transport), &item, || item.clone()), Sent::Queued);
    for byte in 3..20 {
        let frames = framed(byte, 500);
        assert_eq!(outbox.send(Some(&transport), &frames, || frames.clone()), Sent::Queued);
    }
    outbox.cut();
    let close = framed(255, 3);
    outbox.send(Some(&transport), &close, || close.clone());
    let got = drain(&mut outbox, &transport, &mut client).await;
    let expected = [&small[..], &large[..], &close[..]].concat();
    assert!(got == expected, "{} bytes came, expected {}", got.len(), expected.len());
}

#[tokio::test]
async fn a_cut_of_nothing_is_nothing() {
    let mut outbox = Outbox::default();
    outbox.cut();
    assert!(outbox.is_empty());
    let frames = framed(1, 10);
    outbox.send(None, &frames, || frames.clone());
    outbox.cut();
    assert!(outbox.is_empty(), "a frame of which nothing was written is dropped");
    assert_eq!(outbox.bytes(), 0);
}
