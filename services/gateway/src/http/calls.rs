//! Carries out what a tenant's backend asks, whichever API it came by.

use std::sync::Arc;

use model::{
    ChannelKey, ChannelName, ChannelState, CloseReason, Occupancy, Publication, Published, Reason,
    Refusal, ServerAnswer, ServerCall, ServerPublish, Source,
};

use crate::Gateway;
use crate::app::App;
use crate::session::{Policy, refused};
use crate::shard::inbox::{Order, Whom};

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
