//! Where log lines go. A reader that stopped reading (a full pipe, a paused terminal) costs lines,
//! never the time of the thread that logs.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

use super::log::LogOutput;

/// Lines held while the output is slow.
const HELD_BYTES_MAX: usize = 1 << 20;

/// A handle to the thread that writes. The thread ends when the last handle is dropped and all is
/// written.
#[derive(Debug, Clone)]
pub(super) struct LogWriter {
    held: Arc<Held>,
    /// Dropped with the last handle, which tells the thread.
    _owner: Arc<Owner>,
}

#[derive(Debug, Default)]
struct Held {
    /// Held for a copy of a line at most, never during a write.
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    count: u64,
    is_writing: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Owner(Arc<Held>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.filled.notify_one();
    }
}

impl LogWriter {
    pub(super) fn open(output: LogOutput) -> io::Result<Self> {
        // A descriptor of its own: the standard handles have locks that a blocked write would keep.
        let descriptor = match output {
            LogOutput::Stdout => io::stdout().as_fd().try_clone_to_owned(),
            LogOutput::Stderr => io::stderr().as_fd().try_clone_to_owned(),
        }?;
        Self::to(File::from(descriptor))
    }

    pub(super) fn to(output: impl Write + Send + 'static) -> io::Result<Self> {
        let held = Arc::<Held>::default();
        let own = Arc::clone(&held);
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || own.write_to(output))?;
        Ok(Self { _owner: Arc::new(Owner(Arc::clone(&held))), held })
    }

    pub(super) fn dropped(&self) -> u64 {
        self.held.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written, for `patience` at most. Blocks.
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.held.state.lock();
        self.held.written.wait_while_for(
            &mut state,
            |state| state.is_writing || !state.lines.is_empty(),
            patience,
        );
    }
}

impl Held {
    fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.lines.len() + line.len() > HELD_BYTES_MAX {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        state.count += 1;
        drop(state);
        self.filled.notify_one();
    }

    fn write_to(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        loop {
            let count = {
                let mut state = self.state.lock();
                state.is_writing = false;
                self.written.notify_all();
                self.filled
                    .wait_while(&mut state, |state| state.lines.is_empty() && !state.is_closed);
                if state.lines.is_empty() {
                    return;
                }
                std::mem::swap(&mut state.lines, &mut lines);
                state.is_writing = true;
                std::mem::take(&mut state.count)
            };
            // An output that is gone (a closed pipe) is no reason to stop serving.
            if output.write_all(&lines).and_then(|()| output.flush()).is_err() {
                self.dropped.fetch_add(count, Ordering::Relaxed);
            }
            lines.clear();
        }
    }
}

/// The subscriber writes each line whole, in one call.
#[derive(Debug)]
pub(super) struct Line<'a>(&'a Held);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.held)
    }
}
