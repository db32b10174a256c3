//! What holds for one channel: its rule, tightened by the naming conventions of every dialect that
//! the app speaks.

use std::sync::Arc;

use broker::Keep;
use model::{Access, App, ChannelName, ChannelRule, Decision, Reason, Refusal, Source};
use protocol::Convention;

use crate::session::Standing;

#[derive(Debug)]
pub(crate) struct Policy<'a> {
    app: &'a App,
    rule: &'a ChannelRule,
    convention: Convention,
}

impl<'a> Policy<'a> {
    pub(crate) fn of(app: &'a App, channel: &ChannelName) -> Self {
        let mut convention = Convention::default();
        for dialect in app.dialects.iter().filter_map(|name| protocol::find(name)) {
            let its = dialect.convention(channel);
            convention.subscribe = convention.subscribe.max(its.subscribe);
            convention.publish = convention.publish.max(its.publish);
            convention.presence |= its.presence;
            convention.cache |= its.cache;
        }
        Self { app, rule: app.rules.find(channel), convention }
    }

    pub(super) fn may_subscribe(&self, standing: Standing) -> Result<(), Refusal> {
        let (rule, convention) = (self.rule.subscribe, self.convention.subscribe);
        self.judge(rule.max(convention), standing, "subscribe", rule < convention)
    }

    pub(super) fn may_publish(&self, standing: Standing) -> Result<(), Refusal> {
        let (rule, convention) = (self.rule.publish, self.convention.publish);
        self.judge(rule.max(convention), standing, "publish", rule < convention)
    }

    /// Whether a subscriber must come as a member.
    pub(super) fn needs_member(&self) -> bool {
        self.convention.presence
    }

    pub(super) fn may_have_members(&self) -> Result<(), Refusal> {
        if self.rule.presence {
            return Ok(());
        }
        let detail = "this channel keeps no presence: its rule has presence = false";
        Err(self.refusal(Reason::Forbidden, detail, "presence = false"))
    }

    pub(super) fn caches(&self) -> bool {
        self.rule.cache || self.convention.cache
    }

    /// Whether the channel has members at all.
    pub(crate) fn has_presence(&self) -> bool {
        self.rule.presence && self.convention.presence
    }

    /// What a publication leaves behind on this channel.
    pub(crate) fn keep(&self, source: &Source) -> Keep {
        let limits = &self.app.limits;
        Keep {
            history: self.rule.history,
            history_bytes_max: limits.history_bytes_max,
            last_value: (self.caches() && *source == Source::Server).then_some(limits.cache_age),
            channels_max: limits.channels_max,
        }
    }

    fn judge(
        &self,
        access: Access,
        standing: Standing,
        verb: &'static str,
        by_name: bool,
    ) -> Result<(), Refusal> {
        let (reason, detail) = match (access, standing) {
            (Access::Anyone, _) | (Access::Signed, Standing::Signed) => return Ok(()),
            (Access::Signed, Standing::Key) => {
                (Reason::Unauthorized, "this channel needs a signature of your backend")
            }
            (Access::Server, _) => (Reason::Forbidden, "only your backend may do this here"),
        };
        let clause = match (verb, access, by_name) {
            (_, _, true) => "the channel's name asks for a signature",
            ("subscribe", Access::Signed, _) => "subscribe = signed",
            ("subscribe", _, _) => "subscribe = server",
            (_, Access::Signed, _) => "publish = signed",
            (_, _, _) => "publish = server",
        };
        Err(self.refusal(reason, detail, clause))
    }

    fn refusal(&self, reason: Reason, detail: &'static str, clause: &'static str) -> Refusal {
        let pattern = Arc::clone(self.rule.pattern.as_str());
        Refusal { decision: Some(Decision { pattern, clause }), ..Refusal::new(reason, detail) }
    }
}
