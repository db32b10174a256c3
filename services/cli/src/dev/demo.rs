//! The app that `wharf dev` starts with: everything is allowed that a newcomer tries.

use gateway::auth::bearer;

use crate::keygen::{Pair, api_key_toml};

/// A file of apps with one app and new keys.
pub(super) fn apps(api_key: &bearer::Generated) -> String {
    let (pair, api_key) = (Pair::generate().toml(), api_key_toml(api_key));
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
{pair}

# For backends: the key itself is in the file `api-key` beside this one.
{api_key}

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
