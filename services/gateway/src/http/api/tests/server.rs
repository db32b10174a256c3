//! A started gateway, and a client that sends exactly what it is told to.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker::memory::Memory;
use broker::{Broker, Error, Joined, Joiner, Keep, Leaver};
use model::pattern::Pattern;
use model::{
    ApiKey, App, AppCode, AppId, AppLimits, AppState, ChannelKey, ChannelRule, ChannelState,
    Environment, HistoryPage, Member, Position, Publication, Retention, RuleSet, SigningKey,
};
use runtime::Span;
use runtime::admin::Health;
use runtime::telemetry::Tracer;
use serde_json::Value;

use crate::auth::bearer;
use crate::config::{Config, Listen};
use crate::{Parts, Running};

/// A gateway with the apps `demo`, `other` (with a key of its own), `off` (switched off) and
/// `slow` (one message a second).
pub(super) struct Server {
    pub(super) running: Running,
    pub(super) address: SocketAddr,
    /// Of every app but `other`.
    pub(super) key: String,
    pub(super) other_key: String,
}

#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// Lower case, as one text.
    pub(super) head: String,
    pub(super) text: String,
    pub(super) body: Value,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(super) fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_traced(change, None)
    }

    pub(super) fn start_traced(change: impl FnOnce(&mut Config), tracer: Option<Tracer>) -> Self {
        let (key, other_key) = [(); 2].map(|()| bearer::generate(Environment::Development)).into();
        let mut config = Config {
            listen: Listen(vec![String::from("127.0.0.1:0")]),
            shards: 2,
            ..Config::default()
        };
        config.limits.connects_per_second = 100_000;
        config.limits.connects_per_second_per_address = 100_000;
        config.limits.api_body_timeout = Span::from_millis(500);
        change(&mut config);
        let apps = vec![
            app(1, "demo", &key, |_| {}),
            app(2, "other", &other_key, |_| {}),
            app(3, "off", &key, |app| app.state = AppState::Disabled),
            app(4, "slow", &key, |app| app.limits.publishes_per_second = 1),
        ];
        let running = crate::start(Parts {
            config: config.check().unwrap(),
            apps,
            meter: opentelemetry::global::meter("test"),
            tracer,
            health: Health::new(),
            page: None,
            broker: Some(|sink| Arc::new(Moody(Memory::new(sink)))),
        });
        let running = running.unwrap();
        let address = running.addresses()[0];
        let text = |key: &bearer::Generated| key.text.expose().clone();
        Self { running, address, key: text(&key), other_key: text(&other_key) }
    }

    pub(super) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    /// Sends bytes as they are, then nothing more.
    pub(super) fn raw(&self, request: impl AsRef<[u8]>) -> Answered {
        let mut socket = self.connect();
        // A refused upload may be cut off while it is sent: the answer is what counts.
        let _ = socket.write_all(request.as_ref());
        read(&mut socket)
    }

    /// As [`Server::raw`], and says that nothing follows.
    pub(super) fn raw_and_end(&self, request: impl AsRef<[u8]>) -> Answered {
        let mut socket = self.connect();
        socket.write_all(request.as_ref()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        read(&mut socket)
    }

    pub(super) fn post(&self, path: &str, body: &str) -> Answered {
        self.post_with(path, "", body)
    }

    /// `headers` end with CRLF each.
    pub(super) fn post_with(&self, path: &str, headers: &str, body: &str) -> Answered {
        self.raw(self.request(path, headers, body))
    }

    pub(super) fn request(&self, path: &str, headers: &str, body: &str) -> String {
        let (key, length) = (&self.key, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
    }

    /// A publication that the gateway waits for the body of.
    pub(super) fn begin(&self, path: &str, body: &str) -> TcpStream {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let request = self.request(path, "expect: 100-continue\r\n", body);
        let mut socket = self.connect();
        socket.write_all(&request.as_bytes()[..request.len() - body.len()]).unwrap();
        let mut told = [0; CONTINUE.len()];
        socket.read_exact(&mut told).unwrap();
        assert_eq!(told, CONTINUE);
        socket
    }

    pub(super) fn get(&self, path: &str) -> Answered {
        let key = &self.key;
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"))
    }

    /// Whether a client that does everything right is served.
    pub(super) fn assert_serves(&self, after: &str) {
        let answered = self.post("/v1/apps/demo/publish", r#"{"channel":"well","data":1}"#);
        assert_eq!(answered.status, 200, "after {after}: {answered:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.stop();
    }
}

impl Answered {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// Without what differs from one answer to the next.
    pub(super) fn without_id(&self) -> (u16, String) {
        let id = self.body["request_id"].as_str().unwrap_or("none");
        (self.status, self.text.replace(id, "ID"))
    }
}

/// One answer; those of `100 Continue` are in its head.
pub(super) fn read(socket: &mut TcpStream) -> Answered {
    let mut bytes = Vec::new();
    let head_ends = loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let begin = text.rfind("http/1.1 ").unwrap_or(0);
        if let Some(at) = text[begin..].find("\r\n\r\n")
            && !text[begin..].starts_with("http/1.1 100")
        {
            break begin + at + 4;
        }
        let before = bytes.len();
        more(socket, &mut bytes);
        assert!(bytes.len() > before, "no answer but {text:?}");
    };
    let head = String::from_utf8_lossy(&bytes[..head_ends]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_ends + length {
        let before = bytes.len();
        more(socket, &mut bytes);
        assert!(bytes.len() > before, "cut off: {head}");
    }
    let text = String::from_utf8_lossy(&bytes[head_ends..]).into_owned();
    let last = &head[head.rfind("http/1.1 ").unwrap()..];
    let status = last["http/1.1 ".len()..][..3].parse().unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answered { status, head, text, body }
}

fn more(socket: &mut TcpStream, into: &mut Vec<u8>) {
    // A byte at a time would do too; answers are never pipelined by `read`'s callers.
    let mut buffer = [0; 16 * 1024];
    let read = socket.read(&mut buffer).unwrap_or(0);
    into.extend_from_slice(&buffer[..read]);
}

fn app(id: u64, code: &str, key: &bearer::Generated, change: impl FnOnce(&mut App)) -> App {
    let keep = ChannelRule {
        pattern: Pattern::parse("kept-*").unwrap(),
        history: Retention { size: 1_000, age: Duration::from_secs(60) },
        ..ChannelRule::of_last_resort()
    };
    let mut app = App {
        id: AppId(id),
        code: AppCode::parse(code).unwrap(),
        state: AppState::Active,
        environment: Environment::Development,
        dialects: vec!["raw", "pusher"],
        origins: Vec::new(),
        echo: false,
        client_events: false,
        subscription_counts: false,
        keys: vec![SigningKey { key: format!("{code}-key"), secret: b"0123456789abcdef".into() }],
        api_keys: vec![ApiKey { key_id: key.key_id.clone(), sha256: key.sha256 }],
        limits: AppLimits::default(),
        rules: RuleSet::new(vec![keep]).unwrap(),
    };
    change(&mut app);
    app
}

/// A broker that is away on channels named `away*` and never answers on channels named `stuck*`.
#[derive(Debug)]
struct Moody(Memory);

#[async_trait]
impl Broker for Moody {
    async fn join(&self, channel: &ChannelKey, joiner: Joiner) -> Result<Joined, Error> {
        self.0.join(channel, joiner).await
    }

    fn leave(&self, channel: &ChannelKey, leaver: &Leaver) {
        self.0.leave(channel, leaver);
    }

    async fn publish(
        &self,
        channel: &ChannelKey,
        publication: Publication,
        keep: Keep,
    ) -> Result<Option<Position>, Error> {
        let name = channel.channel.as_str();
        if name.starts_with("away") {
            return Err(Error::Unavailable);
        }
        if name.starts_with("stuck") {
            std::future::pending::<()>().await;
        }
        if name.starts_with("kept-late") {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.0.publish(channel, publication, keep).await
    }

    async fn history(
        &self,
        channel: &ChannelKey,
        since: Option<Position>,
        limit: usize,
    ) -> Result<HistoryPage, Error> {
        self.0.history(channel, since, limit).await
    }

    async fn channel(&self, channel: &ChannelKey) -> Result<ChannelState, Error> {
        self.0.channel(channel).await
    }

    async fn members(&self, channel: &ChannelKey) -> Result<Vec<Member>, Error> {
        self.0.members(channel).await
    }

    async fn channels(
        &self,
        app: AppId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ChannelState>, Error> {
        self.0.channels(app, prefix, limit).await
    }

    fn sweep(&self) {
        self.0.sweep();
    }
}
