//! Carries out what a tenant's backend asks, whichever API it came by.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use model::{
    ChannelKey, ChannelName, ChannelState, CloseReason, Occupancy, Publication, Published, Reason,
    Refusal, ServerAnswer, ServerCall, ServerPublish, Source,
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::Gateway;
use crate::app::App;
use crate::session::{Policy, refused};
use crate::shard::Shard;
use crate::shard::inbox::{Order, Whom};

/// An answer comes within this, or it is that the service is away.
pub(super) const PERFORM_MAX: Duration = Duration::from_secs(2);

/// Carries out one call of an app's backend, whose credential was judged before.
pub(super) async fn perform(
    gateway: &Gateway,
    app: &Arc<App>,
    call: ServerCall,
) -> Result<ServerAnswer, Refusal> {
    let config = app.config();
    let key = |channel: ChannelName| ChannelKey::new(config.id, channel);
    let broker = &gateway.broker;
    Ok(match call {
        ServerCall::Publish(messages) => publish(gateway, app, messages).await?,
        ServerCall::Channels { prefix, limit } => {
            let states = broker
                .channels(config.id, &prefix, limit)
                .await
                .map_err(|error| refused(&error))?;
            let states = states.into_iter().map(|state| with_presence(&config, state));
            ServerAnswer::Channels(states.collect())
        }
        ServerCall::Channel { channel } => {
            let state = broker.channel(&key(channel)).await.map_err(|error| refused(&error))?;
            ServerAnswer::Channel(with_presence(&config, state))
        }
        ServerCall::Members { channel } => ServerAnswer::Members(
            broker.members(&key(channel)).await.map_err(|error| refused(&error))?,
        ),
        ServerCall::History { channel, since, limit } => {
            let page = broker
                .history(&key(channel), since, limit)
                .await
                .map_err(|error| refused(&error))?;
            ServerAnswer::History(page)
        }
        ServerCall::DisconnectUser { user } => {
            disconnect(gateway, config.id, Whom::User(user)).await
        }
        ServerCall::DisconnectConnection { connection } => {
            disconnect(gateway, config.id, Whom::Connection(connection)).await
        }
    })
}

/// As [`perform`], in a task of its own: a client that leaves, and takes its request's future along,
/// does not cut a publish to several channels in half.
pub(super) async fn perform_whole(
    shard: &Rc<Shard>,
    app: &Arc<App>,
    call: ServerCall,
    place: OwnedSemaphorePermit,
) -> Result<ServerAnswer, Refusal> {
    let (tell, told) = oneshot::channel();
    let (this, app) = (Rc::clone(shard), Arc::clone(app));
    shard.spawn(async move {
        let answer = perform(&this.gateway, &app, call).await;
        drop(place);
        // Nobody may be left to be told.
        let _ = tell.send(answer);
    });
    match tokio::time::timeout(PERFORM_MAX, told).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => {
            let detail = "the message service takes too long: ask again";
            Err(Refusal::new(Reason::Unavailable, detail).retry_after(Duration::from_secs(1)))
        }
    }
}

async fn publish(
    gateway: &Gateway,
    app: &Arc<App>,
    messages: Vec<ServerPublish>,
) -> Result<ServerAnswer, Refusal> {
    let config = app.config();
    if messages.iter().any(|message| message.payload.len() > config.limits.payload_bytes_max) {
        return Err(Refusal::new(Reason::TooLarge, "a payload is larger than the app allows"));
    }
    let publications: usize = messages.iter().map(|message| message.channels.len()).sum();
    app.charge_publish(u32::try_from(publications).unwrap_or(u32::MAX))?;
    let mut answers = Vec::with_capacity(messages.len());
    for message in messages {
        let mut each = Vec::with_capacity(message.channels.len());
        for channel in &message.channels {
            each.push(publish_one(gateway, &config, channel, &message).await);
        }
        answers.push(each);
    }
    Ok(ServerAnswer::Published(answers))
}

async fn publish_one(
    gateway: &Gateway,
    app: &model::App,
    channel: &ChannelName,
    message: &ServerPublish,
) -> Result<Published, Refusal> {
    let id = gateway.message_id();
    let key = ChannelKey::new(app.id, channel.clone());
    let publication = Publication {
        id,
        event: message.event.clone(),
        payload: message.payload.clone(),
        exclude: message.exclude,
        source: Source::Server,
        position: None,
    };
    let keep = Policy::of(app, channel).keep(&Source::Server);
    let position =
        gateway.broker.publish(&key, publication, keep).await.map_err(|error| refused(&error))?;
    let occupancy = if message.occupancy {
        let state = gateway.broker.channel(&key).await.map_err(|error| refused(&error))?;
        Some(with_presence(app, state).occupancy)
    } else {
        None
    };
    Ok(Published { channel: channel.clone(), id, position, occupancy })
}

/// The broker knows who came as a member; that nobody has is still a number on a presence channel.
fn with_presence(app: &model::App, state: ChannelState) -> ChannelState {
    let keeps = Policy::of(app, &state.channel).has_presence();
    let users = keeps.then(|| state.occupancy.users.unwrap_or(0));
    ChannelState { occupancy: Occupancy { users, ..state.occupancy }, ..state }
}

async fn disconnect(gateway: &Gateway, app: model::AppId, whom: Whom) -> ServerAnswer {
    let order =
        |done| Order::Disconnect { app, whom: whom.clone(), reason: CloseReason::Terminated, done };
    ServerAnswer::Disconnected(gateway.inboxes.order(order).await)
}
