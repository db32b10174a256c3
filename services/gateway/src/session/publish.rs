//! A client publishes.

use model::{App, ChannelKey, ChannelName, Publication, Reason, Refusal, Reply, Source};

use crate::app::rate::{Exceeded, Now, Rate};
use crate::session::subscribe::refused;
use crate::session::{Policy, Session};

impl Session {
    pub(super) async fn publish(
        &mut self,
        channel: ChannelName,
        publication: Publication,
    ) -> Result<Reply, Refusal> {
        let app = self.connection.app.config();
        if publication.payload.len() > app.limits.payload_bytes_max {
            return Err(Refusal::new(
                Reason::TooLarge,
                "the payload is larger than the app allows",
            ));
        }
        let subscription = self.subscription(&channel);
        let user = subscription.and_then(|subscription| subscription.user.clone());
        let signed = subscription.is_some_and(|subscription| subscription.signed);
        let subscribed = subscription.is_some();
        let policy = Policy::of(&app, &channel);
        if self.connection.protocol.publishes_client_events() {
            self.may_send_client_event(&app, subscribed)?;
        }
        policy.may_publish(self.standing_of(signed))?;
        self.charge(&app)?;

        let source = Source::Client { user };
        let keep = policy.keep(&source);
        let publication = Publication { source, ..publication };
        let broker = &self.connection.shard.gateway.broker;
        let key = ChannelKey::new(app.id, channel);
        broker.publish(&key, publication, keep).await.map_err(|error| refused(&error))?;
        Ok(Reply::Published)
    }

    fn may_send_client_event(&mut self, app: &App, subscribed: bool) -> Result<(), Refusal> {
        if !app.client_events {
            let detail = "client events are switched off for this app";
            return Err(Refusal::new(Reason::Forbidden, detail));
        }
        if !subscribed {
            let detail = "subscribe to the channel before sending client events to it";
            return Err(Refusal::new(Reason::NotSubscribed, detail));
        }
        let per_second = app.limits.client_events_per_second;
        let rate = Rate { per_second, burst: per_second };
        let charged = self.client_events.charge(Now::read(), rate, 1);
        charged.map_err(|exceeded| too_fast(exceeded, "client events come too fast"))
    }

    fn charge(&mut self, app: &App) -> Result<(), Refusal> {
        let rate = Rate::new(app.limits.publishes_per_second_per_connection);
        let charged = self.publishes.charge(Now::read(), rate, 1);
        charged.map_err(|exceeded| too_fast(exceeded, "this connection publishes too fast"))?;
        self.connection.app.charge_publish(1)
    }
}

fn too_fast(exceeded: Exceeded, detail: &'static str) -> Refusal {
    Refusal { retry_after: exceeded.retry_after, ..Refusal::new(Reason::RateLimited, detail) }
}
