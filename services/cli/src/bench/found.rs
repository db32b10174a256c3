//! The server that nobody named: the `wharf dev` of this folder, with its app and keys.

use anyhow::Context as _;
use model::AppCode;

use super::args::{Dialect, Target};
use crate::{
    failure::Failure,
    remote::{self, Address},
};

const SAY_WHERE: &str = "say where the server is with --gateway, --app and --key, or with --url";

impl Target {
    /// As it was given if it names a server: what the dev process says goes to no other.
    pub(super) fn found(mut self) -> anyhow::Result<Self> {
        if self.gateway.is_some() || self.url.is_some() || self.dialect == Dialect::Plain {
            return Ok(self);
        }
        let (app, state_dir) = (self.app.clone(), self.state_dir.clone());
        let (ready, known) = remote::Target { url: None, app, state_dir }.dev(SAY_WHERE)?;
        let folder = self.state_dir.display();
        let wrong = || format!("{folder} was written by another version: restart `wharf dev`");
        let address = ready.gateway_url.parse::<Address>();
        let address = address.map_err(anyhow::Error::msg).with_context(wrong)?;
        if !address.is_loopback() {
            return Err(Failure::Usage(format!(
                "the `wharf dev` of {folder} says that it is at {address}, to which load and keys \
                 go only when asked: say --gateway {address}, and which --app and --key"
            ))
            .into());
        }
        self.app = Some(AppCode::parse(&known.app_code).with_context(wrong)?);
        self.app_id.get_or_insert(known.app_id);
        if self.key.as_ref().is_none_or(|key| *key == known.key) {
            self.secret.get_or_insert(known.secret);
        }
        self.key.get_or_insert(known.key);
        self.gateway = Some(address.to_string());
        Ok(self)
    }
}
