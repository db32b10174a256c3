//! One client's socket, plain or TLS, without a buffer of its own while nothing happens.

pub(crate) mod frame;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::task::{Context, Poll};

use rustls::ServerConnection;
use tokio::net::TcpStream;

pub(crate) struct Transport {
    socket: TcpStream,
    tls: Option<Box<RefCell<ServerConnection>>>,
}

impl Transport {
    /// What rustls may hold back for us when the socket is full: above it, `try_write` takes less.
    const TLS_BUFFER_BYTES_MAX: usize = 16 * 1024;

    pub(crate) fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    pub(crate) fn tls(socket: TcpStream, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(Self::TLS_BUFFER_BYTES_MAX));
        Self { socket, tls: Some(Box::new(RefCell::new(tls))) }
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.is_tls() { "tls" } else { "tcp" }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Stays ready until [`Transport::try_read`] has found both TLS and the socket empty.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_read_ready(cx)
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }

    /// Reads what is there. `Ok(0)` is the end of the stream, `WouldBlock` nothing yet.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.socket.try_read(buffer) };
        let mut tls = tls.borrow_mut();
        loop {
            match tls.reader().read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that cuts the socket without close_notify is gone, no more than that.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            if tls.read_tls(&mut Socket(&self.socket))? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            // Key updates and alerts go out with what is sent next, or at once if they can.
            let _ = flush_tls(&mut tls, &self.socket);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Writes what the socket takes; `WouldBlock` if that is nothing.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.socket.try_write(bytes) };
        let mut tls = tls.borrow_mut();
        flush_tls(&mut tls, &self.socket)?;
        let mut written = 0;
        while written < bytes.len() {
            let taken = tls.writer().write(&bytes[written..])?;
            written += taken;
            match flush_tls(&mut tls, &self.socket) {
                Ok(()) if taken > 0 => {}
                Ok(()) => break,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        if written == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    /// Writes what TLS has encrypted and the socket did not take.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| flush_tls(&mut tls.borrow_mut(), &self.socket))
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.borrow().wants_write())
    }

    /// Says that nothing more comes, and lets the kernel keep all that is still to be said even if
    /// the peer is not reading: a slow client should find its close code when it reads at last.
    pub(crate) fn begin_close(&self) {
        // Best effort: without it the farewell may be lost, nothing worse.
        let _ = socket2::SockRef::from(&self.socket).set_tcp_notsent_lowat(u32::MAX);
    }

    pub(crate) fn shut_write(&self) {
        if let Some(tls) = &self.tls {
            let mut tls = tls.borrow_mut();
            tls.send_close_notify();
            let _ = flush_tls(&mut tls, &self.socket);
        }
        let _ = socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write);
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("kind", &self.name()).finish_non_exhaustive()
    }
}

fn flush_tls(tls: &mut ServerConnection, socket: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut Socket(socket))?;
    }
    Ok(())
}

/// The socket as rustls wants it: blocking in form, never in fact.
struct Socket<'a>(&'a TcpStream);

impl io::Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
