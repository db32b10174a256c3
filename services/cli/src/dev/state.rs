//! The folder in which `wharf dev` keeps what must survive a restart: generated keys, and where it
//! runs. One process at a time; what it writes only its user may read, and what others could have
//! written is not believed.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
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
pub(super) const API_KEY: &str = "api-key";
const READY: &str = "dev.json";
const LOCK: &str = "lock";
const GITIGNORE: &str = ".gitignore";
/// Of the small files here; what is larger is not ours.
const BYTES_MAX: u64 = 1 << 20;
const OTHERS_MAY_WRITE: u32 = 0o022;

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
        if !is_ours(&fs::metadata(folder)?) {
            let folder = folder.display();
            return Err(Failure::Config(format!(
                "{folder}, where secrets are kept, is another user's or others may write to it: \
                 chmod 700 {folder}, or choose another with --state-dir"
            ))
            .into());
        }
        ignore_by_git(folder)?;
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

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        write_private(&self.folder, name, text)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// What the dev process of a folder has said; `None`: none runs there. Credentials will go where it
/// says, so that nobody else may have said it; `otherwise` is what its user can do if they may.
pub(crate) fn ready(folder: &Path, otherwise: &str) -> anyhow::Result<Option<Ready>> {
    let path = folder.join(READY);
    let cannot_read = || format!("read {}", path.display());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot_read),
    };
    for (name, metadata) in [(folder, fs::metadata(folder)), (&path, file.metadata())] {
        if !is_ours(&metadata.with_context(cannot_read)?) {
            let name = name.display();
            return Err(Failure::Config(format!(
                "{name} is another user's or others may write to it: what it says of a `wharf dev` \
                 is not believed; {otherwise}"
            ))
            .into());
        }
    }
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).with_context(cannot_read)?;
    let ready = serde_json::from_str(&text);
    ready.map(Some).with_context(|| format!("read {}: restart `wharf dev`", path.display()))
}

/// Whether nobody but us decides what is in it.
fn is_ours(metadata: &Metadata) -> bool {
    let user = rustix::process::geteuid().as_raw();
    metadata.uid() == user && metadata.mode() & OTHERS_MAY_WRITE == 0
}

/// Keys that are committed are no longer secret. A folder with something in it may be another's,
/// and is left as it is.
fn ignore_by_git(folder: &Path) -> anyhow::Result<()> {
    if fs::read_dir(folder)?.next().is_some() {
        return Ok(());
    }
    write_private(folder, GITIGNORE, "*")
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

/// Whole or not at all: who reads it meanwhile sees the old file.
fn write_private(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    let write = || {
        // Made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.persist(&path)?;
        io::Result::Ok(())
    };
    write().with_context(|| format!("write {}", path.display()))
}
