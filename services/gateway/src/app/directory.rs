//! Which apps there are, by each of their names; and what a change of one means for connections.

use std::sync::Arc;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use model::{AppCode, AppState, CloseReason};
use parking_lot::Mutex;
use protocol::AppRef;

use super::App;
use crate::auth::origin;

/// All apps of this gateway. Lookups take no lock; a change is seen as a whole or not at all.
#[derive(Debug, Default)]
pub struct Directory {
    index: ArcSwap<Index>,
    /// Held while the next index is made: two changes at once would lose one.
    applying: Mutex<()>,
}

#[derive(Debug, Default)]
struct Index {
    by_key: AHashMap<String, Arc<App>>,
    by_code: AHashMap<AppCode, Arc<App>>,
    by_id: AHashMap<u64, Arc<App>>,
}

/// What a change did. Connections of `changed` and `removed` apps have to be judged again.
#[derive(Debug, Default)]
pub struct Applied {
    pub added: Vec<Arc<App>>,
    pub changed: Vec<Arc<App>>,
    /// Disabled, so that whoever still holds one admits nobody.
    pub removed: Vec<Arc<App>>,
}

impl Directory {
    /// No two apps may share an id, code or key: `control` has seen to that.
    pub fn new(apps: Vec<model::App>) -> Self {
        let directory = Self::default();
        directory.apply(apps);
        directory
    }

    pub fn by_key(&self, key: &str) -> Option<Arc<App>> {
        self.index.load().by_key.get(key).cloned()
    }

    pub fn by_code(&self, code: &AppCode) -> Option<Arc<App>> {
        self.index.load().by_code.get(code).cloned()
    }

    pub fn by_id(&self, id: u64) -> Option<Arc<App>> {
        self.index.load().by_id.get(&id).cloned()
    }

    pub fn find(&self, app: &AppRef) -> Option<Arc<App>> {
        match app {
            AppRef::Key(key) => self.by_key(key),
            AppRef::Code(code) => self.by_code(code),
            AppRef::Id(id) => self.by_id(*id),
        }
    }

    /// In the order of their ids.
    pub fn all(&self) -> Vec<Arc<App>> {
        let mut apps: Vec<_> = self.index.load().by_id.values().cloned().collect();
        apps.sort_by_key(|app| app.config().id);
        apps
    }

    /// Makes `apps` all there is. An app is the same as before if its id is: it keeps its
    /// connections, counts and rates.
    pub fn apply(&self, apps: Vec<model::App>) -> Applied {
        let _applying = self.applying.lock();
        let before = self.index.load_full();
        let mut next = Index::default();
        let mut applied = Applied::default();
        for config in apps {
            let app = match before.by_id.get(&config.id.0) {
                Some(app) => {
                    if *app.config() != config {
                        app.apply(config);
                        applied.changed.push(Arc::clone(app));
                    }
                    Arc::clone(app)
                }
                None => {
                    let app = Arc::new(App::new(config));
                    applied.added.push(Arc::clone(&app));
                    app
                }
            };
            next.insert(app);
        }
        self.index.store(Arc::new(next));
        let after = self.index.load();
        for (id, app) in &before.by_id {
            if !after.by_id.contains_key(id) {
                let mut config = model::App::clone(&app.config());
                config.state = AppState::Disabled;
                app.apply(config);
                applied.removed.push(Arc::clone(app));
            }
        }
        applied
    }
}

/// Whether a connection that came in by `key`, speaking `dialect`, from a page of `origin`
/// (normalised), may stay now that its app is `app`; if not, why it ends.
pub fn verdict(
    key: &str,
    app: &model::App,
    dialect: &str,
    origin: Option<&str>,
) -> Option<CloseReason> {
    if app.state == AppState::Disabled {
        return Some(CloseReason::AppDisabled);
    }
    if app.key(key).is_none() {
        return Some(CloseReason::KeyRevoked);
    }
    if !app.dialects.contains(&dialect) {
        return Some(CloseReason::DialectDisabled);
    }
    match origin {
        Some(origin) if !origin::is_listed(app, origin) => Some(CloseReason::OriginRefused),
        _ => None,
    }
}

impl Index {
    fn insert(&mut self, app: Arc<App>) {
        let config = app.config();
        for key in &config.keys {
            self.by_key.insert(key.key.clone(), Arc::clone(&app));
        }
        self.by_code.insert(config.code.clone(), Arc::clone(&app));
        self.by_id.insert(config.id.0, app);
    }
}
