//! Where the gateway's apps come from: a file now, a control plane beside it later. Either way they
//! arrive checked, or not at all.

pub mod file;
pub mod limits;
mod sample;

#[cfg(test)]
mod tests;

use model::App;

use crate::config::{Limits, Warning};

pub use file::{Error, load};
pub use sample::example;

/// What the apps ask for and this gateway's own limits do not give.
pub fn conflicts(apps: &[App], limits: &Limits) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for app in apps {
        let payload = app.limits.payload_bytes_max;
        if payload > limits.queue_bytes_max {
            warnings.push(Warning::new(format!(
                "app \"{}\" allows payloads of {payload} bytes, but limits.queue_bytes_max is {}: \
                 one such message closes every connection that it has to wait for",
                app.code, limits.queue_bytes_max
            )));
        }
    }
    warnings
}
