//! Which gateway a command speaks to, as which app and with which credentials: what flags and
//! variables say, else the `wharf dev` of this folder. Credentials found there go only to it.

mod address;
mod connect;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use model::AppCode;
use runtime::config::read_text;

use crate::dev::{self, Ready, ReadyApp};
use crate::failure::Failure;

pub(crate) use address::Address;
pub(crate) use connect::{Stream, connect};

const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;
const SAY_WHERE: &str = "say where the gateway is with --url and --app";
const SAY_WHAT_SIGNS: &str =
    "say what signs with --key and --secret-file (or --secret, or WHARF_SECRET)";

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Target {
    /// The gateway, as http://HOST:PORT or https://HOST [default: the `wharf dev` of this folder]
    #[arg(long, value_name = "URL", env = "WHARF_URL")]
    pub(crate) url: Option<Address>,
    /// The app's code [default: the first app of that `wharf dev`]
    #[arg(long, value_name = "CODE", env = "WHARF_APP", value_parser = app_code)]
    pub(crate) app: Option<AppCode>,
    /// State folder of the `wharf dev` to speak to
    #[arg(long, value_name = "DIR", env = "WHARF_STATE_DIR", default_value = dev::state::DEFAULT)]
    pub(crate) state_dir: PathBuf,
}

/// A key of the app, and the secret that signs for it.
#[derive(Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Credentials {
    /// The app's public key [default: that of the `wharf dev`]
    #[arg(long, value_name = "KEY", env = "WHARF_KEY")]
    pub(crate) key: Option<String>,
    /// The key's secret; the list of processes shows it: better use the file or the variable
    #[arg(long, value_name = "SECRET", env = "WHARF_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,
    /// File with the key's secret in its first line; goes before --secret and the variable
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
}

/// Where to go.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) address: Address,
    pub(crate) app: AppCode,
    /// What the dev process says of the app, if it is where we go.
    pub(crate) known: Option<ReadyApp>,
}

impl Target {
    pub(crate) fn find(&self) -> anyhow::Result<Remote> {
        match &self.url {
            Some(address) => {
                let app = self.app.clone().ok_or_else(|| {
                    Failure::Usage(String::from("--url needs --app CODE beside it"))
                })?;
                Ok(Remote { address: address.clone(), app, known: None })
            }
            None => Ok(self.find_dev()?.on_this_machine(&self.state_dir)?),
        }
    }

    /// What the dev process of the folder says of the app. For what goes nowhere.
    pub(crate) fn known(&self) -> anyhow::Result<ReadyApp> {
        Ok(self.dev(SAY_WHAT_SIGNS)?.1)
    }

    fn find_dev(&self) -> anyhow::Result<Remote> {
        let (ready, known) = self.dev(SAY_WHERE)?;
        let folder = self.state_dir.display();
        let wrong = || format!("{folder} was written by another version: restart `wharf dev`");
        Ok(Remote {
            address: ready.gateway_url.parse().map_err(anyhow::Error::msg).with_context(wrong)?,
            app: AppCode::parse(&known.app_code).with_context(wrong)?,
            known: Some(known),
        })
    }

    /// The dev process of the folder and its app; `otherwise` says which flags can do without.
    pub(crate) fn dev(&self, otherwise: &str) -> anyhow::Result<(Ready, ReadyApp)> {
        let folder = self.state_dir.display();
        let ready = dev::state::ready(&self.state_dir, otherwise)?.ok_or_else(|| {
            Failure::Unreachable(format!(
                "no `wharf dev` runs with the state folder {folder}: start it here, or {otherwise}"
            ))
        })?;
        let known = match &self.app {
            Some(code) => ready.app(code.as_str()),
            None => ready.apps.first(),
        };
        let known = known.cloned().ok_or_else(|| {
            let codes: Vec<&str> = ready.apps.iter().map(|app| &*app.app_code).collect();
            let codes = codes.join(", ");
            Failure::Usage(format!(
                "the `wharf dev` of {folder} has no such app: --app is of {codes}"
            ))
        })?;
        Ok((ready, known))
    }
}

impl Remote {
    /// Keys, of the environment too, go to other machines only when asked to.
    fn on_this_machine(self, folder: &Path) -> Result<Self, Failure> {
        if self.address.is_loopback() {
            return Ok(self);
        }
        let (folder, address, app) = (folder.display(), &self.address, &self.app);
        Err(Failure::Usage(format!(
            "the `wharf dev` of {folder} says that it is at {address}, to which keys go only when \
             asked: say --url {address} --app {app}, and which keys"
        )))
    }
}

impl Credentials {
    pub(crate) fn key(&self, known: Option<&ReadyApp>) -> Result<String, Failure> {
        let key = self.key.clone().or_else(|| known.map(|app| app.key.clone()));
        key.ok_or_else(|| {
            Failure::Usage(String::from("say which key of the app to use: --key KEY"))
        })
    }

    /// `None`: nobody said one, and the key is not the one that is known.
    pub(crate) fn secret(&self, known: Option<&ReadyApp>) -> anyhow::Result<Option<String>> {
        if let Some(path) = &self.secret_file {
            return Ok(Some(first_line(path)?));
        }
        let known = known.filter(|app| self.key.as_ref().is_none_or(|key| *key == app.key));
        Ok(self.secret.clone().or_else(|| known.map(|app| app.secret.clone())))
    }

    pub(crate) fn needed_secret(&self, known: Option<&ReadyApp>) -> anyhow::Result<String> {
        let missing = "say what signs: --secret-file FILE, --secret SECRET or WHARF_SECRET";
        Ok(self.secret(known)?.ok_or_else(|| Failure::Usage(String::from(missing)))?)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Of a file with a secret.
pub(crate) fn first_line(path: &Path) -> anyhow::Result<String> {
    let text = read_text(path, SECRET_FILE_BYTES_MAX)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(String::from(line)),
        Some(_) | None => {
            let path = path.display();
            Err(Failure::Usage(format!("{path} has nothing in its first line")).into())
        }
    }
}

pub(crate) fn app_code(text: &str) -> Result<AppCode, String> {
    AppCode::parse(text).map_err(|error| error.to_string())
}
