//! Bad input: what breaks the rules, sent byte by byte, and the exact answer. Ids are those of the
//! project's catalogue: H handshakes, F frames, M messages, S signatures, P the HTTP API, N the
//! transport, C and E configuration. After every row the gateway still serves others.

mod after;
mod api;
mod catalogue;
mod configuration;
mod frames;
mod handshake;
mod messages;
mod row;
mod signatures;
mod socket;
mod tls;
mod transport;
mod wire;

use gateway::auth::bearer;
use tests::gateway::ROOMY;

/// `demo` is who the rows attack; `other` belongs to someone else, who must not notice.
fn apps() -> String {
    let api_key = |key: &bearer::Generated| {
        let sha256: String = key.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[app.api_key]]\nkey_id = \"{}\"\nsha256 = \"{sha256}\"\n", key.key_id)
    };
    let keys = &*api::KEYS;
    APPS.replace("#demo#", &api_key(&keys.demo))
        .replace("#other#", &api_key(&keys.other))
        .replace("#small#", &api_key(&keys.small))
        .replace("#off#", &api_key(&keys.off))
}

const APPS: &str = r#"
[[app]]
code = "demo"
app_id = "1"
client_events = true
[[app.key]]
key = "demokey"
secret = "demo-secret-0123456789"
#demo#
[[app.rule]]
pattern = "*"
subscribe = "anyone"
publish = "anyone"
[[app.rule]]
pattern = "locked-*"
subscribe = "server"

[[app]]
code = "other"
app_id = "2"
[[app.key]]
key = "otherkey"
secret = "other-secret-0123456789"
#other#
[[app.rule]]
pattern = "*"
publish = "anyone"
[app.limits]
publishes_per_second_per_connection = 100000

[[app]]
code = "pages"
app_id = "3"
allowed_origins = ["https://app.example.com", "http://localhost:3000"]
[[app.key]]
key = "pageskey"
secret = "pages-secret-0123456789"

[[app]]
code = "small"
app_id = "4"
client_events = true
[[app.key]]
key = "smallkey"
secret = "small-secret-0123456789"
#small#
[[app.rule]]
pattern = "*"
publish = "anyone"
[app.limits]
payload_bytes_max = "1KiB"
channels_per_connection_max = 3
presence_members_max = 1
publishes_per_second = 5

[[app]]
code = "full"
app_id = "5"
[[app.key]]
key = "fullkey"
secret = "full-secret-0123456789"
[app.limits]
connections_max = 1

[[app]]
code = "off"
app_id = "6"
state = "disabled"
[[app.key]]
key = "offkey"
secret = "off-secret-0123456789"
#off#

[[app]]
code = "rawonly"
app_id = "7"
dialects = ["raw"]
[[app.key]]
key = "rawonlykey"
secret = "rawonly-secret-0123456789"

[[app]]
code = "pusheronly"
app_id = "8"
dialects = ["pusher"]
[[app.key]]
key = "pusheronlykey"
secret = "pusheronly-secret-0123456789"
"#;
