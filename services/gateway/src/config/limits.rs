//! Everything that a client could make large, many or slow, each with its name, default and range.

use std::fmt::Display;
use std::time::Duration;

use runtime::config::Error;
use runtime::{ByteSize, Span};

use super::sample;

/// A limit's type in a file, and the plain type that the program sees.
pub trait Knob: Copy + Display {
    type Plain;

    fn plain(self) -> Self::Plain;

    /// As TOML.
    fn toml(self) -> String;
}

/// A table of limits: the struct that a file is read into, and its check, which makes the plain
/// struct. `new` makes that one too.
macro_rules! limits {
    (
        $(#[doc = $about:literal])+
        new $config:ident => $plain:ident;
        $($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr, $min:expr => $max:expr;)+
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $plain {
            $($(#[doc = $doc])+ pub $name: <$kind as $crate::config::limits::Knob>::Plain,)+
        }

        $crate::config::limits::limits! {
            $(#[doc = $about])+
            $config => $plain;
            $($(#[doc = $doc])+ $name: $kind = $default, $min => $max;)+
        }
    };
    (
        $(#[doc = $about:literal])+
        $config:ident => $plain:ident;
        $($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr, $min:expr => $max:expr;)+
    ) => {
        /// The same as written in a file.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $config {
            $(pub $name: $kind,)+
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl $config {
            /// Each within its range; an error names the key below `prefix`, and both bounds.
            pub(crate) fn in_range(&self, prefix: &str) -> Result<$plain, runtime::config::Error> {
                $(runtime::config::check_range(
                    &format!("{prefix}.{}", stringify!($name)),
                    &self.$name,
                    $min..=$max,
                )?;)+
                Ok($plain { $($name: $crate::config::limits::Knob::plain(self.$name),)+ })
            }

            /// The lines of an example file, with these values.
            pub(crate) fn write(&self, out: &mut String) {
                $(
                    $crate::config::limits::write_row(
                        out,
                        concat!($($doc),+),
                        stringify!($name),
                        (self.$name, $min, $max),
                    );
                )+
            }

            /// Name, least and most of each, as TOML.
            #[cfg(test)]
            pub(crate) const RANGES: &[(&'static str, fn() -> (String, String))] = &[
                $((stringify!($name), || {
                    let (min, max): ($kind, $kind) = ($min, $max);
                    (
                        $crate::config::limits::Knob::toml(min),
                        $crate::config::limits::Knob::toml(max),
                    )
                }),)+
            ];
        }
    };
}
pub(crate) use limits;

limits! {
    /// What the gateway allows its clients; the same for every app, and never unlimited.
    new LimitsConfig => Limits;
    /// A request's line and headers together; beyond it 431.
    header_bytes_max: ByteSize = ByteSize::kib(16), ByteSize::kib(1) => ByteSize::kib(64);
    /// Headers of a request; beyond it 431.
    headers_max: usize = 64, 16 => 100;
    /// A request's path and query; beyond it 414.
    target_bytes_max: ByteSize = ByteSize::kib(4), ByteSize::new(256) => ByteSize::kib(8);
    /// From an accepted socket to the whole of a request's headers.
    handshake_timeout: Span = Span::from_secs(5), Span::from_millis(100) => Span::from_secs(15);
    /// For TLS, before that.
    tls_handshake_timeout: Span = Span::from_secs(5), Span::from_millis(100) => Span::from_secs(15);
    /// Sockets at once that have not yet sent a whole request; more wait in the kernel's backlog. A silent
    /// one holds about 12 KB until handshake_timeout.
    handshakes_in_flight_max: usize = 8_192, 1 => 65_536;

    /// One frame of a client; beyond it close code 1009.
    frame_bytes_max: ByteSize = ByteSize::kib(64), ByteSize::kib(1) => ByteSize::mib(1);
    /// One message of a client, all its fragments together; beyond it close code 1009.
    message_bytes_max: ByteSize = ByteSize::kib(64), ByteSize::kib(1) => ByteSize::mib(1);
    /// Fragments of a message.
    fragments_max: usize = 64, 1 => 256;
    /// From a message's first byte to its last.
    message_timeout: Span = Span::from_secs(10), Span::from_millis(100) => Span::from_secs(30);
    /// Frames of one connection, of every kind; twice as many at once.
    frames_per_second: u32 = 200, 1 => 1_000_000;
    /// Pings, pongs and closes of one connection; twice as many at once.
    control_frames_per_second: u32 = 10, 1 => 1_000_000;
    /// Messages of one connection within `errors_window` that cannot be read, after which it is closed.
    errors_max: u32 = 10, 1 => 10_000;
    /// How long such a message counts.
    errors_window: Span = Span::from_secs(60), Span::from_secs(1) => Span::from_secs(3_600);

    /// What waits for one slow connection; beyond it the connection is closed.
    queue_bytes_max: ByteSize = ByteSize::kib(256), ByteSize::kib(4) => ByteSize::mib(1);
    /// How long a connection with a queue may take nothing of it.
    stall_timeout: Span = Span::from_secs(10), Span::from_secs(1) => Span::from_secs(30);
    /// What waits for one shard; beyond it publishing is refused as unavailable.
    inbox_bytes_max: ByteSize = ByteSize::mib(64), ByteSize::mib(1) => ByteSize::mib(4_096);

    /// Connections of the whole gateway; lowered at start to what its descriptors allow.
    connections_max: u32 = 100_000, 1 => 4_000_000;
    /// New connections of the whole gateway; twice as many at once.
    connects_per_second: u32 = 400, 1 => 1_000_000;
    /// New connections of one IPv4 address or IPv6 /64; twice as many at once.
    connects_per_second_per_address: u32 = 20, 1 => 1_000_000;
    /// Open connections of one IPv4 address or IPv6 /64.
    connections_per_address_max: u32 = 200, 1 => 4_000_000;

    /// Sockets of one IPv4 address or IPv6 /64 that are no WebSocket connections: handshakes, API
    /// requests, silence. Beyond it a new one is closed. Trusted proxies are not counted.
    sockets_per_address_max: u32 = 512, 1 => 4_000_000;

    /// The body of an API request; beyond it 413.
    api_body_bytes_max: ByteSize = ByteSize::mib(1), ByteSize::kib(1) => ByteSize::mib(4);
    /// For an API request's body to arrive; then 408.
    api_body_timeout: Span = Span::from_secs(10), Span::from_millis(100) => Span::from_secs(60);
    /// API requests at once in the whole gateway; beyond it 503.
    api_requests_in_flight_max: usize = 1_000, 1 => 100_000;
}

impl LimitsConfig {
    pub(super) fn check(&self) -> Result<Limits, Error> {
        let limits = self.in_range("limits")?;
        // Each key with the one that it must not be smaller than, and why.
        let pairs = [
            (
                ("header_bytes_max", self.header_bytes_max),
                ("target_bytes_max", self.target_bytes_max),
                "the target is a part of what it bounds",
            ),
            (
                ("message_bytes_max", self.message_bytes_max),
                ("frame_bytes_max", self.frame_bytes_max),
                "a frame is never larger than its message",
            ),
            (
                ("queue_bytes_max", self.queue_bytes_max),
                ("message_bytes_max", self.message_bytes_max),
                "one message would close every connection that it has to wait for",
            ),
        ];
        for ((key, value), (other, least), why) in pairs {
            if value < least {
                return Err(Error::invalid(
                    format!("limits.{key}"),
                    format!("{value} is smaller than limits.{other}, {least}: {why}"),
                    format!("raise it to {least} at least, or lower limits.{other}"),
                ));
            }
        }
        Ok(limits)
    }
}

pub(crate) fn write_row<T: Knob>(
    out: &mut String,
    doc: &str,
    name: &str,
    (value, min, max): (T, T, T),
) {
    sample::comment(out, &format!("{} From {min} to {max}.", doc.trim()));
    out.push_str(&format!("{name} = {}\n", value.toml()));
}

impl Knob for u32 {
    type Plain = Self;

    fn plain(self) -> Self {
        self
    }

    fn toml(self) -> String {
        self.to_string()
    }
}

impl Knob for usize {
    type Plain = Self;

    fn plain(self) -> Self {
        self
    }

    fn toml(self) -> String {
        self.to_string()
    }
}

impl Knob for ByteSize {
    type Plain = usize;

    fn plain(self) -> usize {
        self.as_usize()
    }

    fn toml(self) -> String {
        format!("\"{self}\"")
    }
}

impl Knob for Span {
    type Plain = Duration;

    fn plain(self) -> Duration {
        self.as_duration()
    }

    fn toml(self) -> String {
        format!("\"{self}\"")
    }
}
