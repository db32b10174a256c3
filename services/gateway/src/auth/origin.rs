//! Browser origins: their one spelling, and whether an app lists the one that asks.

use std::net::Ipv6Addr;

/// Why a page may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginRefusal {
    /// No browser sends this: two headers, several origins, or not text.
    Malformed,
    /// The app has a list and this is not on it.
    NotListed,
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("`*` is not an origin; leave the list empty to allow any origin")]
    Any,
    #[error("has a wildcard; list each origin by itself")]
    Wildcard,
    #[error("has no scheme; write it as https://app.example.com")]
    Scheme,
    #[error("has no host; write it as https://app.example.com")]
    Host,
    #[error("has more than scheme, host and port; remove what follows the host")]
    Path,
    #[error("has characters outside ASCII; write the host in punycode (xn--...), as browsers do")]
    NotAscii,
    #[error("has a character that no host has; write it as https://app.example.com")]
    Character,
    #[error("has a port that is no port; use a number from 1 to 65535")]
    Port,
}

impl OriginRefusal {
    /// The HTTP status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::NotListed => 403,
        }
    }
}

/// Whether a request with these `Origin` headers may connect. Where there is none no browser asks,
/// and where the app lists none any may.
pub fn allowed<'a>(
    app: &model::App,
    origins: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), OriginRefusal> {
    let mut origins = origins.into_iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let text = std::str::from_utf8(origin).map_err(|_| OriginRefusal::Malformed)?;
    if origins.next().is_some() || text.contains(',') {
        return Err(OriginRefusal::Malformed);
    }
    if app.origins.is_empty() {
        return Ok(());
    }
    match normalise(text) {
        Ok(origin) if is_listed(app, &origin) => Ok(()),
        _ => Err(OriginRefusal::NotListed),
    }
}

/// Whether the app lists this origin, already normalised, or lists none.
pub fn is_listed(app: &model::App, origin: &str) -> bool {
    app.origins.is_empty() || app.origins.iter().any(|listed| listed == origin)
}

/// The one spelling of an origin: lower case, without the scheme's own port. `null` is one too: what
/// sandboxed frames and files send.
pub fn normalise(text: &str) -> Result<String, OriginError> {
    if text == "null" {
        return Ok(String::from(text));
    }
    if text == "*" {
        return Err(OriginError::Any);
    }
    if !text.is_ascii() {
        return Err(OriginError::NotAscii);
    }
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://").ok_or(OriginError::Scheme)?;
    if !is_scheme(scheme) {
        return Err(OriginError::Scheme);
    }
    if authority.contains(['/', '?', '#', '\\', '@']) {
        return Err(OriginError::Path);
    }
    let (host, port) = split_port(authority)?;
    check_host(host)?;
    let port = port.map(parse_port).transpose()?;
    Ok(match port {
        Some(port) if Some(port) != own_port(scheme) => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

fn is_scheme(scheme: &str) -> bool {
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// Host and port; the colons of an IPv6 address are within brackets.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), OriginError> {
    let host_end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(OriginError::Character)? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_end);
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(OriginError::Character),
    }
}

fn check_host(host: &str) -> Result<(), OriginError> {
    if host.is_empty() {
        return Err(OriginError::Host);
    }
    if host.contains('*') {
        return Err(OriginError::Wildcard);
    }
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let known = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    if known { Ok(()) } else { Err(OriginError::Character) }
}

fn parse_port(digits: &str) -> Result<u16, OriginError> {
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.filter(|port| *port != 0).ok_or(OriginError::Port)
}

fn own_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
