//! `apps.toml`: apps as an operator writes them, and every check between that and a [`model::App`].

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use model::{
    Access, ApiKey, App, AppCode, AppId, AppState, ChannelRule, Environment, Retention, RuleSet,
    SigningKey, SlowConsumer,
};
use runtime::config::{self, FILE_BYTES_MAX, check_range, parse_text, read_text};
use runtime::{Secret, Span};
use serde::Deserialize;

use super::limits::AppLimitsConfig;
use crate::auth::signature::unhex;
use crate::auth::{bearer, origin};
use crate::config::Warning;

const KEYS_MAX: usize = 50;
const ORIGINS_MAX: usize = 1_000;
const KEY_BYTES_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 100;
const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 1_024;
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;
const NEW_SECRET: &str = "write one of your own, made by `openssl rand -hex 32`, say";

/// Why a file of apps was refused: the fault, and which app it is in. Never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    fault: config::Error,
    app: Option<(usize, String)>,
}

/// Reads and checks a file of apps, and the files of secrets that it names. One fault refuses all
/// of it. Blocks for the disk.
pub fn load(path: &Path) -> Result<(Vec<App>, Vec<Warning>), Error> {
    let text = read_text(path, FILE_BYTES_MAX).map_err(Error::of_file)?;
    let mut warnings = Vec::new();
    warn_if_world_readable(path, &mut warnings);
    let file: AppsFile = parse_text(&text, path).map_err(|fault| Error::located(fault, &text))?;
    if file.app.is_empty() {
        let fault = config::Error::in_file(path, "has no app", "add an [[app]] with a [[app.key]]");
        return Err(Error::of_file(fault));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut taken = Taken::default();
    let mut apps = Vec::with_capacity(file.app.len());
    for (index, entry) in file.app.into_iter().enumerate() {
        let code = entry.code.clone();
        let place = Place { prefix: format!("app[{index}]"), folder };
        let app = entry.check(&place, &mut warnings).and_then(|app| {
            taken.take(&place, &app)?;
            Ok(app)
        });
        apps.push(app.map_err(|fault| Error {
            fault: fault.with_file(path),
            app: AppCode::parse(&code).is_ok().then_some((index, code)),
        })?);
    }
    Ok((apps, warnings))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppsFile {
    #[serde(default)]
    app: Vec<AppEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppEntry {
    code: String,
    app_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: StateEntry,
    #[serde(default)]
    environment: EnvironmentEntry,
    dialects: Option<Vec<String>>,
    #[serde(default)]
    allowed_origins: Vec<String>,
    #[serde(default)]
    client_events: bool,
    #[serde(default)]
    subscription_counts: bool,
    #[serde(default)]
    echo: bool,
    #[serde(default)]
    key: Vec<KeyEntry>,
    #[serde(default)]
    api_key: Vec<ApiKeyEntry>,
    #[serde(default)]
    limits: AppLimitsConfig,
    #[serde(default)]
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    key: String,
    secret: Option<Secret<String>>,
    secret_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKeyEntry {
    key_id: String,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    pattern: String,
    subscribe: Option<AccessEntry>,
    publish: Option<AccessEntry>,
    presence: Option<bool>,
    #[serde(default)]
    history_size: usize,
    #[serde(default)]
    history_age: Span,
    #[serde(default)]
    cache: bool,
    #[serde(default)]
    slow_consumer: SlowConsumerEntry,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateEntry {
    #[default]
    Active,
    Disabled,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EnvironmentEntry {
    Development,
    #[default]
    Production,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccessEntry {
    Anyone,
    Signed,
    Server,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SlowConsumerEntry {
    #[default]
    Close,
}

/// Which app is being read, for the keys in errors.
struct Place<'a> {
    prefix: String,
    /// What `secret_file` is relative to.
    folder: &'a Path,
}

impl Place<'_> {
    fn key(&self, rest: &str) -> String {
        format!("{}.{rest}", self.prefix)
    }

    fn fault(
        &self,
        rest: &str,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> config::Error {
        config::Error::invalid(self.key(rest), problem, fix)
    }
}

impl AppEntry {
    fn check(self, place: &Place<'_>, warnings: &mut Vec<Warning>) -> Result<App, config::Error> {
        let code = AppCode::parse(&self.code).map_err(|error| {
            place.fault("code", error.to_string(), "use 1 to 32 of a-z, 0-9 and - within")
        })?;
        let id = self.app_id.parse::<u64>().ok().filter(|id| id.to_string() == self.app_id);
        let id = id.ok_or_else(|| {
            place.fault(
                "app_id",
                "is not a decimal number",
                "write it as \"1\", without zeros before",
            )
        })?;
        if self.name.chars().count() > NAME_CHARS_MAX || self.name.chars().any(char::is_control) {
            return Err(place.fault(
                "name",
                "is too long or has control characters",
                format!("use at most {NAME_CHARS_MAX} characters"),
            ));
        }
        let dialects = check_dialects(place, self.dialects.as_deref())?;
        if self.echo && matches!(self.environment, EnvironmentEntry::Production) {
            return Err(place.fault(
                "echo",
                "is for development apps only",
                "set environment = \"development\", or remove it",
            ));
        }
        if self.echo && !dialects.contains(&"raw") {
            return Err(place.fault(
                "echo",
                "needs the raw dialect",
                "add \"raw\" to dialects, or remove echo",
            ));
        }
        Ok(App {
            id: AppId(id),
            code,
            state: match self.state {
                StateEntry::Active => AppState::Active,
                StateEntry::Disabled => AppState::Disabled,
            },
            environment: match self.environment {
                EnvironmentEntry::Development => Environment::Development,
                EnvironmentEntry::Production => Environment::Production,
            },
            dialects,
            origins: check_origins(place, &self.allowed_origins)?,
            echo: self.echo,
            client_events: self.client_events,
            subscription_counts: self.subscription_counts,
            keys: check_keys(place, self.key, warnings)?,
            api_keys: check_api_keys(place, self.api_key)?,
            limits: self.limits.in_range(&place.key("limits"))?,
            rules: check_rules(place, &self.rule)?,
        })
    }
}

fn check_dialects(
    place: &Place<'_>,
    names: Option<&[String]>,
) -> Result<Vec<&'static str>, config::Error> {
    let known: Vec<&'static str> = protocol::PROTOCOLS.iter().map(|one| one.name()).collect();
    let Some(names) = names else { return Ok(known) };
    let choice = format!("use {}", known.join(", "));
    if names.is_empty() {
        let fix = format!("{choice}, or remove the key to speak all of them");
        return Err(place.fault("dialects", "is empty", fix));
    }
    let mut dialects = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let key = format!("dialects[{index}]");
        let Some(dialect) = known.iter().find(|known| *known == name) else {
            return Err(place.fault(&key, "is no dialect of this gateway", choice));
        };
        if dialects.contains(dialect) {
            return Err(place.fault(&key, "is listed twice", "remove one"));
        }
        dialects.push(*dialect);
    }
    Ok(dialects)
}

fn check_origins(place: &Place<'_>, texts: &[String]) -> Result<Vec<String>, config::Error> {
    check_range(&place.key("allowed_origins"), &texts.len(), 0..=ORIGINS_MAX)?;
    let mut origins: Vec<String> = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let origin = origin::normalise(text).map_err(|error| {
            let text = error.to_string();
            let (problem, fix) = text.split_once("; ").unwrap_or((&text, ""));
            place.fault(&format!("allowed_origins[{index}]"), problem, fix)
        })?;
        // The same page spelled twice is no mistake that matters.
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

fn check_keys(
    place: &Place<'_>,
    entries: Vec<KeyEntry>,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<SigningKey>, config::Error> {
    if entries.is_empty() {
        return Err(place.fault("key", "is missing", "add a [[app.key]] with key and secret"));
    }
    check_range(&place.key("key"), &entries.len(), 1..=KEYS_MAX)?;
    let mut keys = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let length = entry.key.len();
        if length == 0 || length > KEY_BYTES_MAX || !entry.key.bytes().all(allowed) {
            return Err(place.fault(
                &format!("key[{index}].key"),
                "is no key",
                format!("use 1 to {KEY_BYTES_MAX} of A-Z, a-z, 0-9, _, - and the dot"),
            ));
        }
        let secret = check_secret(place, index, &entry, warnings)?;
        keys.push(SigningKey { key: entry.key, secret });
    }
    Ok(keys)
}

fn check_secret(
    place: &Place<'_>,
    index: usize,
    entry: &KeyEntry,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<u8>, config::Error> {
    let (key, secret) = match (&entry.secret, &entry.secret_file) {
        (Some(secret), None) => (format!("key[{index}].secret"), secret.clone()),
        (None, Some(file)) => {
            let path = place.folder.join(file);
            let text = read_text(&path, SECRET_FILE_BYTES_MAX).map_err(|error| {
                let key = format!("key[{index}].secret_file");
                place.fault(&key, format!("cannot be used: {error}"), "mend the file or the path")
            })?;
            warn_if_world_readable(&path, warnings);
            let secret = Secret::new(String::from(text.trim_end_matches(['\r', '\n'])));
            (format!("key[{index}].secret_file"), secret)
        }
        (None, None) => {
            let fix = "set it, or secret_file to the path of a file that holds it";
            return Err(place.fault(&format!("key[{index}].secret"), "is missing", fix));
        }
        (Some(_), Some(_)) => {
            let key = format!("key[{index}].secret_file");
            return Err(place.fault(&key, "is set beside secret", "remove one of the two"));
        }
    };
    let secret = secret.expose();
    if is_placeholder(secret) {
        return Err(place.fault(&key, "is still a placeholder", NEW_SECRET));
    }
    if secret.len() < SECRET_BYTES_MIN {
        let problem = format!("is shorter than {SECRET_BYTES_MIN} bytes");
        return Err(place.fault(&key, problem, NEW_SECRET));
    }
    if secret.len() > SECRET_BYTES_MAX {
        let problem = format!("is longer than {SECRET_BYTES_MAX} bytes");
        return Err(place.fault(&key, problem, NEW_SECRET));
    }
    Ok(secret.as_bytes().to_vec())
}

/// What examples and templates say where a secret belongs.
fn is_placeholder(secret: &str) -> bool {
    let letters: String = secret
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let first = secret.chars().next();
    let monotone = secret.chars().all(|letter| Some(letter) == first);
    let words = ["changeme", "placeholder", "replaceme", "yoursecret"];
    monotone || words.iter().any(|word| letters.starts_with(word) || letters.ends_with(word))
}

fn check_api_keys(
    place: &Place<'_>,
    entries: Vec<ApiKeyEntry>,
) -> Result<Vec<ApiKey>, config::Error> {
    check_range(&place.key("api_key"), &entries.len(), 0..=KEYS_MAX)?;
    let mut keys = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        if !bearer::is_key_id(&entry.key_id) {
            return Err(place.fault(
                &format!("api_key[{index}].key_id"),
                "is no key id",
                "write the 12 characters after whf_skl_ or whf_skd_",
            ));
        }
        let Some(sha256) = unhex(&entry.sha256) else {
            return Err(place.fault(
                &format!("api_key[{index}].sha256"),
                "is not 64 lower-case hex digits",
                "write the SHA-256 of the key's secret: its 32 characters after the second `_`",
            ));
        };
        keys.push(ApiKey { key_id: entry.key_id, sha256 });
    }
    Ok(keys)
}

fn check_rules(place: &Place<'_>, entries: &[RuleEntry]) -> Result<RuleSet, config::Error> {
    check_range(&place.key("rule"), &entries.len(), 0..=RuleSet::RULES_MAX)?;
    let mut rules = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        rules.push(entry.check(place, index)?);
    }
    RuleSet::new(rules).map_err(|pattern| {
        let last = entries.iter().rposition(|entry| *entry.pattern == **pattern.as_str());
        let first = entries.iter().position(|entry| *entry.pattern == **pattern.as_str());
        let (last, first) = (last.unwrap_or_default(), first.unwrap_or_default());
        place.fault(
            &format!("rule[{last}].pattern"),
            format!("is also that of {}", place.key(&format!("rule[{first}]"))),
            "make one rule of the two",
        )
    })
}

impl RuleEntry {
    fn check(&self, place: &Place<'_>, index: usize) -> Result<ChannelRule, config::Error> {
        let pattern = model::pattern::Pattern::parse(&self.pattern).map_err(|error| {
            place.fault(
                &format!("rule[{index}].pattern"),
                error.to_string(),
                "write a channel's name, or the beginning of names and one * at the end",
            )
        })?;
        let size_key = format!("rule[{index}].history_size");
        check_range(&place.key(&size_key), &self.history_size, 0..=Retention::SIZE_MAX)?;
        let age_key = format!("rule[{index}].history_age");
        let age_max = Span::from_secs(Retention::AGE_MAX.as_secs());
        check_range(&place.key(&age_key), &self.history_age, Span::ZERO..=age_max)?;
        match (self.history_size, self.history_age == Span::ZERO) {
            (1.., true) => {
                let fix = "set how long publications are kept, such as \"1h\"";
                return Err(place.fault(&age_key, "is 0s, but history_size is not 0", fix));
            }
            (0, false) => {
                let fix = "set how many publications are kept, such as 100";
                return Err(place.fault(&size_key, "is 0, but history_age is not 0s", fix));
            }
            _ => {}
        }
        let otherwise = ChannelRule::of_last_resort();
        Ok(ChannelRule {
            pattern,
            subscribe: self.subscribe.map_or(otherwise.subscribe, AccessEntry::access),
            publish: self.publish.map_or(otherwise.publish, AccessEntry::access),
            presence: self.presence.unwrap_or(otherwise.presence),
            history: Retention { size: self.history_size, age: self.history_age.as_duration() },
            cache: self.cache,
            slow_consumer: match self.slow_consumer {
                SlowConsumerEntry::Close => SlowConsumer::Close,
            },
        })
    }
}

impl AccessEntry {
    fn access(self) -> Access {
        match self {
            Self::Anyone => Access::Anyone,
            Self::Signed => Access::Signed,
            Self::Server => Access::Server,
        }
    }
}

/// What earlier apps have: no two may share one of these.
#[derive(Default)]
struct Taken {
    codes: HashMap<AppCode, String>,
    ids: HashMap<AppId, String>,
    keys: HashMap<String, String>,
    key_ids: HashMap<String, String>,
}

impl Taken {
    fn take(&mut self, place: &Place<'_>, app: &App) -> Result<(), config::Error> {
        unique(&mut self.codes, app.code.clone(), place.key("code"))?;
        unique(&mut self.ids, app.id, place.key("app_id"))?;
        for (index, key) in app.keys.iter().enumerate() {
            unique(&mut self.keys, key.key.clone(), place.key(&format!("key[{index}].key")))?;
        }
        for (index, key) in app.api_keys.iter().enumerate() {
            let place = place.key(&format!("api_key[{index}].key_id"));
            unique(&mut self.key_ids, key.key_id.clone(), place)?;
        }
        Ok(())
    }
}

fn unique<T: Eq + std::hash::Hash>(
    taken: &mut HashMap<T, String>,
    value: T,
    key: String,
) -> Result<(), config::Error> {
    match taken.get(&value) {
        Some(other) => Err(config::Error::invalid(
            key,
            format!("is also that of {other}"),
            "give each its own",
        )),
        None => {
            taken.insert(value, key);
            Ok(())
        }
    }
}

/// A file of secrets should be its owner's.
pub(crate) fn warn_if_world_readable(path: &Path, warnings: &mut Vec<Warning>) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    if metadata.permissions().mode() & 0o004 != 0 {
        warnings.push(Warning::new(format!(
            "{} holds secrets and every user of this machine may read it: chmod 640 it",
            path.display()
        )));
    }
}

impl Error {
    fn of_file(fault: config::Error) -> Self {
        Self { fault, app: None }
    }

    /// A fault of the text's form, with the code of the app that its key is in.
    fn located(fault: config::Error, text: &str) -> Self {
        let index = fault
            .key()
            .and_then(|key| key.strip_prefix("app[")?.split_once(']')?.0.parse::<usize>().ok());
        let app = index.and_then(|index| {
            let table: toml::Table = toml::from_str(text).ok()?;
            let code = table.get("app")?.get(index)?.get("code")?.as_str()?;
            AppCode::parse(code).ok().map(|code| (index, code.to_string()))
        });
        Self { fault, app }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        match &self.app {
            Some((index, code)) => write!(f, " (app[{index}] is \"{code}\")"),
            None => Ok(()),
        }
    }
}
