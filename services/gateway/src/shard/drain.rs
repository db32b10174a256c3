//! Ends a shard's connections evenly over a window, so that other gateways are not run over.

use std::rc::Rc;
use std::time::Duration;

use model::CloseReason;
use tokio::time::Instant;

use crate::shard::Shard;

/// Closes everyone by the end of the window; returns when the last has gone, or a little after.
pub(super) async fn run(shard: Rc<Shard>) {
    const STEP: Duration = Duration::from_millis(100);
    /// For farewells under way: one second to take them, one to hang up.
    const LAST_WORDS: Duration = Duration::from_millis(2_500);

    let window = shard.gateway.config.shutdown_window;
    let begun = Instant::now();
    let steps = u32::try_from(window.as_millis() / STEP.as_millis()).unwrap_or(u32::MAX).max(1);
    for step in 0..steps {
        let open: Vec<_> =
            shard.table.borrow().iter().filter(|c| !c.is_closing()).map(Rc::clone).collect();
        if open.is_empty() {
            break;
        }
        // Newcomers of the last moment are in `open` too, so the share is taken of what is there.
        let share = open.len().div_ceil((steps - step) as usize);
        for connection in open.iter().take(share) {
            connection.close(CloseReason::Draining);
        }
        drop(open);
        if shard.table.borrow().len() > 0 {
            tokio::time::sleep_until(begun + STEP * (step + 1)).await;
        }
    }
    let deadline = Instant::now() + LAST_WORDS;
    while shard.tasks() > 0 && Instant::now() < deadline {
        // Whose handshake was under way has a seat only now.
        for connection in shard.table.borrow().iter() {
            connection.close(CloseReason::Draining);
        }
        tokio::time::sleep(STEP / 5).await;
    }
}
