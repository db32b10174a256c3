//! Bytes that a client library would not send: requests and frames, right but for what a row breaks.

/// The key of RFC 6455, section 1.3, and the answer that it must get.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(super) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// First bytes of frames: RFC 6455, section 5.2.
pub(super) const FIN: u8 = 0x80;
pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A request, header line by header line.
#[derive(Clone, Debug)]
pub(super) struct Request {
    line: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    rest: Vec<u8>,
}

/// A valid upgrade request.
pub(super) fn upgrade(target: &str) -> Request {
    get(target)
        .add("Upgrade", "websocket")
        .add("Connection", "Upgrade")
        .add("Sec-WebSocket-Key", KEY)
        .add("Sec-WebSocket-Version", "13")
}

pub(super) fn get(target: &str) -> Request {
    request("GET", target)
}

pub(super) fn request(method: &str, target: &str) -> Request {
    let line = format!("{method} {target} HTTP/1.1").into_bytes();
    Request { line, headers: Vec::new(), rest: Vec::new() }.add("Host", "gateway.test")
}

/// A POST with its length.
pub(super) fn post(target: &str, body: impl AsRef<[u8]>) -> Request {
    let length = body.as_ref().len().to_string();
    request("POST", target).add("Content-Length", length).rest(body)
}

impl Request {
    pub(super) fn line(self, line: impl AsRef<[u8]>) -> Self {
        Self { line: line.as_ref().to_vec(), ..self }
    }

    pub(super) fn add(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let line = [name.as_bytes(), b": ", value.as_ref()].concat();
        self.headers.push((name.to_ascii_lowercase(), line));
        self
    }

    /// A header line as it is.
    pub(super) fn add_line(mut self, line: impl AsRef<[u8]>) -> Self {
        self.headers.push((String::new(), line.as_ref().to_vec()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(super) fn set(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).add(name, value)
    }

    /// What comes after the header's end.
    pub(super) fn rest(self, rest: impl AsRef<[u8]>) -> Self {
        Self { rest: rest.as_ref().to_vec(), ..self }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes_with(b"\r\n")
    }

    /// With line ends of another kind.
    pub(super) fn bytes_with(&self, end: &[u8]) -> Vec<u8> {
        let mut bytes = [&self.line, end].concat();
        for (_, line) in &self.headers {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(end);
        }
        bytes.extend_from_slice(end);
        bytes.extend_from_slice(&self.rest);
        bytes
    }
}

impl From<Request> for Vec<u8> {
    fn from(request: Request) -> Self {
        request.bytes()
    }
}

/// How a frame says its length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    Short,
    Medium,
    Long,
}

/// A masked frame with the shortest length that fits; `first` is flags and opcode.
pub(super) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let form = match payload.len() {
        0..=125 => Length::Short,
        126..=65_535 => Length::Medium,
        _ => Length::Long,
    };
    frame_in(form, first, payload)
}

/// A masked frame with its length in this form.
pub(super) fn frame_in(form: Length, first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = header(form, first, payload.len() as u64);
    bytes.extend(masked(payload));
    bytes
}

/// A masked frame's header that claims this length.
pub(super) fn header(form: Length, first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    let long = length.to_be_bytes();
    match form {
        Length::Short => bytes.push(0x80 | long[7]),
        Length::Medium => bytes.extend([0x80 | 126, long[6], long[7]]),
        Length::Long => {
            bytes.push(0x80 | 127);
            bytes.extend(long);
        }
    }
    bytes.extend(MASK);
    bytes
}

pub(super) fn masked(payload: &[u8]) -> impl Iterator<Item = u8> + '_ {
    payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask)
}

/// A short frame without a mask, as only a server may send.
pub(super) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    [&[first, length], payload].concat()
}

pub(super) fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

pub(super) fn binary(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | BINARY, payload)
}

pub(super) fn ping(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | PING, payload)
}

pub(super) fn pong(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | PONG, payload)
}

pub(super) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | CLOSE, [&code.to_be_bytes()[..], reason.as_ref()].concat())
}

/// One write of several frames.
pub(super) fn all(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    frames.into_iter().flatten().collect()
}
