//! The app that `wharf dev` starts with: everything is allowed that a newcomer tries.

use gateway::auth::bearer;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::sign::digest::hex;

const KEY_BYTES: usize = 10;
const SECRET_BYTES: usize = 32;

/// A file of apps with one app and new keys.
pub(super) fn apps(api_key: &bearer::Generated) -> String {
    let key = random_hex::<KEY_BYTES>();
    let secret = random_hex::<SECRET_BYTES>();
    let (key_id, sha256) = (&api_key.key_id, hex(&api_key.sha256));
    format!(
        r##"# The apps of `wharf dev` in this folder. Change what you like and send the process SIGHUP; remove
# the file to start over with new keys. `wharf-gateway --config ... --check-config` reads it too.

[[app]]
code = "demo"
app_id = "1"
name = "Demo"
environment = "development"
client_events = true
subscription_counts = true

# For clients, and for whoever signs for them.
[[app.key]]
key = "{key}"
secret = "{secret}"

# For backends: the key itself is in the file `api-key` beside this one.
[[app.api_key]]
key_id = "{key_id}"
sha256 = "{sha256}"

# Anyone with the key subscribes and publishes; `private-` and `presence-` channels still ask for a
# signature. Channels remember a little.
[[app.rule]]
pattern = "*"
subscribe = "anyone"
publish = "anyone"
presence = true
history_size = 100
history_age = "10m"

# The last value too, for whoever comes later.
[[app.rule]]
pattern = "cache-*"
subscribe = "anyone"
publish = "anyone"
history_size = 100
history_age = "10m"
cache = true
"##
    )
}

fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system's random source answers");
    hex(&bytes)
}
