//! A program of others beside the gateway: found, started on loopback, ended with the test.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub(super) struct Sidecar {
    child: Child,
    pub(super) address: SocketAddr,
    folder: TempDir,
}

impl Sidecar {
    /// Starts `command`, which is to listen at `address` and writes what it says to a file.
    pub(super) fn start(mut command: Command, address: SocketAddr, folder: TempDir) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let errors = log.try_clone().expect("a file");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("started");
        Self { child, address, folder }
    }

    /// All that it has said.
    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).expect("a file");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let id = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(id, signal).expect("its own child");
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's Prometheus, scraping this admin listener twice a second.
pub(super) fn prometheus(admin: SocketAddr) -> Sidecar {
    let program = find("prometheus").expect(
        "prometheus is missing: run tests/setup.sh, or as root: \
         apt-get install -y --no-install-recommends prometheus",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}\n\
         scrape_configs: [{{job_name: gateway, static_configs: [{{targets: ['{admin}']}}]}}]\n"
    );
    std::fs::write(folder.path().join("prometheus.yml"), config).expect("written");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new(program);
    command
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={address}"));
    Sidecar::start(command, address, folder)
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Where `tests/setup.sh` puts what it downloads.
pub(super) fn cache() -> PathBuf {
    let given = std::env::var_os("WHARF_CACHE").map(PathBuf::from);
    given.unwrap_or_else(|| {
        Path::new(&std::env::var_os("HOME").expect("a home")).join(".cache/wharf")
    })
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([cache().join("bin")]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}
