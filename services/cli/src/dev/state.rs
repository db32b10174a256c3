//! The folder in which `wharf dev` keeps what must survive a restart: generated keys, and where it
//! runs. One process at a time; what it writes only its user may read.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use gateway::auth::bearer;
use model::Environment;

use super::demo;
use super::ready::Ready;
use crate::failure::Failure;

pub(crate) const DEFAULT: &str = ".wharf";

const APPS: &str = "apps.toml";
const API_KEY: &str = "api-key";
const READY: &str = "dev.json";
const LOCK: &str = "lock";
/// Of the small files here; what is larger is not ours.
const BYTES_MAX: u64 = 1 << 20;
const OTHERS_MAY_WRITE: u32 = 0o002;

/// The folder, ours until dropped.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Makes the folder if need be and takes it, or says who has it.
    pub(super) fn take(folder: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("make the state folder {}", folder.display()))?;
        let mode = fs::metadata(folder)?.mode();
        if mode & OTHERS_MAY_WRITE != 0 {
            let folder = folder.display();
            return Err(Failure::Config(format!(
                "any user of this machine may write to {folder}, where secrets are kept: chmod \
                 700 {folder}, or choose another with --state-dir"
            ))
            .into());
        }
        let lock = lock(folder)?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// The file of apps, with a demo app of new keys where there is none yet.
    pub(super) fn apps(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(APPS);
        if !path.exists() {
            let api_key = bearer::generate(Environment::Development);
            // First the key's text: without it the file of apps would never be asked for one again.
            self.write(API_KEY, api_key.text.expose())?;
            self.write(APPS, &demo::apps(&api_key))?;
        }
        Ok(path)
    }

    /// Texts of API keys that were generated here.
    pub(super) fn api_keys(&self) -> Vec<String> {
        let text = read(&self.folder.join(API_KEY)).unwrap_or_default();
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect()
    }

    /// Tells `wharf sub` and `wharf pub` where to go.
    pub(super) fn publish(&self, ready: &Ready) -> anyhow::Result<()> {
        self.write(READY, &serde_json::to_string(ready)?)
    }

    /// Nothing runs here any more.
    pub(super) fn withdraw(&self) {
        // What is left over names a port where nobody answers: that is told as well.
        let _ = fs::remove_file(self.folder.join(READY));
    }

    /// Whole or not at all: who reads it meanwhile sees the old file.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        write_private(&self.folder, &path, text)
            .with_context(|| format!("write {}", path.display()))
    }
}

/// What the dev process of a folder has said; `None`: none runs there.
pub(crate) fn ready(folder: &Path) -> anyhow::Result<Option<Ready>> {
    let path = folder.join(READY);
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let ready = serde_json::from_str(&text);
    ready.map(Some).with_context(|| format!("read {}: restart `wharf dev`", path.display()))
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.take(32).read_to_string(&mut owner);
            let owner = owner.trim();
            let who = if owner.is_empty() { String::new() } else { format!(" (process {owner})") };
            let folder = folder.display();
            bail!(
                "another `wharf dev`{who} uses {folder}: stop it, or give this one a folder of its \
                 own with --state-dir DIR and ports with --listen and --admin-listen"
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("lock {}", path.display()));
        }
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn write_private(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.persist(path)?;
    Ok(())
}
