//! Waiting for something to become true, within a deadline: what tests do instead of sleeping.

use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::PATIENCE;

/// Asks again and again until there is an answer; a panic names the caller.
#[track_caller]
pub fn eventually<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    const PAUSE: Duration = Duration::from_millis(10);
    let caller = Location::caller();
    let deadline = Instant::now() + PATIENCE;
    async move {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}, at {caller}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
