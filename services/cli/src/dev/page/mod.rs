//! The page at `/` of a dev process. Secrets are on it: it is for this machine only, asked for by a
//! name that no other machine has.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateway::http::Page;
use ring::digest;
use serde_json::json;

use super::invocation::Invocation;
use super::ready::Ready;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

#[derive(Debug)]
pub(super) struct DevPage {
    html: ArcSwap<Bytes>,
    security_policy: String,
    invocation: Invocation,
}

impl DevPage {
    /// Empty until [`DevPage::show`].
    pub(super) fn new(invocation: Invocation) -> Self {
        // Only what is in this program runs, and only the gateway itself is spoken to. `'self'`
        // covers WebSockets of the same host and port.
        let security_policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE),
        );
        Self { html: ArcSwap::default(), security_policy, invocation }
    }

    pub(super) fn show(&self, ready: &Ready) {
        let data = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "admin_url": ready.admin_url,
            "program": self.invocation.program(),
            "flags": self.invocation.flags(),
            "apps": ready.apps,
        });
        // No text of an app can end the element that it stands in.
        let data = data.to_string().replace('<', "\\u003c");
        let html = HTML
            .replace("/* style */", STYLE)
            .replace("/* script */", SCRIPT)
            .replace("/* data */", &data);
        self.html.store(Arc::new(Bytes::from(html)));
    }
}

impl Page for DevPage {
    fn get(&self, path: &str, host: &str, client: IpAddr) -> Option<(&'static str, Bytes)> {
        let here = client.to_canonical().is_loopback() && is_loopback_name(host);
        let html = self.html.load();
        // A name that resolves to this machine is not enough: a page elsewhere could own it.
        (path == "/" && here && !html.is_empty())
            .then(|| ("text/html; charset=utf-8", Bytes::clone(&html)))
    }

    fn security_policy(&self) -> &str {
        &self.security_policy
    }
}

/// Whether a Host header names this machine in a way that nobody else can: `localhost` or a loopback
/// address, with or without a port.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let address = name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    address || name.eq_ignore_ascii_case("localhost")
}

/// How a Content-Security-Policy names an inline text.
fn hash(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    format!("sha256-{}", STANDARD.encode(hash))
}
