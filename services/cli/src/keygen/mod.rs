//! `wharf keygen`: new keys for a gateway's file of apps.

#[cfg(test)]
mod tests;

use std::fmt;
use std::process::ExitCode;

use gateway::auth::bearer::{self, Generated};
use model::Environment;
use ring::rand::{SecureRandom as _, SystemRandom};
use runtime::Secret;
use serde_json::json;

use crate::output::{self, Output};
use crate::sign::digest::hex;

const KEY_BYTES: usize = 10;
const SECRET_BYTES: usize = 32;

/// Make an API key for a gateway of your own, and what its apps.toml has to say of it
///
/// Examples:
///   wharf keygen                  an API key, and its [[app.api_key]]
///   wharf keygen --app            also a new key and secret for clients: an [[app.key]]
///   wharf keygen --development    a key that says that it is not of production
///   wharf keygen --output json
///
/// The first line is the API key, for your backend (`wharf pub --api-key-file`). It is shown this
/// once: the file of apps has only its hash. The rest goes into apps.toml, below the [[app]] that it
/// is for; SIGHUP has the gateway read it again. No gateway is asked.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The key begins with whf_skd_ instead of whf_skl_; a gateway takes either
    #[arg(long)]
    development: bool,
    /// Also a key for clients and the secret that signs for it, as Pusher's apps have them
    #[arg(long)]
    app: bool,
    /// json: one object, with `api_key`, `key_id` and `sha256`; with --app also `key` and `secret`
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let environment =
        if args.development { Environment::Development } else { Environment::Production };
    let api_key = bearer::generate(environment);
    let pair = args.app.then(Pair::generate);
    output::line(&match args.output {
        Output::Text => text(&api_key, pair.as_ref()),
        Output::Json => json_text(&api_key, pair.as_ref()),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A public key, and the secret that signs for it.
pub(crate) struct Pair {
    key: String,
    secret: Secret<String>,
}

impl Pair {
    pub(crate) fn generate() -> Self {
        Self { key: random_hex::<KEY_BYTES>(), secret: Secret::new(random_hex::<SECRET_BYTES>()) }
    }

    /// As a file of apps has it, without a newline at its end.
    pub(crate) fn toml(&self) -> String {
        format!("[[app.key]]\nkey = \"{}\"\nsecret = \"{}\"", self.key, self.secret.expose())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a file of apps says of an API key, without a newline at its end.
pub(crate) fn api_key_toml(api_key: &Generated) -> String {
    let (key_id, sha256) = (&api_key.key_id, hex(&api_key.sha256));
    format!("[[app.api_key]]\nkey_id = \"{key_id}\"\nsha256 = \"{sha256}\"")
}

fn text(api_key: &Generated, pair: Option<&Pair>) -> String {
    let mut text = format!("{}\n\n{}", api_key.text.expose(), api_key_toml(api_key));
    if let Some(pair) = pair {
        text.push_str("\n\n");
        text.push_str(&pair.toml());
    }
    text
}

fn json_text(api_key: &Generated, pair: Option<&Pair>) -> String {
    let mut object = json!({
        "api_key": api_key.text.expose(),
        "key_id": api_key.key_id,
        "sha256": hex(&api_key.sha256),
    });
    if let Some(pair) = pair {
        object["key"] = json!(pair.key);
        object["secret"] = json!(pair.secret.expose());
    }
    object.to_string()
}

fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system's random source answers");
    hex(&bytes)
}
