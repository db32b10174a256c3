//! Ctrl-C and SIGTERM as a flag: the loop stops sending, drains and prints what it measured.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt {
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts to listen, from here on instead of dying: whatever waits must look at the flag.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let raised = Arc::clone(&interrupt.raised);
        std::thread::Builder::new()
            .name("bench-signals".to_owned())
            .spawn(move || {
                if wait().is_ok() {
                    raised.store(true, Ordering::Relaxed);
                }
            })
            .context("start the signal thread")?;
        Ok(interrupt)
    }

    pub(super) fn raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}

fn wait() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
