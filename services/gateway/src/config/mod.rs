//! The gateway's own configuration: `gateway.toml` as written, and what is left of it once checked.

mod cidr;
mod descriptors;
pub(crate) mod limits;
pub(crate) mod sample;

#[cfg(test)]
mod tests;

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use runtime::Span;
use runtime::config::check_range;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::connection::assembly::FrameLimits;
use crate::shard;

pub use cidr::{Cidr, CidrError, TrustedProxies};
pub use descriptors::cap_connections;
pub use limits::{Limits, LimitsConfig};
pub use runtime::config::Error as ConfigError;
pub use runtime::telemetry::LogConfig;

const SHARDS_MAX: usize = broker::ShardId::COUNT_MAX;
const LISTEN_MAX: usize = 16;
/// Of echo apps, which exist for conformance runs: what those send is larger than any limit.
const ECHO_BYTES_MAX: usize = 32 << 20;
const ECHO_FRAGMENTS_MAX: u32 = 200_000;

/// `gateway.toml`. Nothing in it is to be relied on before [`Config::check`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub listen: Listen,
    pub admin_listen: String,
    pub apps: PathBuf,
    pub shards: usize,
    pub trusted_proxies: Vec<String>,
    pub forwarded_hops_max: usize,
    pub allow_insecure: bool,
    pub tls: TlsConfig,
    pub log: LogConfig,
    pub shutdown: ShutdownConfig,
    pub limits: LimitsConfig,
}

/// One address, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listen(pub Vec<String>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownConfig {
    pub window: Span,
}

/// What the rest of the program sees: every value in its range, none in another's way.
#[derive(Clone, Debug)]
pub struct Checked {
    pub listen: Vec<SocketAddr>,
    pub admin_listen: SocketAddr,
    pub apps: PathBuf,
    pub shards: usize,
    pub tls: Option<TlsFiles>,
    pub trusted_proxies: TrustedProxies,
    pub log: LogConfig,
    pub shutdown_window: Duration,
    pub limits: Limits,
    /// Clients reach it without TLS from other machines: to be said at start and each hour.
    pub insecure: bool,
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Something that works, and that its operator should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(String);

impl Checked {
    /// What a shard asks on every message.
    pub(crate) fn limits_of_a_shard(&self) -> shard::Limits {
        let limits = &self.limits;
        let ticks = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX).max(1);
        shard::Limits {
            frames: FrameLimits {
                frame_bytes_max: limits.frame_bytes_max,
                message_bytes_max: limits.message_bytes_max,
                fragments_max: u32::try_from(limits.fragments_max).unwrap_or(u32::MAX),
            },
            echo_frames: FrameLimits {
                frame_bytes_max: ECHO_BYTES_MAX,
                message_bytes_max: ECHO_BYTES_MAX,
                fragments_max: ECHO_FRAGMENTS_MAX,
            },
            frames_per_second: limits.frames_per_second,
            control_frames_per_second: limits.control_frames_per_second,
            queue_bytes_max: limits.queue_bytes_max,
            stall_ticks: ticks(limits.stall_timeout),
            message_ticks: ticks(limits.message_timeout),
            errors_max: limits.errors_max,
            errors_window: ticks(limits.errors_window),
        }
    }
}

impl Config {
    /// Refuses what lies outside its range or contradicts something else, naming the keys and what
    /// to write instead. Reads no file and opens no socket.
    pub fn check(self) -> Result<Checked, ConfigError> {
        let listen = self.check_listen()?;
        let admin_listen = address("admin_listen", &self.admin_listen)?;
        if listen.iter().any(|other| other.port() != 0 && *other == admin_listen) {
            return Err(ConfigError::invalid(
                "admin_listen",
                format!("{admin_listen} is also in listen"),
                "give the admin listener a port of its own",
            ));
        }
        let tls = self.check_tls()?;
        let insecure = self.check_insecure(&listen, tls.is_some())?;
        check_range("shards", &self.shards, 0..=SHARDS_MAX)?;
        let shards = match self.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(SHARDS_MAX),
            shards => shards,
        };
        check_range("shutdown.window", &self.shutdown.window, Span::ZERO..=Span::from_secs(3_600))?;
        self.log.check()?;
        let mut warnings = Vec::new();
        let trusted_proxies = self.check_proxies(&mut warnings)?;
        if insecure {
            warnings.push(Warning::new(
                "allow_insecure is set: clients' keys and messages travel without encryption \
                 unless something in front of the gateway ends TLS",
            ));
        }
        if !admin_listen.ip().is_loopback() {
            warnings.push(Warning::new(format!(
                "admin_listen {admin_listen} is not a loopback address: whoever reaches it reads \
                 the metrics"
            )));
        }
        Ok(Checked {
            listen,
            admin_listen,
            shards,
            tls,
            trusted_proxies,
            insecure,
            warnings,
            log: self.log,
            shutdown_window: self.shutdown.window.as_duration(),
            limits: self.limits.check()?,
            apps: self.apps,
        })
    }

    /// The defaults, as a file that explains each key.
    pub fn example() -> String {
        Self::default().render()
    }

    /// These values, as a file that explains each key and reads back as the same.
    pub fn render(&self) -> String {
        sample::render(self)
    }

    fn check_listen(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        let texts = &self.listen.0;
        if texts.is_empty() || texts.len() > LISTEN_MAX {
            return Err(ConfigError::invalid(
                "listen",
                format!("has {} addresses", texts.len()),
                format!("list from 1 to {LISTEN_MAX}"),
            ));
        }
        let mut addresses: Vec<SocketAddr> = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let key = format!("listen[{index}]");
            let address = address(&key, text)?;
            if address.port() != 0 && addresses.contains(&address) {
                return Err(ConfigError::invalid(
                    key,
                    format!("{address} is listed twice"),
                    "remove one",
                ));
            }
            addresses.push(address);
        }
        Ok(addresses)
    }

    fn check_tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        match (&self.tls.certificate, &self.tls.key) {
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsFiles { certificate: certificate.clone(), key: key.clone() }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(ConfigError::invalid(
                "tls.key",
                "is missing beside tls.certificate",
                "set both, or neither to serve without TLS",
            )),
            (None, Some(_)) => Err(ConfigError::invalid(
                "tls.certificate",
                "is missing beside tls.key",
                "set both, or neither to serve without TLS",
            )),
        }
    }

    /// Whether clients are served in the clear on an address that others reach.
    fn check_insecure(&self, listen: &[SocketAddr], tls: bool) -> Result<bool, ConfigError> {
        let open = listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
        match open {
            Some(address) if !tls && !self.allow_insecure => Err(ConfigError::invalid(
                "listen",
                format!("{address} is not a loopback address and there is no TLS"),
                "set tls.certificate and tls.key, or allow_insecure = true where something in \
                 front of the gateway ends TLS",
            )),
            Some(_) => Ok(!tls),
            None => Ok(false),
        }
    }

    fn check_proxies(&self, warnings: &mut Vec<Warning>) -> Result<TrustedProxies, ConfigError> {
        check_range("forwarded_hops_max", &self.forwarded_hops_max, 1..=32)?;
        let mut blocks = Vec::with_capacity(self.trusted_proxies.len());
        for (index, text) in self.trusted_proxies.iter().enumerate() {
            let key = format!("trusted_proxies[{index}]");
            let block: Cidr = text.parse().map_err(|error: CidrError| {
                let text = error.to_string();
                let (problem, fix) = text.split_once("; ").unwrap_or((&text, ""));
                ConfigError::invalid(key.clone(), problem, fix)
            })?;
            if block.is_everyone() {
                warnings.push(Warning::new(format!(
                    "{key} is everyone: any client can claim any address, and limits per address \
                     hold no one"
                )));
            }
            blocks.push(block);
        }
        Ok(TrustedProxies { blocks, hops_max: self.forwarded_hops_max })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen(vec![String::from("127.0.0.1:8080")]),
            admin_listen: String::from("127.0.0.1:8081"),
            apps: PathBuf::from("apps.toml"),
            shards: 0,
            trusted_proxies: Vec::new(),
            forwarded_hops_max: 4,
            allow_insecure: false,
            tls: TlsConfig::default(),
            log: LogConfig::default(),
            shutdown: ShutdownConfig::default(),
            limits: LimitsConfig::default(),
        }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { window: Span::from_secs(60) }
    }
}

impl Warning {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListenVisitor)
    }
}

struct ListenVisitor;

impl<'de> Visitor<'de> for ListenVisitor {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as \"127.0.0.1:8080\", or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Listen, E> {
        Ok(Listen(vec![String::from(text)]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Listen, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Listen(list))
    }
}

fn address(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        ConfigError::invalid(
            key,
            "is not an IP address and port",
            "write it as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080",
        )
    })
}
