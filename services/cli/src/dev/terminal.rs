//! The terminal on which `wharf dev` was started. A window that closes says SIGHUP, as does whoever
//! wants a reload: the terminal that is gone tells the two apart.

use std::fs::File;
use std::io::{self, IsTerminal as _};

use rustix::io::Errno;

/// Names, to each process, the terminal that it belongs to.
const OWN_TERMINAL: &str = "/dev/tty";

#[derive(Debug)]
pub(super) struct Terminal {
    was_there: bool,
}

impl Terminal {
    /// As things are now. Under `nohup` no stream is a terminal: then the window may close.
    pub(super) fn new() -> Self {
        let started_on_it =
            io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
        Self { was_there: started_on_it && is_there() }
    }

    /// Whether there was one and nobody sits there any more.
    pub(super) fn is_gone(&self) -> bool {
        self.was_there && !is_there()
    }
}

fn is_there() -> bool {
    match File::open(OWN_TERMINAL) {
        Ok(_) => true,
        // Short of descriptors we do not know, and then nothing has changed.
        Err(error) => matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)),
    }
}
