//! The limit on open files: raised as far as it goes, and what it then leaves for connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Checked, Warning};

/// Descriptors kept for what is no client: listeners, logs, the broker, telemetry.
const RESERVED: u64 = 1_024;

/// Raises the process's limit on open files, and caps `connections_max` to what it then allows,
/// with a warning that says so.
pub fn cap_connections(checked: &mut Checked) -> Option<Warning> {
    let wanted = u64::from(checked.limits.connections_max) + RESERVED;
    let limit = raise(wanted)?;
    let most = connections_of(limit);
    if most >= checked.limits.connections_max {
        return None;
    }
    let configured = std::mem::replace(&mut checked.limits.connections_max, most);
    Some(Warning::new(format!(
        "limits.connections_max is {configured}, but this process may open only {limit} files: at \
         most {most} connections are served; raise the limit (ulimit -n, LimitNOFILE) to {wanted}"
    )))
}

/// The limit after it was raised; `None`: there is none.
fn raise(wanted: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current?;
    let target = limit.maximum.unwrap_or_else(|| wanted.max(soft));
    if target <= soft {
        return Some(soft);
    }
    let raised = Rlimit { current: Some(target), maximum: limit.maximum };
    // Refused where a sandbox forbids it; then what there is must do.
    if setrlimit(Resource::Nofile, raised).is_err() {
        return Some(soft);
    }
    getrlimit(Resource::Nofile).current
}

/// All but the reserve; of a limit too small for the reserve, a quarter.
pub(super) fn connections_of(limit: u64) -> u32 {
    let most = limit.saturating_sub(RESERVED).max(limit / 4).max(1);
    u32::try_from(most).unwrap_or(u32::MAX)
}
