//! Failures whose exit code says more than "it did not work".

use std::io;

use runtime::config::{EXIT_CONFIG, EXIT_PORT};

const EXIT_FAILED: u8 = 1;
/// As clap's own.
const EXIT_USAGE: u8 = 2;
/// As curl's for a server that cannot be reached.
const EXIT_UNREACHABLE: u8 = 7;

/// What the caller of this program may want to tell apart. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Port(String),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Unreachable(_) => EXIT_UNREACHABLE,
            Self::Config(_) => EXIT_CONFIG,
            Self::Port(_) => EXIT_PORT,
        }
    }
}

pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Failure>().map_or(EXIT_FAILED, Failure::exit_code)
}

/// Whether all that went wrong is that nobody reads any more, as in `wharf sub lobby | head -1`.
pub(crate) fn is_closed_output(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
