//! Panics: counted, and logged by place. What a panic says may hold a client's data.

use std::panic::PanicHookInfo;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static PANICS: AtomicU64 = AtomicU64::new(0);
static INSTALLED: Once = Once::new();

/// Panics in this process since the hook was installed.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

pub(super) fn install_hook() {
    INSTALLED.call_once(|| std::panic::set_hook(Box::new(hook)));
}

fn hook(info: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    match info.location() {
        Some(place) => tracing::error!(
            location = format_args!("{}:{}:{}", place.file(), place.line(), place.column()),
            thread,
            "panic"
        ),
        None => tracing::error!(thread, "panic"),
    }
}
