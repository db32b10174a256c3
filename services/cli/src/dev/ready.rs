//! What `wharf dev` says of itself: its JSON line, and the file by which `wharf sub` and `wharf pub`
//! find it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a dev process listens and with which credentials. Holds secrets: only for files of mode
/// 0600, for stdout, and for pages served to loopback.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) ready: bool,
    pub(crate) gateway_url: String,
    pub(crate) admin_url: String,
    pub(crate) apps: Vec<ReadyApp>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ReadyApp {
    pub(crate) app: String,
    pub(crate) app_code: String,
    pub(crate) app_id: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    /// `None`: of an app that we did not make only hashes of API keys are known.
    pub(crate) api_key: Option<String>,
}

impl Ready {
    pub(crate) fn app(&self, code: &str) -> Option<&ReadyApp> {
        self.apps.iter().find(|app| app.app_code == code)
    }
}

impl ReadyApp {
    /// `api_keys` are the texts of keys that this folder once generated.
    pub(super) fn of(app: &model::App, api_keys: &[String]) -> Self {
        let first = app.keys.first();
        let secret = first.map(|key| String::from_utf8_lossy(&key.secret).into_owned());
        let api_key = api_keys.iter().find(|text| {
            let header = format!("Bearer {text}");
            gateway::auth::bearer::verify(Some(app), [header.as_bytes()]).is_ok()
        });
        Self {
            app: app.code.to_string(),
            app_code: app.code.to_string(),
            app_id: app.id.0.to_string(),
            key: first.map(|key| key.key.clone()).unwrap_or_default(),
            secret: secret.unwrap_or_default(),
            api_key: api_key.cloned(),
        }
    }
}

impl fmt::Debug for ReadyApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyApp").field("app_code", &self.app_code).finish_non_exhaustive()
    }
}
