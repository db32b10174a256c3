//! Hubs of several shards over the memory broker, held against a model: random joins, leaves,
//! publications, slow readers and turns. One order, each at most once, nothing from before a
//! subscription, presence edges where the model has them.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use broker::{DeliverySink, Joiner, Keep, Leaver, ShardId};
use model::{
    AppState, ChannelKey, ChannelName, ConnectionId, Environment, Member, Payload, Publication,
    RuleSet, SigningKey, Source, UserId,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::config::Config;
use crate::connection::{Connection, Who};
use crate::gateway::{Gateway, Ingredients};
use crate::metrics::Instruments;
use crate::shard::Shard;
use crate::shard::inbox::{Inboxes, Item};
use crate::transport::Transport;

const SHARDS: usize = 2;
/// Enough for a walk over the members of a shard to take more than one turn.
const PEERS: usize = 360;
const CHANNELS: [&str; 3] = ["a", "b", "c"];
const USERS: u64 = 3;

/// What a subscriber is told, in words that both dialects share.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Published(u64),
    Came(u64),
    Left(u64),
}

/// A connection, the socket's other end, and what the model says of it.
struct Peer {
    connection: Rc<Connection>,
    socket: TcpStream,
    read: Vec<u8>,
    /// Bytes of `read` that have been understood.
    understood: usize,
    got: BTreeMap<&'static str, Vec<Said>>,
    stays: BTreeMap<&'static str, Stay>,
}

struct Stay {
    audience: u32,
    user: Option<u64>,
    due: Vec<Said>,
}

struct World {
    gateway: Arc<Gateway>,
    shards: Vec<Rc<Shard>>,
    peers: Vec<Peer>,
    listener: TcpListener,
    random: u64,
    published: u64,
    closed_as_slow: usize,
}

fn app() -> model::App {
    model::App {
        id: model::AppId(1),
        code: model::AppCode::parse("demo").expect("a code"),
        state: AppState::Active,
        environment: Environment::Development,
        dialects: vec!["raw", "pusher"],
        origins: Vec::new(),
        echo: false,
        client_events: false,
        subscription_counts: false,
        keys: vec![SigningKey { key: String::from("key"), secret: vec![1; 16] }],
        api_keys: Vec::new(),
        limits: model::AppLimits::default(),
        rules: RuleSet::new(Vec::new()).expect("no rule twice"),
    }
}

fn gateway() -> Arc<Gateway> {
    let text = format!(
        "shards = {SHARDS}\n[limits]\nframe_bytes_max = \"1KiB\"\nmessage_bytes_max = \"1KiB\"\n\
         queue_bytes_max = \"8KiB\"\n"
    );
    let config: Config =
        runtime::config::parse_text(&text, Path::new("gateway.toml")).expect("valid TOML");
    let config = config.check().expect("valid values");
    let inboxes = Arc::new(Inboxes::new(SHARDS, config.limits.inbox_bytes_max));
    let sink = Arc::clone(&inboxes) as Arc<dyn DeliverySink>;
    Arc::new(Gateway::new(Ingredients {
        config,
        apps: vec![app()],
        broker: Arc::new(broker::memory::Memory::new(sink)),
        inboxes,
        instruments: Instruments::new(&opentelemetry::global::meter("test")),
        tracer: None,
        health: runtime::admin::Health::new(),
        tls: None,
        page: None,
    }))
}

fn key(channel: &str) -> ChannelKey {
    ChannelKey::new(model::AppId(1), ChannelName::parse(channel).expect("a name"))
}

impl World {
    async fn new(seed: u64) -> Self {
        let gateway = gateway();
        let shard = |number| Shard::new(Arc::clone(&gateway), ShardId(number));
        let shards = (0..SHARDS as u8).map(shard).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut world = Self {
            gateway,
            shards,
            peers: Vec::new(),
            listener,
            random: seed,
            published: 0,
            closed_as_slow: 0,
        };
        for number in 0..PEERS {
            let peer = world.connect(number).await;
            world.peers.push(peer);
            world.join(number, CHANNELS[number % CHANNELS.len()]).await;
        }
        world
    }

    fn below(&mut self, bound: usize) -> usize {
        // xorshift64: all that is asked of it is that a seed repeats a run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    /// One peer in ten holds little; half of them speak each dialect.
    async fn connect(&self, number: usize) -> Peer {
        let socket = TcpSocket::new_v4().expect("a socket");
        if number.is_multiple_of(10) {
            socket.set_recv_buffer_size(4096).expect("set");
        }
        let socket = socket.connect(self.listener.local_addr().expect("bound"));
        let (socket, accepted) = tokio::join!(socket, self.listener.accept());
        let (server, _) = accepted.expect("accepted");
        socket2::SockRef::from(&server).set_tcp_notsent_lowat(4096).expect("set");
        server.set_nodelay(true).expect("set");
        let shard = Rc::clone(&self.shards[number % SHARDS]);
        let dialect = if number.is_multiple_of(2) { "raw" } else { "pusher" };
        let who = Who {
            id: self.gateway.connection_id(),
            protocol: protocol::find(dialect).expect("a dialect"),
            app: self.gateway.directory.by_id(1).expect("the app"),
            key: "key".into(),
            origin: None,
        };
        let connection = Rc::new(Connection::new(Rc::clone(&shard), who));
        connection.attach(Transport::plain(server));
        shard.insert(&connection);
        Peer {
            connection,
            socket: socket.expect("connected"),
            read: Vec::new(),
            understood: 0,
            got: BTreeMap::new(),
            stays: BTreeMap::new(),
        }
    }

    async fn join(&mut self, number: usize, channel: &'static str) {
        let user = (self.below(3) > 0).then(|| self.below(USERS as usize) as u64);
        let peer = &self.peers[number];
        let shard = Rc::clone(&peer.connection.shard);
        let member = user.map(|user| Member {
            user: UserId::parse(&user.to_string()).expect("an id"),
            info: None,
        });
        let joiner = Joiner {
            shard: shard.id,
            connection: peer.connection.id,
            member,
            counts: false,
            cached: false,
            channels_max: 100,
            members_max: 100,
        };
        let joined = self.gateway.broker.join(&key(channel), joiner).await.expect("room for all");
        let membership =
            shard.hub.borrow_mut().join(&key(channel), &peer.connection, joined.sequence);
        if let Some(user) = user.filter(|user| self.tabs(channel, *user) == 0) {
            self.tell(channel, &Said::Came(user), None);
        }
        let stay = Stay { audience: membership.audience, user, due: Vec::new() };
        self.peers[number].stays.insert(channel, stay);
    }

    /// Leaves, and holds what was got against what was due: all of it, but for the end.
    async fn leave(&mut self, number: usize, channel: &'static str) {
        let peer = &mut self.peers[number];
        let Stay { audience, user, due } = peer.stays.remove(channel).expect("it is in");
        let shard = Rc::clone(&peer.connection.shard);
        shard.hub.borrow_mut().leave(&peer.connection, audience);
        let leaver = Leaver {
            shard: shard.id,
            connection: peer.connection.id,
            user: user.map(|user| UserId::parse(&user.to_string()).expect("an id")),
            counts: false,
        };
        self.gateway.broker.leave(&key(channel), &leaver);
        peer.drain().await;
        let got = peer.got.remove(channel).unwrap_or_default();
        let due = peer.understands(&due);
        assert!(due.starts_with(&got), "peer {number} on {channel}: {got:?} of {due:?}");
        if let Some(user) = user.filter(|user| self.tabs(channel, *user) == 0) {
            self.tell(channel, &Said::Left(user), None);
        }
    }

    async fn publish(&mut self, channel: &'static str, exclude: Option<ConnectionId>) {
        self.published += 1;
        let padding = "x".repeat(self.below(300));
        let payload = format!("{} {channel} {padding}", self.published);
        let publication = Publication {
            id: self.gateway.message_id(),
            event: None,
            payload: Payload::text(payload),
            exclude,
            source: Source::Server,
            position: None,
        };
        let (broker, key) = (&self.gateway.broker, key(channel));
        broker.publish(&key, publication, Keep::default()).await.expect("inboxes have room");
        self.tell(channel, &Said::Published(self.published), exclude);
    }

    fn tabs(&self, channel: &str, user: u64) -> usize {
        let stays = self.peers.iter().filter_map(|peer| peer.stays.get(channel));
        stays.filter(|stay| stay.user == Some(user)).count()
    }

    fn tell(&mut self, channel: &str, said: &Said, exclude: Option<ConnectionId>) {
        for peer in self.peers.iter_mut().filter(|peer| Some(peer.connection.id) != exclude) {
            if let Some(stay) = peer.stays.get_mut(channel) {
                stay.due.push(said.clone());
            }
        }
    }

    /// What came to a shard's inbox goes to its hub.
    fn pump(&self, shard: usize) {
        let (shard, mut items) = (&self.shards[shard], VecDeque::new());
        shard.inbox().take(&mut items);
        for item in items {
            let Item::Delivery(delivery, since) = item else { panic!("only deliveries: {item:?}") };
            let bytes = match &delivery.push {
                model::Push::Publication(_) => delivery.cost_bytes(),
                _ => 0,
            };
            if !shard.hub.borrow_mut().deliver(delivery, since) {
                shard.inbox().release(bytes);
            }
        }
    }

    fn turn(&self, shard: usize) -> bool {
        let shard = &self.shards[shard];
        let step = shard.hub.borrow_mut().step(2048);
        if let Some(step) = &step {
            shard.inbox().release(step.released);
        }
        step.is_some()
    }

    /// Whoever was closed for being slow is taken out, as its task would, and replaced.
    async fn bury(&mut self) {
        for number in 0..self.peers.len() {
            if !self.peers[number].connection.is_closing() {
                continue;
            }
            self.closed_as_slow += 1;
            for channel in CHANNELS {
                if self.peers[number].stays.contains_key(channel) {
                    self.leave(number, channel).await;
                }
            }
            let connection = Rc::clone(&self.peers[number].connection);
            connection.shard.remove(&connection);
            self.peers[number] = self.connect(number).await;
        }
    }

    /// Most leave in the middle of a walk over them, which must miss and repeat nobody; then all are
    /// back.
    async fn flee(&mut self, channel: &'static str) {
        self.publish(channel, None).await;
        for shard in 0..SHARDS {
            self.pump(shard);
            self.turn(shard);
        }
        for number in 0..PEERS {
            if self.peers[number].stays.contains_key(channel) && self.below(4) > 0 {
                self.leave(number, channel).await;
            }
        }
        for shard in 0..SHARDS {
            while self.turn(shard) {}
        }
        for number in 0..PEERS {
            if !self.peers[number].stays.contains_key(channel) {
                self.join(number, channel).await;
            }
        }
    }

    async fn step(&mut self) {
        let (number, channel) = (self.below(PEERS), CHANNELS[self.below(CHANNELS.len())]);
        let shard = self.below(SHARDS);
        match self.below(20) {
            0..6 if self.peers[number].stays.contains_key(channel) => {
                self.leave(number, channel).await;
            }
            0..6 => self.join(number, channel).await,
            6..8 => self.publish(channel, None).await,
            8 => self.publish(channel, Some(self.peers[number].connection.id)).await,
            9..12 => self.pump(shard),
            12..18 => {
                self.turn(shard);
            }
            18 if self.below(8) == 0 => self.flee(channel).await,
            _ => self.peers[number].drain().await,
        }
        self.bury().await;
    }
}

impl Peer {
    /// Takes all that was written for it; the connection knows how much that is. Of one that was
    /// closed for being slow: what is there, since its queue will be cut.
    async fn drain(&mut self) {
        let moment = std::time::Duration::from_millis(5);
        while (self.read.len() as u64) < self.connection.tally.bytes_out.get() {
            if !self.connection.is_closing() {
                self.connection.flush();
            }
            // A moment without anything to read is a moment to flush.
            let readable = tokio::time::timeout(moment, self.socket.readable()).await;
            if readable.is_err() && self.connection.is_closing() {
                break;
            }
            match self.socket.try_read_buf(&mut self.read) {
                Ok(0) => panic!("the socket ended"),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(said) = self.next() {
            let (channel, said) = said;
            self.got.entry(channel).or_default().push(said);
        }
    }

    /// The next frame that it was told: all of them are text.
    fn next(&mut self) -> Option<(&'static str, Said)> {
        let rest = &self.read[self.understood..];
        let (header, length) = match *rest.get(1)? {
            126 => (4, usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]))),
            short => (2, usize::from(short)),
        };
        assert_eq!(rest[0], 0x81, "a whole text message");
        let text = std::str::from_utf8(rest.get(header..header + length)?).expect("UTF-8");
        self.understood += header + length;
        let raw = self.connection.protocol.name() == "raw";
        Some(if raw { published(text) } else { Self::event(text) })
    }

    fn event(text: &str) -> (&'static str, Said) {
        let message: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let channel = known(message["channel"].as_str().expect("a channel"));
        let data = message["data"].as_str().expect("data");
        let user = || {
            let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
            data["user_id"].as_str().and_then(|user| user.parse().ok()).expect("a user")
        };
        let said = match message["event"].as_str().expect("an event") {
            "message" => {
                let (of, said) = published(data);
                assert_eq!(of, channel);
                said
            }
            "pusher_internal:member_added" => Said::Came(user()),
            "pusher_internal:member_removed" => Said::Left(user()),
            other => panic!("unexpected {other}"),
        };
        (channel, said)
    }

    /// What of it the dialect has a word for.
    fn understands(&self, due: &[Said]) -> Vec<Said> {
        let raw = self.connection.protocol.name() == "raw";
        let said = |said: &&Said| !raw || matches!(said, Said::Published(_));
        due.iter().filter(said).cloned().collect()
    }
}

fn known(channel: &str) -> &'static str {
    CHANNELS.into_iter().find(|known| *known == channel).expect("a channel of ours")
}

/// A payload names its publication and its channel.
fn published(payload: &str) -> (&'static str, Said) {
    let mut words = payload.split(' ');
    let number = words.next().and_then(|number| number.parse().ok()).expect("a number");
    (known(words.next().expect("a channel")), Said::Published(number))
}

#[tokio::test(flavor = "local")]
async fn shards_tell_what_the_model_says() {
    for seed in [1, 20_251] {
        let mut world = World::new(seed).await;
        for _ in 0..2_500 {
            world.step().await;
        }
        for shard in 0..SHARDS {
            world.pump(shard);
            while world.turn(shard) {}
        }
        world.bury().await;
        // Now nothing waits: who is still in has all that was due.
        for shard in 0..SHARDS {
            world.pump(shard);
            while world.turn(shard) {}
        }
        for peer in &mut world.peers {
            peer.drain().await;
            for (channel, stay) in &peer.stays {
                let got = peer.got.get(channel).cloned().unwrap_or_default();
                if !peer.connection.is_closing() {
                    assert_eq!(got, peer.understands(&stay.due), "seed {seed}, on {channel}");
                }
            }
        }
        assert!(world.published > 200 && world.closed_as_slow > 0, "seed {seed} tried too little");
        assert_eq!(world.gateway.inboxes.bytes(), 0, "all room was given back");
        for number in 0..PEERS {
            for channel in CHANNELS {
                if world.peers[number].stays.contains_key(channel) {
                    world.leave(number, channel).await;
                }
            }
        }
        for shard in 0..SHARDS {
            world.pump(shard);
            while world.turn(shard) {}
            let hub = world.shards[shard].hub.borrow();
            assert_eq!((hub.subscriptions(), hub.channels()), (0, 0), "nothing is left behind");
        }
    }
}
