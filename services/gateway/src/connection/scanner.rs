//! Sees each frame header before the WebSocket library does: counts fragments and frames, knows
//! whether a message is open. Validity is the library's business; a wrong frame is only measured.
//! Frame layout: RFC 6455, section 5.2.

/// Where a connection stands in the stream of frames.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    header: [u8; 14],
    /// Header bytes that have come.
    have: u8,
    /// Payload bytes of the current frame still to come.
    payload: u64,
    /// Fragments of the open message so far; 0: none is open.
    fragments: u32,
}

/// A frame whose header is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Control,
    /// The n-th fragment of its message, counted from 1.
    Data {
        fragment: u32,
    },
}

impl Scanner {
    /// Whether no frame and no message is open: nothing need be remembered.
    pub fn at_boundary(&self) -> bool {
        self.have == 0 && self.payload == 0 && self.fragments == 0
    }

    /// Walks over `input` and shows each frame to `judge` as its header completes. Stops before the
    /// payload of a frame that `judge` refuses: the number is what may be handed to the library.
    pub fn scan<E>(
        &mut self,
        input: &[u8],
        mut judge: impl FnMut(Seen) -> Result<(), E>,
    ) -> (usize, Option<E>) {
        let mut at = 0;
        while at < input.len() {
            if self.payload > 0 {
                let rest = (input.len() - at) as u64;
                let step = rest.min(self.payload);
                self.payload -= step;
                at += step as usize;
                continue;
            }
            let before_header = at;
            while at < input.len() && usize::from(self.have) < self.header_bytes() {
                self.header[usize::from(self.have)] = input[at];
                self.have += 1;
                at += 1;
            }
            if usize::from(self.have) < self.header_bytes() {
                break;
            }
            if let Err(refused) = judge(self.complete()) {
                return (before_header, Some(refused));
            }
        }
        (at, None)
    }

    fn header_bytes(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        match self.header[1] & 0x7f {
            126 => 4 + mask,
            127 => 10 + mask,
            _ => 2 + mask,
        }
    }

    fn complete(&mut self) -> Seen {
        self.have = 0;
        self.payload = match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => u64::from_be_bytes(self.header[2..10].try_into().expect("eight bytes")),
            short => u64::from(short),
        };
        let (last, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        if opcode & 0x08 != 0 {
            return Seen::Control;
        }
        let fragment = self.fragments.saturating_add(1);
        self.fragments = if last { 0 } else { fragment };
        Seen::Data { fragment }
    }
}
