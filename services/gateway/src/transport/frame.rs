//! Server frames as bytes: RFC 6455, section 5.2, unmasked, one frame a message.

use bytes::Bytes;
use protocol::Frame;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

pub(crate) const PING: &[u8] = &[0x89, 0x00];

pub(crate) fn append(out: &mut Vec<u8>, frame: &Frame) {
    let opcode = match frame {
        Frame::Text(_) => TEXT,
        Frame::Binary(_) => BINARY,
    };
    append_raw(out, opcode, frame.as_bytes());
}

pub(crate) fn append_close(out: &mut Vec<u8>, code: u16, text: &str) {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(text.as_bytes());
    append_raw(out, CLOSE, &payload);
}

fn append_raw(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(opcode);
    match payload.len() {
        short @ 0..=125 => out.push(short as u8),
        medium @ 126..=65_535 => {
            out.push(126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// The end of the frame that byte `at` of `frames` lies in, or `at` itself if one begins there.
/// `frames` is whole frames as [`append`] writes them.
pub(crate) fn boundary(frames: &Bytes, at: usize) -> usize {
    let mut begin = 0;
    while begin < at {
        let (header, payload) = match frames[begin + 1] {
            126 => (4, usize::from(u16::from_be_bytes([frames[begin + 2], frames[begin + 3]]))),
            127 => {
                let length = frames[begin + 2..begin + 10].try_into().expect("eight bytes");
                (10, u64::from_be_bytes(length) as usize)
            }
            short => (2, usize::from(short)),
        };
        begin += header + payload;
    }
    begin
}
