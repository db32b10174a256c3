//! Members and counts: edges of distinct users, told once, in the channel's order.

use std::collections::{BTreeMap, HashMap};

use model::{ChannelKey, Member, Push, UserId};
use tokio::task::JoinSet;

use super::{
    DEADLINE, OTHER_APP, Random, Subject, assert_exhausted, assert_sequence, id_of, joiner,
    joiner_as, key, leaver, member, pass, until,
};
use crate::{COUNT_AT_ONCE_MAX, Error, Joined, Joiner, ShardId};

/// What a channel should do, in the plainest way: it knows who is in and writes down what each
/// shard is to be told.
#[derive(Default)]
struct Model {
    sequence: u64,
    joined: Vec<Joiner>,
    /// Each user as its first connection described it.
    users: BTreeMap<UserId, Member>,
    told: HashMap<ShardId, Vec<(u64, Told)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Added(Member),
    Removed(UserId),
    Count(u64),
    Publication(u128),
}

const SHARDS: u8 = 4;

pub(super) async fn edges_are_those_of_a_model(subject: Subject) {
    const STEPS: u128 = 3000;
    let key = key("random");
    let mut random = Random::from_environment();
    let mut model = Model::default();
    for step in 0..STEPS {
        let at = format!("seed {}, step {step}", random.seed);
        match random.below(10) {
            0..5 => join_both(&subject, &key, &mut model, &mut random, &at).await,
            5..9 => leave_both(&subject, &key, &mut model, &mut random),
            _ => {
                subject.publish(&key, step, pass()).await;
                model.tell(&Told::Publication(step));
            }
        }
        if step % 50 == 0 {
            let mut members = subject.broker.members(&key).await.expect("members are known");
            members.sort_by(|one, other| one.user.cmp(&other.user));
            assert_eq!(members, model.members(), "{at}");
            let state = subject.broker.channel(&key).await.expect("the state is known");
            let users = state.occupancy.users.unwrap_or_default();
            assert_eq!(state.occupancy.subscriptions, model.joined.len() as u64, "{at}");
            assert_eq!(users, model.users.len() as u64, "{at}");
        }
    }
    for shard in 0..SHARDS {
        let expected = model.told.remove(&ShardId(shard)).unwrap_or_default();
        let told = subject.told(shard, &key, expected.len()).await;
        for (told, expected) in told.iter().zip(expected) {
            let told = (told.sequence, Told::from(&told.push));
            assert_eq!(told, expected, "seed {}, shard {shard}", random.seed);
        }
    }
}

async fn join_both(
    subject: &Subject,
    key: &ChannelKey,
    model: &mut Model,
    random: &mut Random,
    at: &str,
) {
    const USERS_MAX: u32 = 4;
    let (shard, connection) = (random.below(u64::from(SHARDS)) as u8, random.below(16));
    if model.joined.iter().any(|joined| joined.connection.0 == connection) {
        return;
    }
    // One more user than fits, and as often none.
    let user = random.below(u64::from(USERS_MAX) + 2);
    let joiner = Joiner {
        member: (user > 0).then(|| member(&format!("user-{user}"), &format!("\"{connection}\""))),
        counts: true,
        members_max: USERS_MAX,
        ..joiner(shard, connection)
    };
    let result = subject.broker.join(key, joiner.clone()).await;
    if model.is_beyond_members(&joiner) {
        assert!(matches!(result, Err(Error::MembersExhausted)), "{at}: {result:?}");
        return;
    }
    model.join(&joiner, &result.expect("the join is within every ceiling"), at);
}

fn leave_both(subject: &Subject, key: &ChannelKey, model: &mut Model, random: &mut Random) {
    let connection = random.below(16);
    let known = model.joined.iter().position(|joined| joined.connection.0 == connection);
    match known {
        Some(index) => {
            let joiner = model.joined.swap_remove(index);
            subject.broker.leave(key, &leaver(&joiner));
            model.leave(&joiner);
        }
        // One that is not in: nothing, whoever it claims to be.
        None => subject.leave(key, &joiner_as(0, connection, "user-1")),
    }
}

impl Model {
    fn is_beyond_members(&self, joiner: &Joiner) -> bool {
        let is_new = |member: &Member| !self.users.contains_key(&member.user);
        joiner.member.as_ref().is_some_and(is_new)
            && self.users.len() >= joiner.members_max as usize
    }

    fn join(&mut self, joiner: &Joiner, joined: &Joined, at: &str) {
        if self.joined.is_empty() {
            assert!(joined.sequence >= self.sequence, "{at}: a sequence comes again");
            self.sequence = joined.sequence;
        }
        if let Some(member) = &joiner.member
            && !self.users.contains_key(&member.user)
        {
            self.users.insert(member.user.clone(), member.clone());
            self.tell(&Told::Added(member.clone()));
        }
        let count = self.joined.len() as u64 + 1;
        self.tell(&Told::Count(count));
        self.joined.push(joiner.clone());
        assert_eq!((joined.sequence, joined.count), (self.sequence, Some(count)), "{at}");
        let members = joined.members.clone().map(|mut members| {
            members.sort_by(|one, other| one.user.cmp(&other.user));
            members
        });
        assert_eq!(members, joiner.member.as_ref().map(|_| self.members()), "{at}");
    }

    /// The joiner is no longer among the joined.
    fn leave(&mut self, joiner: &Joiner) {
        let user = |joiner: &Joiner| joiner.member.as_ref().map(|member| member.user.clone());
        if let Some(gone) = user(joiner)
            && !self.joined.iter().any(|joined| user(joined).as_ref() == Some(&gone))
        {
            self.users.remove(&gone);
            self.tell(&Told::Removed(gone));
        }
        self.tell(&Told::Count(self.joined.len() as u64));
    }

    fn tell(&mut self, told: &Told) {
        let shards: crate::ShardSet = self.joined.iter().map(|joined| joined.shard).collect();
        if shards.is_empty() {
            return;
        }
        self.sequence += 1;
        for shard in shards.iter() {
            self.told.entry(shard).or_default().push((self.sequence, told.clone()));
        }
    }

    fn members(&self) -> Vec<Member> {
        self.users.values().cloned().collect()
    }
}

impl From<&Push> for Told {
    fn from(push: &Push) -> Self {
        match push {
            Push::Publication(publication) => Self::Publication(publication.id.0),
            Push::MemberAdded(member) => Self::Added(member.clone()),
            Push::MemberRemoved(user) => Self::Removed(user.clone()),
            Push::SubscriptionCount(count) => Self::Count(*count),
        }
    }
}

pub(super) async fn edges_alternate_when_users_come_and_go_at_once(subject: Subject) {
    const TASKS: u64 = 4;
    let key = key("crowd");
    let watching = subject.join(&key, joiner(0, u64::MAX)).await;
    let mut random = Random::from_environment();
    let mut crowd = JoinSet::new();
    for task in 0..TASKS {
        let (subject, key) = (subject.clone(), key.clone());
        let mut random = Random { seed: random.seed, state: random.below(u64::MAX) };
        crowd.spawn(async move {
            for visit in 0..200 {
                let user = format!("user-{}", random.below(3));
                let visitor = joiner_as(task as u8 % 2, task << 32 | visit, &user);
                let joined = subject.join(&key, visitor.clone()).await;
                let members = joined.members.expect("it came as a member");
                assert!(members.iter().any(|member| member.user.as_str() == user));
                if random.below(2) == 0 {
                    tokio::task::yield_now().await;
                }
                subject.leave(&key, &visitor);
            }
        });
    }
    crowd.join_all().await;
    until("all to have gone", async || subject.subscriptions(&key).await == 1).await;
    subject.publish(&key, 7, pass()).await;
    until("the last delivery", async || {
        let told = subject.sink.inbox(ShardId(0), &key);
        told.last().is_some_and(|last| matches!(last.push, Push::Publication(_)))
    })
    .await;

    let mut told = subject.sink.inbox(ShardId(0), &key);
    assert_sequence(&told, watching.sequence);
    assert_eq!(told.pop().map(|last| id_of(&last)), Some(7));
    let mut present = BTreeMap::<UserId, bool>::new();
    for delivery in &told {
        let (user, comes) = match Told::from(&delivery.push) {
            Told::Added(member) => (member.user, true),
            Told::Removed(user) => (user, false),
            other => panic!("{other:?} was told unasked"),
        };
        let was = present.insert(user, comes).unwrap_or(false);
        assert_ne!(was, comes, "seed {}: an edge twice: {delivery:?}", random.seed);
    }
    assert!(present.values().all(|is_present| !is_present), "one is left: {present:?}");
    let members = subject.broker.members(&key).await.expect("members are known");
    assert_eq!(members, []);
}

pub(super) async fn counts_are_told(subject: Subject) {
    let key = key("counted");
    let counted = |connection| Joiner { counts: true, ..joiner(0, connection) };
    let total = COUNT_AT_ONCE_MAX + 50;
    for connection in 1..=total {
        let joined = subject.join(&key, counted(connection)).await;
        assert_eq!(joined.count, Some(connection));
    }
    // Above the bound nothing is told at once; the first was nobody's news.
    let at_once = COUNT_AT_ONCE_MAX as usize - 1;
    let told = subject.told(0, &key, at_once).await;
    let counts: Vec<_> = told.iter().map(|delivery| Told::from(&delivery.push)).collect();
    assert_eq!(counts, (2..=COUNT_AT_ONCE_MAX).map(Told::Count).collect::<Vec<_>>());
    assert!(DEADLINE > crate::COUNT_INTERVAL);
    until("the held count", async || {
        subject.broker.sweep();
        subject.sink.inbox(ShardId(0), &key).len() > at_once
    })
    .await;
    let told = subject.told(0, &key, at_once + 1).await;
    assert_eq!(Told::from(&told[at_once].push), Told::Count(total));

    // Who does not ask for counts neither gets nor causes them.
    let plain = super::key("not-counted");
    subject.join(&plain, joiner(0, 1)).await;
    let joined = subject.join(&plain, joiner(0, 2)).await;
    assert_eq!((joined.count, joined.members), (None, None));
    subject.told(0, &plain, 0).await;
}

pub(super) async fn members_have_a_ceiling(subject: Subject) {
    let key = key("small");
    let within = |connection, user| Joiner { members_max: 2, ..joiner_as(0, connection, user) };
    subject.join(&key, within(1, "a")).await;
    subject.join(&key, within(2, "b")).await;
    let refused = subject.broker.join(&key, within(3, "c")).await;
    assert!(matches!(refused, Err(Error::MembersExhausted)), "{refused:?}");
    assert_eq!(subject.subscriptions(&key).await, 2);
    // Another connection of one who is in takes no place, and a plain subscriber neither.
    subject.join(&key, within(4, "a")).await;
    subject.join(&key, joiner(0, 5)).await;
    subject.leave(&key, &within(2, "b"));
    until("one to be gone", async || subject.subscriptions(&key).await == 3).await;
    subject.join(&key, within(6, "c")).await;

    // A channel in which the first member finds no place was never there.
    let none = Joiner { members_max: 0, channels_max: 2, ..joiner_as(0, 7, "a") };
    let refused = subject.broker.join(&super::key("closed"), none).await;
    assert!(matches!(refused, Err(Error::MembersExhausted)), "{refused:?}");
    let last = Joiner { channels_max: 2, ..joiner(0, 8) };
    subject.join(&super::key("open"), last).await;
}

pub(super) async fn channels_have_a_ceiling(subject: Subject) {
    const CHANNELS_MAX: u32 = 10;
    let mut joins = JoinSet::new();
    for number in 0..40_u64 {
        let subject = subject.clone();
        joins.spawn(async move {
            let joiner = Joiner { channels_max: CHANNELS_MAX, ..joiner(0, number) };
            let key = key(&format!("channel-{number}"));
            match subject.broker.join(&key, joiner.clone()).await {
                Ok(_) => Some((key, joiner)),
                Err(Error::ChannelsExhausted) => None,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let joined: Vec<_> = joins.join_all().await.into_iter().flatten().collect();
    assert_eq!(joined.len(), CHANNELS_MAX as usize);
    let keep = |keep| crate::Keep { channels_max: CHANNELS_MAX, ..keep };
    let one_more = key("one-more");
    let refused =
        subject.broker.publish(&one_more, super::publication(1), keep(super::keep_history(1)));
    assert_exhausted(&refused.await);
    let refused =
        subject.broker.publish(&one_more, super::publication(1), keep(super::keep_last_value()));
    assert_exhausted(&refused.await);
    // What leaves nothing behind needs no place; nor does a second subscriber; nor another app.
    subject.publish(&one_more, 1, keep(pass())).await;
    let (known, first) = &joined[0];
    let second = Joiner { channels_max: CHANNELS_MAX, ..joiner(0, 100) };
    subject.join(known, second.clone()).await;
    subject.join(&ChannelKey::new(OTHER_APP, one_more.channel.clone()), second.clone()).await;

    subject.leave(known, first);
    assert_exhausted(&subject.broker.join(&one_more, second.clone()).await);
    subject.leave(known, &second);
    until("a place for one more", async || {
        subject.broker.join(&one_more, second.clone()).await.is_ok()
    })
    .await;
}
