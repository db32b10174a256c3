//! Joining and leaving channels.

use broker::{Joiner, Leaver};
use model::{
    App, Cached, ChannelKey, ChannelName, Member, Presence, Reason, Refusal, Reply, Signature,
    UserId,
};

use crate::auth;
use crate::connection::Connection;
use crate::session::{Policy, Session, Standing, unauthorized};

/// A connection's standing interest in a channel.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: ChannelName,
    /// Its seat in the hub.
    audience: u32,
    /// The member it came as.
    pub(super) user: Option<UserId>,
    pub(super) signed: bool,
    counts: bool,
}

impl Session {
    pub(super) async fn subscribe(
        &mut self,
        channel: ChannelName,
        signature: Option<Signature>,
        presence: Presence,
    ) -> Result<Reply, Refusal> {
        let app = self.connection.app.config();
        let signed = match &signature {
            Some(signature) if auth::verify_signature(&app, signature) => true,
            Some(_) => return Err(unauthorized("the channel's signature does not hold")),
            None => self.standing == Standing::Signed,
        };
        let policy = Policy::of(&app, &channel);
        if self.subscription(&channel).is_some() {
            return self.subscribed_already(&app, channel).await;
        }
        if self.subscriptions.len() >= app.limits.channels_per_connection_max as usize {
            let detail = "this connection is in all the channels it may be in";
            return Err(Refusal::new(Reason::LimitExceeded, detail));
        }
        self.may_hear(&policy, &channel, signed)?;
        let member = self.member(&policy, presence)?;
        let joiner = self.joiner(&app, &policy, &channel, member);
        self.join(ChannelKey::new(app.id, channel), joiner, signed).await
    }

    fn may_hear(
        &self,
        policy: &Policy<'_>,
        channel: &ChannelName,
        signed: bool,
    ) -> Result<(), Refusal> {
        match (channel.user(), &self.user) {
            (None, _) => policy.may_subscribe(self.standing_of(signed)),
            (Some(owner), Some(user)) if owner == user.user => Ok(()),
            (Some(_), _) => Err(unauthorized("a user's channel is open to that user, signed in")),
        }
    }

    fn member(&self, policy: &Policy<'_>, presence: Presence) -> Result<Option<Member>, Refusal> {
        let member = match presence {
            Presence::None if policy.needs_member() => {
                let detail = "a presence channel needs a member: who is subscribing?";
                return Err(Refusal::new(Reason::BadMessage, detail));
            }
            Presence::None => return Ok(None),
            Presence::Member(member) => member,
            Presence::Oneself => {
                let refusal = || unauthorized("without a member of its own, sign in first");
                self.user.clone().ok_or_else(refusal)?
            }
        };
        policy.may_have_members()?;
        Ok(Some(member))
    }

    fn joiner(
        &self,
        app: &App,
        policy: &Policy<'_>,
        channel: &ChannelName,
        member: Option<Member>,
    ) -> Joiner {
        Joiner {
            shard: self.connection.shard.id,
            connection: self.connection.id,
            counts: app.subscription_counts && member.is_none() && channel.user().is_none(),
            member,
            cached: policy.caches(),
            channels_max: app.limits.channels_max,
            members_max: app.limits.presence_members_max,
        }
    }

    async fn join(
        &mut self,
        key: ChannelKey,
        joiner: Joiner,
        signed: bool,
    ) -> Result<Reply, Refusal> {
        let shard = &self.connection.shard;
        let user = joiner.member.as_ref().map(|member| member.user.clone());
        let counts = joiner.counts;
        let joined = shard.gateway.broker.join(&key, joiner).await.map_err(|e| refused(&e))?;
        let membership = shard.hub.borrow_mut().join(&key, &self.connection, joined.sequence);
        let (channel, audience) = (key.channel, membership.audience);
        let subscription =
            Subscription { channel: channel.clone(), audience, user, signed, counts };
        self.subscriptions.push(subscription);
        let (members, cached, count) = (joined.members, joined.cached, joined.count);
        Ok(Reply::Subscribed { channel, members, cached, count })
    }

    /// Subscribing twice is no error: the client is told the channel's state again.
    async fn subscribed_already(&self, app: &App, channel: ChannelName) -> Result<Reply, Refusal> {
        let broker = &self.connection.shard.gateway.broker;
        let key = ChannelKey::new(app.id, channel.clone());
        let as_member = self.subscription(&channel).is_some_and(|s| s.user.is_some());
        let members = if as_member {
            Some(broker.members(&key).await.map_err(|error| refused(&error))?)
        } else {
            None
        };
        Ok(Reply::Subscribed { channel, members, cached: Cached::Off, count: None })
    }

    pub(super) fn unsubscribe(&mut self, channel: ChannelName) -> Reply {
        if let Some(at) = self.subscriptions.iter().position(|s| s.channel == channel) {
            self.subscriptions.swap_remove(at).end(&self.connection);
        }
        Reply::Unsubscribed { channel }
    }

    pub(super) fn subscription(&self, channel: &ChannelName) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.channel == *channel)
    }
}

impl Subscription {
    /// Leaves hub and broker; never waits.
    pub(super) fn end(self, connection: &Connection) {
        let shard = &connection.shard;
        shard.hub.borrow_mut().leave(connection, self.audience);
        let leaver = Leaver {
            shard: shard.id,
            connection: connection.id,
            user: self.user,
            counts: self.counts,
        };
        let key = ChannelKey::new(connection.app_id, self.channel);
        shard.gateway.broker.leave(&key, &leaver);
    }
}

pub(crate) fn refused(error: &broker::Error) -> Refusal {
    match error {
        broker::Error::Unavailable => {
            Refusal::new(Reason::Unavailable, "the message service is busy; try again")
                .retry_after(std::time::Duration::from_secs(1))
        }
        broker::Error::ChannelsExhausted => {
            Refusal::new(Reason::LimitExceeded, "the app has all the channels it may have")
        }
        broker::Error::MembersExhausted => {
            Refusal::new(Reason::LimitExceeded, "the channel has all the members it may have")
        }
    }
}
