//! RFC 6455 frames as a client sees them: a scanner for what servers send and an encoder for what
//! clients send. It validates only what it needs to find the next frame.

use std::fmt;

/// A server that claims more than this in one message is broken or not under test.
pub(super) const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The code that stands for a close frame without a code.
pub(super) const NO_STATUS: u16 = 1005;

const CONTROL_BYTES_MAX: usize = 125;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A whole message, text or binary, fragments joined.
    Message(&'a [u8]),
    /// To be answered by `pong` with the same bytes.
    Ping(&'a [u8]),
    Pong,
    Close(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Violation {
    Masked,
    ReservedBits,
    Opcode,
    Control,
    Fragment,
    TooLarge,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Masked => "the server masked a frame",
            Self::ReservedBits => "the server set reserved bits (no extension was asked for)",
            Self::Opcode => "the server sent an unknown opcode",
            Self::Control => "the server sent a fragmented or oversized control frame",
            Self::Fragment => "the server's fragments do not form a message",
            Self::TooLarge => "the server sent a message over 32 MiB",
        })
    }
}

/// What one read left unfinished. A connection has one only while it needs it.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// Bytes of a frame, or of the handshake's answer, that is not complete yet.
    pub(super) bytes: Vec<u8>,
    message: Vec<u8>,
    assembling: bool,
}

/// Calls `on` for every event in `input`, which continues what `partial` holds.
pub(super) fn scan(
    partial: &mut Option<Box<Partial>>,
    input: &[u8],
    mut on: impl FnMut(Event<'_>),
) -> Result<(), Violation> {
    let mut joined = partial.as_mut().map(|held| std::mem::take(&mut held.bytes));
    let mut rest = match &mut joined {
        Some(held) if !held.is_empty() => {
            held.extend_from_slice(input);
            held.as_slice()
        }
        _ => input,
    };
    while let Some(frame) = Frame::parse(rest)? {
        rest = &rest[frame.length..];
        deliver(partial, &frame, &mut on)?;
    }
    if !rest.is_empty() {
        partial.get_or_insert_default().bytes = rest.to_vec();
    } else if partial.as_ref().is_some_and(|held| !held.assembling) {
        *partial = None;
    }
    Ok(())
}

/// Appends a masked text frame.
pub(super) fn encode_text(out: &mut Vec<u8>, payload: &[u8], mask: u32) {
    encode(out, 0x81, payload, mask);
}

/// Appends the masked answer to a ping.
pub(super) fn encode_pong(out: &mut Vec<u8>, payload: &[u8], mask: u32) {
    encode(out, 0x8a, payload, mask);
}

/// Bytes of an unmasked frame as a server sends it.
pub(super) const fn server_frame_bytes(payload_bytes: usize) -> usize {
    payload_bytes
        + match payload_bytes {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        }
}

fn encode(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: u32) {
    const MASKED: u8 = 0x80;
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    let mask = mask.to_be_bytes();
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

struct Frame<'a> {
    last: bool,
    opcode: u8,
    payload: &'a [u8],
    /// Header and payload.
    length: usize,
}

impl<'a> Frame<'a> {
    /// The first frame of `bytes`; `None` when it is not complete.
    fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        if second & 0x80 != 0 {
            return Err(Violation::Masked);
        }
        let (header, size) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                Some(size) => (4, u64::from(u16::from_be_bytes(*size))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(size) => (10, u64::from_be_bytes(*size)),
                None => return Ok(None),
            },
            short => (2, u64::from(short)),
        };
        let size = usize::try_from(size).map_err(|_| Violation::TooLarge)?;
        if size > MESSAGE_BYTES_MAX {
            return Err(Violation::TooLarge);
        }
        let Some(payload) = bytes.get(header..header + size) else { return Ok(None) };
        Ok(Some(Self {
            last: first & 0x80 != 0,
            opcode: first & 0x0f,
            payload,
            length: header + size,
        }))
    }
}

fn deliver(
    partial: &mut Option<Box<Partial>>,
    frame: &Frame<'_>,
    on: &mut impl FnMut(Event<'_>),
) -> Result<(), Violation> {
    let assembling = partial.as_ref().is_some_and(|held| held.assembling);
    if frame.opcode >= 8 && (!frame.last || frame.payload.len() > CONTROL_BYTES_MAX) {
        return Err(Violation::Control);
    }
    match frame.opcode {
        1 | 2 if assembling => return Err(Violation::Fragment),
        1 | 2 if frame.last => on(Event::Message(frame.payload)),
        1 | 2 => {
            let held = partial.get_or_insert_default();
            held.assembling = true;
            held.message.extend_from_slice(frame.payload);
        }
        0 => match partial {
            Some(held) if held.assembling => {
                if held.message.len() + frame.payload.len() > MESSAGE_BYTES_MAX {
                    return Err(Violation::TooLarge);
                }
                held.message.extend_from_slice(frame.payload);
                if frame.last {
                    held.assembling = false;
                    on(Event::Message(&std::mem::take(&mut held.message)));
                }
            }
            _ => return Err(Violation::Fragment),
        },
        8 => on(Event::Close(
            frame.payload.first_chunk().map_or(NO_STATUS, |code| u16::from_be_bytes(*code)),
        )),
        9 => on(Event::Ping(frame.payload)),
        10 => on(Event::Pong),
        _ => return Err(Violation::Opcode),
    }
    Ok(())
}
