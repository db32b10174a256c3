//! The log: which lines, in which form, to which output.

use std::fmt;
use std::io::IsTerminal;

use opentelemetry_sdk::Resource;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::Error;
use super::writer::LogWriter;
use crate::config;

/// The `[log]` section of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    pub format: LogFormat,
    /// A level, or levels by target: `info`, `warn,gateway=debug`. `RUST_LOG` overrides it.
    pub level: String,
    pub output: LogOutput,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
            output: LogOutput::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    #[default]
    Auto,
    /// One line of text for people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Servers log to stdout; a tool whose stdout is its result logs to stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogOutput {
    #[default]
    Stdout,
    Stderr,
}

impl LogFormat {
    /// As a configuration spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
    }
}

impl LogOutput {
    /// As a configuration spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl LogConfig {
    /// Refuses a level that cannot be understood.
    pub fn check(&self) -> Result<(), config::Error> {
        filter(&self.level).map(drop).ok_or_else(|| {
            config::Error::invalid(
                "log.level",
                "is not a level",
                "use error, warn, info, debug or trace, or TARGET=LEVEL pairs with commas between",
            )
        })
    }
}

/// Crates that log below `info` what goes over the wire: never a client's payload in our log,
/// whatever level is asked for.
const WIRE_CRATES: [&str; 10] = [
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "tokio_tungstenite",
    "tonic",
    "tower",
    "tungstenite",
];

/// OpenTelemetry's crates log their endpoint and headers there, which may hold a password. Each
/// names itself as a package is named: `opentelemetry-otlp`, `opentelemetry_sdk`.
const OPEN_TELEMETRY: &str = "opentelemetry";

pub(super) fn install(config: &LogConfig, resource: &Resource) -> Result<LogWriter, Error> {
    config.check()?;
    let asked = std::env::var("RUST_LOG").ok().filter(|level| !level.trim().is_empty());
    let writer = LogWriter::open(config.output).map_err(|error| Error::Start(error.into()))?;
    let layer = layer(config, asked.as_deref(), resource, writer.clone());
    let subscriber = tracing_subscriber::registry().with(layer);
    // Taken already by an earlier start in this process, that is, in a test.
    if tracing::subscriber::set_global_default(subscriber).is_ok()
        && asked.is_some_and(|level| filter(&level).is_none())
    {
        tracing::warn!("RUST_LOG is not a level or list of TARGET=LEVEL and is ignored");
    }
    Ok(writer)
}

pub(super) fn layer<S>(
    config: &LogConfig,
    asked: Option<&str>,
    resource: &Resource,
    writer: LogWriter,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let levels = asked
        .and_then(filter)
        .or_else(|| filter(&config.level))
        .unwrap_or_else(|| EnvFilter::new("info"));
    let discreet = filter_fn(|metadata| {
        *metadata.level() <= tracing::Level::INFO || !tells_secrets(metadata.target())
    })
    .with_max_level_hint(LevelFilter::TRACE);
    let levels = levels.and(discreet);
    let terminal = match config.output {
        LogOutput::Stdout => std::io::stdout().is_terminal(),
        LogOutput::Stderr => std::io::stderr().is_terminal(),
    };
    let json = match config.format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if json {
        let format = JsonLine::new(resource);
        layer.fmt_fields(JsonFields::new()).event_format(format).with_filter(levels).boxed()
    } else {
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        layer.with_ansi(colours).with_filter(levels).boxed()
    }
}

/// Whether what this target logs below `info` is not for a log.
fn tells_secrets(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or_default();
    WIRE_CRATES.contains(&krate) || krate.starts_with(OPEN_TELEMETRY)
}

/// The levels asked for, with `info` for all that is not named. A lone word that is no level would
/// be a target and would silence everything else: none.
fn filter(levels: &str) -> Option<EnvFilter> {
    let known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    if levels.trim().is_empty() || !levels.split(',').map(str::trim).all(known) {
        return None;
    }
    EnvFilter::try_new(format!("info,{levels}")).ok()
}

/// One JSON object a line: `ts`, `level`, `msg`, `target`, `service`, `instance`, then the fields
/// of the spans around, outermost first, then the event's own.
struct JsonLine {
    service: String,
    instance: String,
}

const RESERVED: [&str; 6] = ["ts", "level", "msg", "target", "service", "instance"];

impl JsonLine {
    fn new(resource: &Resource) -> Self {
        let text = |key: &'static str| {
            resource.get(&key.into()).map(|value| value.as_str().into_owned()).unwrap_or_default()
        };
        Self { service: text("service.name"), instance: text("service.instance.id") }
    }

    fn line(&self, event: &Event<'_>, fields: &Fields, now: &str) -> serde_json::Result<Vec<u8>> {
        let metadata = event.metadata();
        let mut line = Vec::with_capacity(256);
        let mut serializer = serde_json::Serializer::new(&mut line);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ts", now)?;
        map.serialize_entry("level", &metadata.level().as_str().to_ascii_lowercase())?;
        map.serialize_entry("msg", &fields.message)?;
        map.serialize_entry("target", metadata.target())?;
        map.serialize_entry("service", &self.service)?;
        map.serialize_entry("instance", &self.instance)?;
        for (name, value) in &fields.others {
            map.serialize_entry(name, value)?;
        }
        map.end()?;
        Ok(line)
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(formatted) = extensions.get::<FormattedFields<N>>() else { continue };
            if let Ok(Value::Object(map)) = serde_json::from_str(&formatted.fields) {
                map.into_iter().for_each(|(name, value)| fields.set(&name, value));
            }
        }
        event.record(&mut fields);
        if fields.message.is_empty() {
            // OpenTelemetry's own events have a name and often no message.
            fields.message =
                fields.get("name").unwrap_or_else(|| event.metadata().name()).to_owned();
        }
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        let line = self.line(event, &fields, &now).map_err(|_| fmt::Error)?;
        writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)?;
        writer.write_char('\n')
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(other, _)| other == name)?.1.as_str()
    }

    fn set(&mut self, name: &str, value: Value) {
        // `r#type` is how a field named by a keyword is written in the source.
        let name = name.strip_prefix("r#").unwrap_or(name);
        let name = match RESERVED.contains(&name) {
            true => format!("field.{name}"),
            false => name.to_owned(),
        };
        match self.others.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.others.push((name, value)),
        }
    }

    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            name => self.set(name, Value::String(text)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }
}
