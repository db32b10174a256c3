//! Looking at channels: which are occupied, by whom, and what was published.

use base64::Engine as _;
use model::{
    ChannelName, ChannelState, HistoryPage, Member, Payload, Position, Publication, ServerAnswer,
    ServerCall, Source,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::answer::{Answer, Failure};
use super::call::Call;
use super::document::Failures;
use super::read;

/// Payloads of one history page together; beyond it the page ends early and says `more`.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Channels {
    /// In the order of their names.
    channels: Vec<Channel>,
    /// Whether there are more than asked for.
    more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Channel {
    channel: String,
    /// Connections that subscribe to it.
    subscriptions: u64,
    /// Distinct users; null where no presence is kept.
    #[schema(required)]
    users: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Presence {
    channel: String,
    /// Each user once, however many connections it has, by id.
    members: Vec<Present>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Present {
    user: String,
    /// What your backend signed with the subscription.
    #[schema(required, value_type = Option<serde_json::Value>)]
    info: Option<Box<RawValue>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    channel: String,
    /// Oldest first.
    publications: Vec<Kept>,
    /// The channel's last position; null where nothing was ever kept.
    #[schema(required)]
    head: Option<String>,
    /// Whether nothing is missing between `since` and the page's end.
    complete: bool,
    /// Whether more follows: ask again with `since` as the page's last position.
    more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Kept {
    id: String,
    #[schema(required)]
    position: Option<String>,
    #[schema(required)]
    event: Option<String>,
    /// As subscribers get it: the string that was published, or the JSON text of another value.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// Instead of `data` where bytes were published.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    /// `server` or `client`.
    source: &'static str,
    /// The client's user, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// List occupied channels
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/channels",
    tag = "channels",
    params(
        ("app" = String, Path, description = "The app's code"),
        ("prefix" = Option<String>, Query, description = "Only names that begin so"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "100 if not given"),
    ),
    responses((status = 200, description = "Channels with subscribers", body = Channels), Failures),
)]
pub(super) async fn channels(call: Call) -> Result<Answer, Failure> {
    let [prefix, limit] = read::query(&call.query, &["prefix", "limit"])?;
    let limit = read::limit(limit.as_deref())?;
    let prefix = prefix.unwrap_or_default();
    if !prefix.is_empty() {
        read::channel_text("prefix", &prefix)?;
    }
    // One more than asked for tells whether there are more.
    let asked = ServerCall::Channels { prefix: prefix.into_owned(), limit: limit + 1 };
    let ServerAnswer::Channels(states) = call.ask(asked).await? else { unreachable!("as asked") };
    let more = states.len() > limit;
    let channels = states.iter().take(limit).map(Channel::from).collect();
    Ok(Answer::ok(&Channels { channels, more }))
}

/// Look at one channel
///
/// A channel that nobody subscribes to is there too, with 0 subscriptions.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/channels/{channel}",
    tag = "channels",
    params(
        ("app" = String, Path, description = "The app's code"),
        ("channel" = String, Path, description = "The channel's name, percent-encoded"),
    ),
    responses((status = 200, description = "How many listen", body = Channel), Failures),
)]
pub(super) async fn channel(call: Call) -> Result<Answer, Failure> {
    read::query(&call.query, &[])?;
    let asked = ServerCall::Channel { channel: name(&call) };
    let ServerAnswer::Channel(state) = call.ask(asked).await? else { unreachable!("as asked") };
    Ok(Answer::ok(&Channel::from(&state)))
}

/// List a channel's members
///
/// Empty where no presence is kept.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/channels/{channel}/presence",
    tag = "channels",
    params(
        ("app" = String, Path, description = "The app's code"),
        ("channel" = String, Path, description = "The channel's name, percent-encoded"),
    ),
    responses((status = 200, description = "Who is there", body = Presence), Failures),
)]
pub(super) async fn presence(call: Call) -> Result<Answer, Failure> {
    read::query(&call.query, &[])?;
    let channel = name(&call);
    let asked = ServerCall::Members { channel: channel.clone() };
    let ServerAnswer::Members(members) = call.ask(asked).await? else { unreachable!("as asked") };
    let mut members: Vec<_> = members.into_iter().map(Present::from).collect();
    members.sort_unstable_by(|one, other| one.user.cmp(&other.user));
    Ok(Answer::ok(&Presence { channel: String::from(channel.as_str()), members }))
}

/// Read a page of a channel's history
///
/// Without `since`, from the oldest that is kept.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}/channels/{channel}/history",
    tag = "channels",
    params(
        ("app" = String, Path, description = "The app's code"),
        ("channel" = String, Path, description = "The channel's name, percent-encoded"),
        ("since" = Option<String>, Query, description = "A position: only what came after it"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "100 if not given"),
    ),
    responses((status = 200, description = "What was published", body = History), Failures),
)]
pub(super) async fn history(call: Call) -> Result<Answer, Failure> {
    let [since, limit] = read::query(&call.query, &["since", "limit"])?;
    let limit = read::limit(limit.as_deref())?;
    let wrong = || read::wrong("since", "must be a position as an answer told it");
    let since = since.map(|text| Position::parse(&text).ok_or_else(wrong)).transpose()?;
    let channel = name(&call);
    let asked = ServerCall::History { channel: channel.clone(), since, limit };
    let ServerAnswer::History(page) = call.ask(asked).await? else { unreachable!("as asked") };
    Ok(Answer::ok(&History::new(&channel, &page)))
}

fn name(call: &Call) -> ChannelName {
    call.channel.clone().expect("the route has a channel")
}

impl From<&ChannelState> for Channel {
    fn from(state: &ChannelState) -> Self {
        let channel = String::from(state.channel.as_str());
        let occupancy = state.occupancy;
        Self { channel, subscriptions: occupancy.subscriptions, users: occupancy.users }
    }
}

impl From<Member> for Present {
    fn from(member: Member) -> Self {
        let info = member.info.map(|info| String::from(info.as_str()));
        // Dialects take nothing but JSON for it.
        let info = info.and_then(|info| RawValue::from_string(info).ok());
        Self { user: String::from(member.user.as_str()), info }
    }
}

impl History {
    fn new(channel: &ChannelName, page: &HistoryPage) -> Self {
        let mut bytes = 0;
        let publications: Vec<_> = page
            .publications
            .iter()
            .take_while(|publication| {
                // The first is always in the page, or it would never end.
                let fits = bytes == 0 || bytes + publication.cost_bytes() <= PAGE_BYTES_MAX;
                bytes += publication.cost_bytes();
                fits
            })
            .map(|publication| Kept::from(&**publication))
            .collect();
        Self {
            channel: String::from(channel.as_str()),
            more: page.more || publications.len() < page.publications.len(),
            publications,
            head: page.head.map(|head| head.to_string()),
            complete: page.complete,
        }
    }
}

impl From<&Publication> for Kept {
    fn from(publication: &Publication) -> Self {
        let (data, data_base64) = match &publication.payload {
            Payload::Text(text) => (Some(String::from(text.as_str())), None),
            Payload::Binary(bytes) => {
                (None, Some(base64::engine::general_purpose::STANDARD.encode(bytes)))
            }
        };
        let (source, user) = match &publication.source {
            Source::Server => ("server", None),
            Source::Client { user } => ("client", user.as_ref()),
        };
        Self {
            id: publication.id.to_string(),
            position: publication.position.map(|position| position.to_string()),
            event: publication.event.as_ref().map(|event| String::from(event.as_str())),
            data,
            data_base64,
            source,
            user: user.map(|user| String::from(user.as_str())),
        }
    }
}
