//! Channel rules: who may do what on which channels, and what the channel keeps.

use std::time::Duration;

use crate::id::ChannelName;
use crate::pattern::Pattern;

/// What holds for the channels that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRule {
    pub pattern: Pattern,
    pub subscribe: Access,
    pub publish: Access,
    /// Whether channels of this rule may have members.
    pub presence: bool,
    pub history: Retention,
    /// Whether a newcomer is told the last server publication.
    pub cache: bool,
    pub slow_consumer: SlowConsumer,
}

/// Who may. Each includes those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Whoever holds the app's public key.
    Anyone,
    /// Whoever the tenant's backend has signed for.
    Signed,
    /// Only the tenant's backend.
    Server,
}

/// What a channel keeps of its stream. Nothing where `size` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Retention {
    /// Publications, at most [`Retention::SIZE_MAX`].
    pub size: usize,
    pub age: Duration,
}

/// What happens to a subscriber that reads more slowly than its channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SlowConsumer {
    /// It is closed once its queue is over its bound, and may come back.
    #[default]
    Close,
}

/// An app's rules; the longest match wins, and a rule of last resort always matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    rules: Vec<ChannelRule>,
}

impl Retention {
    pub const SIZE_MAX: usize = 10_000;
    pub const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

    pub fn is_off(self) -> bool {
        self.size == 0
    }
}

impl Access {
    pub fn word(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Signed => "signed",
            Self::Server => "server",
        }
    }
}

impl ChannelRule {
    /// What holds where the app says nothing: anyone subscribes, signed clients publish, presence
    /// is allowed, nothing is kept.
    pub fn of_last_resort() -> Self {
        Self {
            pattern: Pattern::parse("*").expect("a valid pattern"),
            subscribe: Access::Anyone,
            publish: Access::Signed,
            presence: true,
            history: Retention::default(),
            cache: false,
            slow_consumer: SlowConsumer::Close,
        }
    }
}

impl RuleSet {
    pub const RULES_MAX: usize = 100;

    /// Refuses two rules of one pattern and gives back that pattern.
    pub fn new(mut rules: Vec<ChannelRule>) -> Result<Self, Pattern> {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.pattern.weight()));
        for (index, rule) in rules.iter().enumerate() {
            if rules[..index].iter().any(|earlier| earlier.pattern == rule.pattern) {
                return Err(rule.pattern.clone());
            }
        }
        if rules.iter().all(|rule| &**rule.pattern.as_str() != "*") {
            rules.push(ChannelRule::of_last_resort());
        }
        Ok(Self { rules })
    }

    pub fn find(&self, channel: &ChannelName) -> &ChannelRule {
        self.rules
            .iter()
            .find(|rule| rule.pattern.matches(channel))
            .expect("a rule for `*` is always there")
    }
}
