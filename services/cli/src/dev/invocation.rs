//! How this program is called from another terminal, so that what we print can be copied.

use std::path::Path;

use super::state;

#[derive(Clone, Debug)]
pub(super) struct Invocation {
    /// As it was called.
    program: String,
    /// By which `sub` and `pub` find this process; with a space before, if there are any.
    flags: String,
    api_key_file: String,
}

impl Invocation {
    pub(super) fn new(state_dir: &Path) -> Self {
        let program = std::env::args().next();
        let flags = if state_dir == Path::new(state::DEFAULT) {
            String::new()
        } else {
            format!(" --state-dir {}", quoted(&state_dir.display().to_string()))
        };
        let api_key_file = quoted(&state_dir.join(state::API_KEY).display().to_string());
        let program = program.map_or_else(|| String::from("wharf"), |name| quoted(&name));
        Self { program, flags, api_key_file }
    }

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    pub(super) fn flags(&self) -> &str {
        &self.flags
    }

    /// Where the first API key is that was generated.
    pub(super) fn api_key_file(&self) -> &str {
        &self.api_key_file
    }
}

/// As one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return String::from(text);
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
