//! What the operator asks of the process by signal.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::mpsc;

#[cfg(test)]
mod tests;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: end in good order.
    Stop,
    /// SIGHUP: read again what may change while running.
    Reload,
}

/// Receives the process's signals from the moment it is made. A second SIGTERM or SIGINT ends the
/// process at once, whether or not anyone waits in [`Signals::next`]: it has a thread of its own,
/// so that neither a long drain nor a blocked runtime can hold up an operator who insists.
#[derive(Debug)]
pub struct Signals {
    asked: mpsc::Receiver<Signal>,
}

/// Requests not yet taken. More reloads than that are one reload.
const PENDING_MAX: usize = 4;

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP. Once per process.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let streams = {
            let _entered = runtime.enter();
            Streams {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            }
        };
        let (sender, asked) = mpsc::channel(PENDING_MAX);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(watch(streams, sender)))?;
        Ok(Self { asked })
    }

    /// The next request. `Stop` is given once.
    pub async fn next(&mut self) -> Signal {
        match self.asked.recv().await {
            Some(signal) => signal,
            // The thread never ends while this half is alive.
            None => std::future::pending().await,
        }
    }
}

struct Streams {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
}

async fn watch(mut streams: Streams, sender: mpsc::Sender<Signal>) {
    let mut stopping = false;
    loop {
        let code = tokio::select! {
            _ = streams.terminate.recv() => 128 + 15,
            _ = streams.interrupt.recv() => 128 + 2,
            _ = streams.hangup.recv() => {
                // A reload that has not begun sees what this one would. The last place is kept for
                // `Stop`, which then never waits.
                if sender.capacity() > 1 {
                    let _ = sender.try_send(Signal::Reload);
                }
                continue;
            }
        };
        if stopping || sender.try_send(Signal::Stop).is_err() {
            exit(code);
        }
        stopping = true;
    }
}

#[expect(clippy::exit, reason = "the operator has asked twice: nothing may delay the end")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}
