//! Which requests this API knows: the one table that both dispatch and the document are held to.

use std::borrow::Cow;

use hyper::Method;
use model::AppCode;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Publish,
    Batch,
    Broadcast,
    Channels,
    Channel,
    Presence,
    History,
    Disconnect,
    Document,
}

#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// As in OpenAPI: `{app}` and `{channel}` stand for one segment each.
    pub(super) path: &'static str,
    pub(super) operation: Operation,
}

pub(super) static ROUTES: [Route; 9] = [
    post("/v1/apps/{app}/publish", Operation::Publish),
    post("/v1/apps/{app}/batch", Operation::Batch),
    post("/v1/apps/{app}/broadcast", Operation::Broadcast),
    get("/v1/apps/{app}/channels", Operation::Channels),
    get("/v1/apps/{app}/channels/{channel}", Operation::Channel),
    get("/v1/apps/{app}/channels/{channel}/presence", Operation::Presence),
    get("/v1/apps/{app}/channels/{channel}/history", Operation::History),
    post("/v1/apps/{app}/disconnect", Operation::Disconnect),
    get("/v1/openapi.json", Operation::Document),
];

/// A request that the table knows.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) operation: Operation,
    /// `None` only for the document.
    pub(super) app: Option<AppCode>,
    /// Still percent-encoded.
    pub(super) channel: Option<&'a str>,
}

/// Why a request is not in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    Path,
    /// The path is there with other methods: the value of `Allow`.
    Method(&'static str),
}

/// `path` as sent. Nothing is normalised: what is not exactly a route is not there.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Result<Found<'a>, NotFound> {
    let known = ROUTES.iter().find_map(|route| Some((route, captured(route.path, path)?)));
    let (route, (app, channel)) = known.ok_or(NotFound::Path)?;
    // hyper leaves the body of an answer to HEAD away.
    let asked = if method == Method::HEAD { &Method::GET } else { method };
    if route.method != asked {
        return Err(NotFound::Method(if route.method == Method::GET {
            "GET, HEAD"
        } else {
            "POST"
        }));
    }
    Ok(Found { operation: route.operation, app, channel })
}

impl Operation {
    /// The word for it in traces, metrics and the document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Batch => "batch",
            Self::Broadcast => "broadcast",
            Self::Channels => "channels",
            Self::Channel => "channel",
            Self::Presence => "presence",
            Self::History => "history",
            Self::Disconnect => "disconnect",
            Self::Document => "openapi",
        }
    }

    pub(super) fn has_body(self) -> bool {
        match self {
            Self::Publish | Self::Batch | Self::Broadcast | Self::Disconnect => true,
            Self::Channels | Self::Channel | Self::Presence | Self::History | Self::Document => {
                false
            }
        }
    }
}

type Captured<'a> = (Option<AppCode>, Option<&'a str>);

fn captured<'a>(template: &str, path: &'a str) -> Option<Captured<'a>> {
    let (mut app, mut channel) = (None, None);
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        match expected {
            // What cannot be an app's code is no path of ours.
            "{app}" => app = Some(AppCode::parse(segment).ok()?),
            "{channel}" => channel = Some(segment).filter(|segment| !is_navigation(segment)),
            _ if segment != expected => return None,
            _ => {}
        }
        if expected == "{channel}" && channel.is_none() {
            return None;
        }
    }
    segments.next().is_none().then_some((app, channel))
}

/// Segments that a proxy on the way may have resolved, or may yet.
fn is_navigation(segment: &str) -> bool {
    let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode_str(segment).into();
    matches!(&*decoded, b"" | b"." | b"..")
}

const fn post(path: &'static str, operation: Operation) -> Route {
    Route { method: Method::POST, path, operation }
}

const fn get(path: &'static str, operation: Operation) -> Route {
    Route { method: Method::GET, path, operation }
}
