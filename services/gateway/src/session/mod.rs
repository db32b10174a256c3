//! What one connection may do and has joined. Commands of a client are carried out one at a time,
//! in order; everything it is told by itself passes here.

mod policy;
mod publish;
mod sign_in;
mod subscribe;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use model::{
    CloseReason, Command, Member, Publication, Reason, Refusal, Reply, ServerMessage, Verb,
};
use protocol::{Codec, DecodeError, Frame, Inbound, Outbound};
use tracing::debug;

use crate::app::rate::Meter;
use crate::connection::{Connection, bump};
use crate::session::subscribe::Subscription;
use crate::shard::ring::Tick;
use crate::transport::frame;

pub(crate) use policy::Policy;
pub(crate) use subscribe::refused;

#[derive(Debug)]
pub(crate) struct Session {
    connection: Rc<Connection>,
    codec: Box<dyn Codec>,
    standing: Standing,
    /// Its app only sends back what it gets.
    echo: bool,
    /// Who signed in.
    user: Option<Member>,
    subscriptions: Vec<Subscription>,
    publishes: Meter,
    client_events: Meter,
    errors: Errors,
}

/// What the handshake showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It holds the app's public key.
    Key,
    /// The tenant's backend has signed for what it asked.
    Signed,
}

/// Messages that could not be read, within a window.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    count: u32,
    since: Tick,
}

impl Session {
    pub(crate) fn new(
        connection: Rc<Connection>,
        codec: Box<dyn Codec>,
        standing: Standing,
    ) -> Self {
        let shard = &connection.shard;
        let echo = connection.app.config().echo;
        shard.insert(&connection);
        connection.counters().opened.add(1);
        shard.schedule(&connection, shard.now() + 1);
        Self {
            connection,
            codec,
            standing,
            echo,
            user: None,
            subscriptions: Vec::new(),
            publishes: Meter::default(),
            client_events: Meter::default(),
            errors: Errors::default(),
        }
    }

    pub(crate) fn is_echo(&self) -> bool {
        self.echo
    }

    pub(crate) fn greet(&mut self) {
        let activity_timeout = self.connection.protocol.heartbeat().idle;
        self.say(&ServerMessage::Connected { connection: self.connection.id, activity_timeout });
    }

    pub(crate) fn probe(&mut self) {
        self.say(&ServerMessage::Probe);
    }

    /// Takes one frame of the client.
    pub(crate) async fn receive(&mut self, frame: Frame) {
        bump(&self.connection.tally.messages_in, 1);
        if self.echo {
            self.connection.counters().received("message", true);
            return self.send(&[frame]);
        }
        let mut inbound = Inbound::default();
        let decoded = self.codec.decode(frame, &mut inbound);
        self.send(&inbound.replies);
        for command in inbound.commands {
            self.handle(command).await;
        }
        match decoded {
            Ok(()) => {}
            Err(DecodeError::Close(reason)) => self.connection.close(reason),
            Err(DecodeError::Refused { channel, refusal }) => {
                self.connection.counters().received("message", false);
                self.refuse(None, "message", channel, refusal);
                self.count_error();
            }
        }
    }

    /// Carries out one command and answers it.
    pub(crate) async fn handle(&mut self, command: Command) {
        let Command { id, verb } = command;
        let (name, channel) = (verb.name(), verb.channel().cloned());
        let result = self.perform(verb).await;
        self.connection.counters().received(name, result.is_ok());
        match result {
            Ok(reply) => self.say(&ServerMessage::Reply { id, reply }),
            Err(refusal) => self.refuse(id, name, channel, refusal),
        }
    }

    async fn perform(&mut self, verb: Verb) -> Result<Reply, Refusal> {
        match verb {
            Verb::Subscribe { channel, signature, presence } => {
                self.subscribe(channel, signature, presence).await
            }
            Verb::Unsubscribe { channel } => Ok(self.unsubscribe(channel)),
            Verb::Publish { channel, event, payload, echo } => {
                let publication = Publication {
                    id: self.connection.shard.gateway.message_id(),
                    event,
                    payload,
                    exclude: (echo == model::Echo::Exclude).then_some(self.connection.id),
                    source: model::Source::Client { user: None },
                    position: None,
                };
                self.publish(channel, publication).await
            }
            Verb::SignIn { signature, user, data } => self.sign_in(&signature, user, data),
        }
    }

    /// A refusal of a production app keeps the deciding rule to our log.
    fn refuse(
        &mut self,
        id: Option<model::CommandId>,
        verb: &'static str,
        channel: Option<model::ChannelName>,
        refusal: Refusal,
    ) {
        let app = self.connection.app.config();
        debug!(
            event = "command.refused",
            app = app.code.as_str(),
            connection = %self.connection.id,
            verb,
            reason = refusal.reason.word(),
            rule = refusal.decision.as_ref().map(|d| &*d.pattern),
            clause = refusal.decision.as_ref().map(|d| d.clause),
            "{}", refusal.detail
        );
        let told = match app.environment {
            model::Environment::Development => refusal,
            model::Environment::Production => Refusal { decision: None, ..refusal },
        };
        self.say(&ServerMessage::Refused { id, verb, channel, refusal: told });
    }

    fn count_error(&mut self) {
        let (now, limits) = (self.connection.shard.now(), self.connection.shard.limits);
        if now >= self.errors.since + limits.errors_window {
            self.errors = Errors { count: 0, since: now };
        }
        self.errors.count += 1;
        if self.errors.count >= limits.errors_max {
            self.connection.close(CloseReason::TooManyErrors);
        }
    }

    fn say(&mut self, message: &ServerMessage) {
        let mut outbound = Outbound::default();
        self.codec.encode(message, &mut outbound);
        self.send(&outbound.frames);
        if let Some(reason) = outbound.close {
            self.connection.close(reason);
        }
    }

    fn send(&self, frames: &[Frame]) {
        if frames.is_empty() {
            return;
        }
        let mut encoding = self.connection.shard.encoding.borrow_mut();
        encoding.clear();
        for said in frames {
            frame::append(&mut encoding, said);
        }
        self.connection.send_own(&encoding);
        // One large answer must not be kept for ever.
        const KEEP_BYTES: usize = 64 * 1024;
        encoding.shrink_to(KEEP_BYTES);
    }

    fn standing_of(&self, signed: bool) -> Standing {
        if signed { Standing::Signed } else { self.standing }
    }
}

impl Drop for Session {
    /// Also runs while a panic unwinds: nothing of a connection stays behind, whatever ended it.
    fn drop(&mut self) {
        let connection = &self.connection;
        let shard = &connection.shard;
        if std::thread::panicking() {
            connection.last_words(CloseReason::Internal);
        }
        for subscription in std::mem::take(&mut self.subscriptions) {
            subscription.end(connection);
        }
        let reason = connection.closing().unwrap_or(CloseReason::Internal);
        connection.counters().closed(reason);
        shard.remove(connection);
    }
}

fn unauthorized(detail: &'static str) -> Refusal {
    Refusal::new(Reason::Unauthorized, detail)
}
