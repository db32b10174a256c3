//! What `wharf dev` tells the person who started it.

use std::fmt::Write as _;
use std::path::Path;

use super::invocation::Invocation;
use super::ready::{Ready, ReadyApp};
use crate::remote::Address;

pub(super) fn text(ready: &Ready, state_dir: &Path, invocation: &Invocation) -> String {
    let http = &ready.gateway_url;
    let ws = http.replacen("http", "ws", 1);
    let mut text = format!(
        "\nwharf {} · dev mode: one process, keys in {}, not for production\n\n  Page      {http}/\n",
        env!("CARGO_PKG_VERSION"),
        state_dir.display(),
    );
    for app in &ready.apps {
        let _ = write!(text, "{}", paragraph(app, http, &ws));
    }
    let _ = writeln!(text, "  Metrics   {}/metrics", ready.admin_url);
    if let Some(app) = ready.apps.first() {
        let _ = write!(text, "{}", first_thing_to_try(app, ready.apps.len(), http, invocation));
    }
    text.push_str("\nCtrl-C ends it.");
    text
}

fn paragraph(app: &ReadyApp, http: &str, ws: &str) -> String {
    let ReadyApp { app_code, app_id, key, secret, .. } = app;
    let api_key = app.api_key.as_deref().unwrap_or("(only its hash is in the file of apps)");
    format!(
        "
  App       {app_code}, id {app_id}
  Key       {key}   for clients
  Secret    {secret}   for your backend, to sign
  API key   {api_key}   for your backend, to publish
  Clients   {ws}/a/{app_code}/raw?key={key}&channel=lobby   any WebSocket library
            {ws}/app/{key}   pusher-js, laravel-echo
  Backends  {http}/v1/apps/{app_code}/publish   any HTTP client
            {http}/apps/{app_id}/events   Pusher server SDKs

"
    )
}

fn first_thing_to_try(app: &ReadyApp, apps: usize, http: &str, invocation: &Invocation) -> String {
    let (wharf, code) = (invocation.program(), &app.app_code);
    let (sub, publish) = if is_found(http) {
        let choice = if apps > 1 { format!(" --app {code}") } else { String::new() };
        let flags = format!("{}{choice}", invocation.flags());
        (flags.clone(), flags)
    } else {
        let there = format!(" --url {http} --app {code}");
        let (key, file) = (&app.key, invocation.api_key_file());
        (format!("{there} --key {key}"), format!("{there} --api-key-file {file}"))
    };
    let mut text = format!(
        "
First thing to try, in a second and a third terminal in this folder:

  {wharf} sub lobby{sub}
"
    );
    if let Some(api_key) = &app.api_key {
        let _ = write!(
            text,
            "  {wharf} pub lobby '{{\"hello\":\"world\"}}'{publish}

The same without this program:

  curl {http}/v1/apps/{code}/publish \\
    -H 'authorization: Bearer {api_key}' \\
    -H 'content-type: application/json' \\
    -d '{{\"channel\":\"lobby\",\"data\":{{\"hello\":\"world\"}}}}'
"
        );
    }
    text
}

/// Whether `sub` and `pub` go there without being told to.
fn is_found(http: &str) -> bool {
    http.parse().is_ok_and(|address: Address| address.is_loopback())
}
