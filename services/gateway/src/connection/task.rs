//! One client's life: let in, served until something ends it, told why, gone.

use std::future::Future;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use model::{CloseReason, Command, Member};
use protocol::{Codec, Probe, Protocol};
use tracing::debug;

use crate::app::ConnectionPermit;
use crate::app::address::AddressPermit;
use crate::app::rate::{Meter, Now, Rate};
use crate::connection::assembly::{Assembly, Fed, Incoming};
use crate::connection::outbox::Outbox;
use crate::connection::scanner::Seen;
use crate::connection::{Connection, Event, Who, bump, close};
use crate::places::Place;
use crate::session::{Session, Standing};
use crate::shard::Shard;
use crate::transport::{Transport, frame};

/// A client that has been let in.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) who: Who,
    pub(crate) codec: Box<dyn Codec>,
    pub(crate) commands: Vec<Command>,
    pub(crate) standing: Standing,
    /// Whom the handshake's signature speaks for.
    pub(crate) user: Option<Member>,
    pub(crate) permits: Permits,
}

/// A client whose handshake is about to be answered.
#[derive(Debug)]
pub(crate) struct Opened {
    connection: Rc<Connection>,
    // Dropped before the permits: what it has joined is left before its place is free.
    session: Session,
    permits: Permits,
}

/// The places that a connection takes; each is given back when this is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what their drop gives back")]
pub(crate) struct Permits {
    pub(crate) app: ConnectionPermit,
    pub(crate) gateway: Place,
    pub(crate) address: AddressPermit,
}

/// Carries out what the handshake asks for, before it is answered: a client that is connected is
/// subscribed, and what is published from then on is kept for it.
pub(crate) async fn begin(shard: &Rc<Shard>, opening: Opening) -> Opened {
    let Opening { who, codec, commands, standing, user, permits } = opening;
    let connection = Rc::new(Connection::new(Rc::clone(shard), who));
    let mut session = Session::new(Rc::clone(&connection), codec, standing);
    // The apps may have changed since it was let in, when it had no seat to be found in.
    if let Some(reason) = connection.no_longer_conforms() {
        connection.close(reason);
    }
    if let Some(user) = user {
        session.is_user(user);
    }
    session.greet();
    for command in commands {
        // A refused one may have ended the connection: its later ones would only be seen to flicker.
        if !connection.is_closing() {
            session.handle(command).await;
        }
    }
    Opened { connection, session, permits }
}

/// Serves a client until it has gone; `leftover` is what it sent behind its handshake. No
/// `async fn`: its arguments would be kept for the whole of the connection's life, beside what is
/// made of them. What happens now and then is boxed, since an idle connection's memory is the size
/// of this future.
pub(crate) fn serve(
    opened: Opened,
    transport: Transport,
    leftover: Bytes,
) -> impl Future<Output = ()> {
    let Opened { connection, mut session, permits } = opened;
    connection.attach(transport);
    let begun = tokio::time::Instant::now();
    async move {
        let mut reader = Reader::default();
        if !leftover.is_empty() {
            let fed = reader.feed(&connection, session.is_echo(), &leftover);
            Box::pin(take(&connection, &mut session, fed)).await;
        }
        drop(leftover);
        if connection.transport().is_tls()
            && let Some(fed) = reader.read(&connection, session.is_echo())
        {
            // TLS may have decrypted it already: the socket would not tell of it.
            Box::pin(take(&connection, &mut session, fed)).await;
        }
        let reason = converse(&connection, &mut session, &mut reader).await;
        drop(session);
        Box::pin(finish(&connection, reason)).await;
        drop(permits);
        log_end(&connection, reason, begun.elapsed());
    }
}

impl Opened {
    /// The client left before its handshake was answered.
    pub(crate) fn abandon(self) {
        self.connection.close(CloseReason::Gone);
    }
}

/// Tells a client that was upgraded only to be told why not.
pub(crate) async fn refuse(
    shard: Rc<Shard>,
    transport: Transport,
    protocol: &'static dyn Protocol,
    reason: CloseReason,
) {
    shard.counters.of(protocol).rejected(reason);
    let words = close::last_words(&protocol.farewell(reason));
    close::end(&transport, Outbox::default(), Some(words)).await;
}

async fn converse(
    connection: &Connection,
    session: &mut Session,
    reader: &mut Reader,
) -> CloseReason {
    loop {
        match connection.event().await {
            Event::Closing(reason) => return reason,
            Event::Writable => connection.flush(),
            Event::Probe => match connection.protocol.heartbeat().probe {
                Probe::WebSocketPing => connection.send_own(frame::PING),
                Probe::Message => session.probe(),
            },
            Event::Readable => {
                if let Some(fed) = reader.read(connection, session.is_echo()) {
                    Box::pin(take(connection, session, fed)).await;
                }
            }
        }
    }
}

/// Acts on what one read brought, in order.
async fn take(
    connection: &Connection,
    session: &mut Session,
    (fed, error): (Fed, Option<CloseReason>),
) {
    let (mut answered, mut said_goodbye) = (0, false);
    for incoming in fed.incoming {
        match incoming {
            Incoming::Frame(_) if connection.is_closing() => break,
            Incoming::Frame(frame) => session.receive(frame).await,
            Incoming::Control { answered: to } => {
                connection.send_own(&fed.output[answered..to]);
                answered = to;
            }
            Incoming::Close => said_goodbye = true,
        }
    }
    // The echo of a close frame is in here, and nothing may follow it: RFC 6455, section 5.5.1.
    connection.send_own(&fed.output[answered..]);
    if said_goodbye {
        connection.close(CloseReason::ClientClosed);
    }
    if let Some(reason) = error {
        connection.close(reason);
    }
}

/// The reading half: between messages it holds no memory but this.
#[derive(Debug, Default)]
struct Reader {
    assembly: Assembly,
    frames: Meter,
    control_frames: Meter,
}

impl Reader {
    /// Reads once into the shard's buffer and feeds what came.
    fn read(&mut self, connection: &Connection, echo: bool) -> Option<(Fed, Option<CloseReason>)> {
        let shard = &connection.shard;
        let mut scratch = shard.scratch.borrow_mut();
        match connection.transport().try_read(&mut scratch) {
            Ok(0) => connection.close(CloseReason::Gone),
            Ok(n) => return Some(self.feed(connection, echo, &scratch[..n])),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => connection.close(CloseReason::Gone),
        }
        None
    }

    fn feed(
        &mut self,
        connection: &Connection,
        echo: bool,
        input: &[u8],
    ) -> (Fed, Option<CloseReason>) {
        let shard = &connection.shard;
        let clock = &connection.clock;
        clock.heard.set(shard.now());
        clock.probed.set(None);
        bump(&connection.tally.bytes_in, input.len() as u64);
        connection.counters().bytes_in.add(input.len() as u64);

        let (limits, now) = (&shard.limits, Now::read());
        let Self { assembly, frames, control_frames } = self;
        let judge = |seen| match seen {
            _ if echo => Ok(()),
            Seen::Control => charge(control_frames, now, limits.control_frames_per_second),
            Seen::Data { .. } => charge(frames, now, limits.frames_per_second),
        };
        let frame_limits = if echo { limits.echo_frames } else { limits.frames };
        let (fed, error) = assembly.feed(input, frame_limits, &mut shard.spare.borrow_mut(), judge);
        self.watch(connection, fed.incoming.iter().any(|i| matches!(i, Incoming::Frame(_))));
        (fed, error)
    }

    /// Has the timer watch a message that is open, from when it began.
    fn watch(&self, connection: &Connection, completed: bool) {
        let (clock, shard) = (&connection.clock, &connection.shard);
        if self.assembly.is_idle() {
            clock.assembling.set(None);
        } else if completed || clock.assembling.get().is_none() {
            let now = shard.now();
            clock.assembling.set(Some(now));
            shard.schedule(connection, now + shard.limits.message_ticks);
        }
    }
}

fn charge(meter: &mut Meter, now: Now, per_second: u32) -> Result<(), CloseReason> {
    meter.charge(now, Rate::new(per_second), 1).map_err(|_| CloseReason::RateLimited)
}

async fn finish(connection: &Connection, reason: CloseReason) {
    let mut outbox = connection.outbox.take();
    let words = match reason {
        CloseReason::Gone => return,
        // tungstenite has echoed the client's own close frame.
        CloseReason::ClientClosed => None,
        _ => Some(close::last_words(&connection.protocol.farewell(reason))),
    };
    if reason == CloseReason::SlowConsumer {
        outbox.cut();
    }
    close::end(connection.transport(), outbox, words).await;
}

/// The one line that a connection leaves.
fn log_end(connection: &Connection, reason: CloseReason, lived: std::time::Duration) {
    let tally = &connection.tally;
    debug!(
        event = "connection.closed",
        app = connection.app.config().code.as_str(),
        connection = %connection.id,
        protocol = connection.protocol.name(),
        reason = reason.word(),
        duration_ms = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX),
        messages_in = tally.messages_in.get(),
        messages_out = tally.messages_out.get(),
        bytes_in = tally.bytes_in.get(),
        bytes_out = tally.bytes_out.get(),
        dropped = tally.dropped.get(),
        "connection closed"
    );
}
