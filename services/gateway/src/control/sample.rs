//! A file of apps that explains itself.

use super::limits::AppLimitsConfig;
use crate::config::sample::comment;

/// One app with every key. It is refused until its secret is replaced, so that nobody serves with
/// one that is public.
pub fn example() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\n[app.limits]\n");
    AppLimitsConfig::default().write(&mut out);
    out.push('\n');
    comment(
        &mut out,
        "Rules say who may do what on which channels. The longest pattern that matches wins; `*` \
         stands only at the end. Without a rule: anyone subscribes, signed clients publish, \
         presence is allowed, nothing is kept.",
    );
    out.push_str(RULE);
    out
}

const HEAD: &str = r##"# Apps of wharf-gateway. Read at start and again on SIGHUP; a file with a fault is refused as a
# whole and what was served before goes on. It holds secrets: chmod 640 it.

[[app]]
# In client URLs (/a/demo/raw): 1 to 32 of a-z, 0-9 and -, unique.
code = "demo"
# In server URLs (/apps/1/events): a decimal number, unique.
app_id = "1"
# For people.
name = "Demo"
# active or disabled; a disabled app's connections are closed.
state = "active"
# production or development; development shows clients which rule refused them.
environment = "production"
# What its clients may speak. Without this key: everything that the gateway speaks.
dialects = ["raw", "pusher"]
# Pages that browsers may connect from, such as "https://app.example.com". Empty: any page.
allowed_origins = []
# Whether Pusher clients may send client events.
client_events = false
# Whether Pusher subscribers are told how many they are.
subscription_counts = false
# Whether each raw message is answered with itself; in development only.
echo = false

# A public key for clients, and the secret with which your backend signs. More than one, so that
# they can be changed without an outage; unique over all apps.
[[app.key]]
# 1 to 128 of A-Z, a-z, 0-9, _, - and the dot.
key = "demo-key"
# At least 16 bytes, made by `openssl rand -hex 32`, say; or
# secret_file = "path", relative to this file.
secret = "changeme"

# A bearer key of the HTTP API (/v1/apps/demo/...): only the SHA-256 of its secret part.
# `wharf keygen` makes one, and prints this block.
# [[app.api_key]]
# key_id = "7Qx2mB9dKfPz"
# sha256 = "64 lower-case hex digits"
"##;

const RULE: &str = r#"[[app.rule]]
pattern = "room-*"
# anyone (with a key), signed (by your backend) or server (only your backend).
subscribe = "anyone"
publish = "signed"
# Whether subscribers may be members that others see.
presence = true
# How many publications are kept, up to 10000, and how long, up to 30d; 0 and 0s: none.
history_size = 0
history_age = "0s"
# Whether a newcomer is told the last server publication.
cache = false
# What happens to a subscriber that reads too slowly: close.
slow_consumer = "close"
"#;
