//! From a free port to a connection that has joined its channel, and what arrives on it from then
//! on.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    time::Duration,
};

use anyhow::{Context as _, bail};
use mio::{Interest, Token, net::TcpStream};
use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use super::{Engine, State, connection::Connection};
use crate::bench::{
    clock::{self, NANOS_PER_SECOND},
    endpoint::{self, Role, Step},
    frame::{self, Event},
    stamp::Stamp,
};

/// Connections under way at once: below every common listen backlog.
const IN_FLIGHT_MAX: usize = 128;
const STALLED: u64 = 10 * NANOS_PER_SECOND;
/// Connections per source address; one address has about 28,000 ports.
const PER_SOURCE: usize = 20_000;
const HEAD_BYTES_MAX: usize = 16 * 1024;

impl Engine {
    /// Opens `count` connections and returns their indices once all have joined.
    pub(in crate::bench) fn open(
        &mut self,
        role: Role,
        count: usize,
    ) -> anyhow::Result<Range<usize>> {
        let range = self.connections.len()..self.connections.len() + count;
        let many = range.end > PER_SOURCE;
        (self.opened, self.joined) = (0, 0);
        let mut progressed = (0, clock::now());
        while self.joined < count {
            while self.opened < count && self.opened - self.joined < IN_FLIGHT_MAX {
                let index = self.connections.len();
                let source = many.then(|| source(index));
                let stream = self.connect(index, source)?;
                self.connections.push(Connection::new(stream, role));
                self.opened += 1;
            }
            self.turn(clock::now() + NANOS_PER_SECOND / 10)?;
            self.check()?;
            if self.joined != progressed.0 {
                progressed = (self.joined, self.now);
            }
            if self.now.saturating_sub(progressed.1) > STALLED {
                bail!("{} of {count} connections joined, then nothing for 10 s", self.joined);
            }
            if self.interrupted() {
                bail!("interrupted while {} of {count} connections were open", self.joined);
            }
            let joined = self.joined;
            self.progress.show(self.now, || format!("{joined} of {count} connections open"));
        }
        self.progress.clear();
        Ok(range)
    }

    /// Opens an HTTP connection again that the server has ended.
    pub(super) fn reconnect(&mut self, index: usize) -> anyhow::Result<()> {
        let stream = self.connect(index, None)?;
        self.connections[index].stream = Some(stream);
        self.connections[index].state = State::Connecting;
        Ok(())
    }

    pub(super) fn connected(&mut self, index: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let Some(stream) = &connection.stream else { return Ok(()) };
        if let Some(error) = stream.take_error().context("read the outcome of a connect")? {
            self.fail(format!("connection {index} could not be opened: {error}"));
            return Ok(());
        }
        if stream.peer_addr().is_err() {
            // Not connected yet: another event follows.
            return Ok(());
        }
        if matches!(connection.role, Role::Publisher | Role::Echo) {
            stream.set_nodelay(true).context("set TCP_NODELAY")?;
        }
        let role = connection.role;
        if self.endpoint.publishes_by_http(role) {
            connection.state = State::Http;
            self.joined += 1;
            return Ok(());
        }
        connection.state = State::Upgrading;
        let request = self.endpoint.upgrade(role, index);
        self.send(index, &request)
    }

    /// Takes what was read from a connection.
    pub(super) fn consume(&mut self, index: usize, bytes: &[u8]) -> anyhow::Result<()> {
        match self.connections[index].state {
            State::Upgrading => self.consume_head(index, bytes),
            State::Joining | State::Ready => self.consume_frames(index, bytes),
            State::Http => {
                self.consume_answers(index, bytes);
                Ok(())
            }
            State::Connecting | State::Ended => Ok(()),
        }
    }

    fn connect(&self, index: usize, source: Option<Ipv4Addr>) -> anyhow::Result<TcpStream> {
        let address = self.endpoint.address;
        let mut stream =
            connect(address, source).with_context(|| format!("connect to {address}"))?;
        // Closing then resets, which leaves no TIME_WAIT behind.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).context("set SO_LINGER")?;
        self.poll
            .registry()
            .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
            .context("watch a connection")?;
        Ok(stream)
    }

    fn consume_head(&mut self, index: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let mut head = connection.partial.take().map(|partial| partial.bytes).unwrap_or_default();
        head.extend_from_slice(bytes);
        let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else {
            if head.len() > HEAD_BYTES_MAX {
                self.fail("the server's answer to the upgrade does not end".to_owned());
            } else {
                connection.partial.get_or_insert_default().bytes = head;
            }
            return Ok(());
        };
        let (head, rest) = head.split_at(end + 4);
        if let Err(reason) = endpoint::accepted(head) {
            let body = String::from_utf8_lossy(&rest[..rest.len().min(300)]);
            self.fail(format!("{reason} {}", body.trim()));
            return Ok(());
        }
        if self.endpoint.joins_by_url() {
            connection.state = State::Ready;
            self.joined += 1;
        } else {
            connection.state = State::Joining;
        }
        if rest.is_empty() { Ok(()) } else { self.consume_frames(index, rest) }
    }

    fn consume_frames(&mut self, index: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let Self { connections, endpoint, flows, now, .. } = self;
        let Connection { partial, order, role, .. } = &mut connections[index];
        let mut replies = Vec::new();
        let (mut joined, mut closed, mut refused) = (false, None, None);
        let scanned = frame::scan(partial, bytes, |event| match event {
            Event::Message(message) => match Stamp::find(message) {
                Some(stamp) => {
                    flows.iter_mut().for_each(|flow| flow.receive(*role, order, stamp, *now));
                }
                None => match endpoint.converse(*role, message) {
                    Step::Ignore => {}
                    Step::Say(text) => frame::encode_text(&mut replies, &text, 0x5a5a_a5a5),
                    Step::Joined => joined = true,
                    Step::Refused(reason) => refused = Some(reason),
                },
            },
            Event::Ping(payload) => frame::encode_pong(&mut replies, payload, 0x5a5a_a5a5),
            Event::Pong => {}
            Event::Close(code) => closed = Some(code),
        });
        if let Err(violation) = scanned {
            self.fail(violation.to_string());
        }
        let connection = &mut self.connections[index];
        if joined && connection.state == State::Joining {
            connection.state = State::Ready;
            self.joined += 1;
        }
        if let Some(reason) = refused {
            self.on_refusal(index, reason);
        }
        if !replies.is_empty() {
            self.send(index, &replies)?;
        }
        match closed {
            Some(code) => self.ended(index, &code.to_string()),
            None => Ok(()),
        }
    }

    /// A slow reader is told why before it is closed, which is what its measurement is about.
    fn on_refusal(&mut self, index: usize, reason: String) {
        match self.connections[index].role {
            Role::Stuck | Role::Slow if self.connections[index].state == State::Ready => {}
            Role::Subscriber | Role::Publisher | Role::Echo | Role::Stuck | Role::Slow => {
                self.fail(reason);
            }
        }
    }

    fn consume_answers(&mut self, index: usize, bytes: &[u8]) {
        let connection = &mut self.connections[index];
        let partial = connection.partial.get_or_insert_default();
        partial.bytes.extend_from_slice(bytes);
        let answers = endpoint::answers(&partial.bytes);
        partial.bytes.drain(..answers.consumed);
        if let Some(refused) = answers.refused {
            self.fail(format!("publish was refused: {refused}"));
        }
    }
}

/// 127.0.1.x for the loopback, where one source address has too few ports. Binding picks the port
/// itself, which spreads over 28,000 per address.
fn source(index: usize) -> Ipv4Addr {
    let place = u8::try_from(1 + index / PER_SOURCE).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 1, place)
}

pub(in crate::bench) fn connect(
    address: SocketAddr,
    source: Option<Ipv4Addr>,
) -> io::Result<TcpStream> {
    let Some(source) = source.filter(|_| address.ip().is_loopback() && address.is_ipv4()) else {
        return TcpStream::connect(address);
    };
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        // The poll says when it is done.
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
