//! Runs the binary: commands to their end, and `wharf dev` until it is dropped.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

const END_WITHIN: Duration = Duration::from_secs(15);

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command that still runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    err: BufReader<ChildStderr>,
}

/// A dev process with a state folder of its own.
#[derive(Debug)]
pub(crate) struct Dev {
    pub(crate) running: Running,
    pub(crate) ready: Value,
    pub(crate) folder: TempDir,
}

pub(crate) fn wharf(folder: &Path, arguments: &[&str]) -> Command {
    clean(env!("CARGO_BIN_EXE_wharf"), folder, arguments)
}

/// A program with nothing of the environment that would change what `wharf` does.
pub(crate) fn clean(program: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("WHARF_") || text.starts_with("OTEL_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Said {
    run_with_input(folder, arguments, b"")
}

pub(crate) fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Said {
    let mut command = wharf(folder, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // One that does not read its input has ended already, and says why by its code.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Running {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::of(wharf(folder, arguments))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let out = child.stdout.take().map(BufReader::new);
        let err = BufReader::new(child.stderr.take().expect("stderr is piped"));
        Self { child, out, err }
    }

    pub(crate) fn line(&mut self) -> String {
        line(self.out.as_mut().expect("its output was not closed"))
    }

    /// Nobody reads what it prints any more.
    pub(crate) fn close_output(&mut self) {
        self.out = None;
    }

    /// Reads stderr up to a line with `text` in it.
    pub(crate) fn until_said(&mut self, text: &str) -> String {
        loop {
            let said = line(&mut self.err);
            assert!(!said.is_empty(), "ended before it said {text:?}");
            if said.contains(text) {
                return said;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid is an i32");
        let pid = Pid::from_raw(pid).expect("a child has a pid");
        kill_process(pid, signal).expect("the child can be signalled");
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + END_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "did not end within {END_WITHIN:?}");
            pause();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dev {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), ":0", &[])
    }

    pub(crate) fn start_in(folder: TempDir, listen: &str, more: &[&str]) -> Self {
        let free = ["dev", "--listen", listen, "--admin-listen", ":0", "--output", "json"];
        let arguments: Vec<&str> = free.iter().chain(more).copied().collect();
        let mut running = Running::start(folder.path(), &arguments);
        let line = running.line();
        let ready = serde_json::from_str(&line).expect("the ready line is JSON");
        Self { running, ready, folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it and gives its folder back.
    pub(crate) fn stop(self) -> TempDir {
        let Self { mut running, folder, .. } = self;
        running.signal(Signal::TERM);
        assert_eq!(running.end().code(), Some(0));
        folder
    }
}

/// Without its end; empty at the end of the stream.
fn line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("output is UTF-8");
    line.truncate(line.trim_end_matches('\n').len());
    line
}

#[expect(clippy::disallowed_methods, reason = "waiting for another process, on a test's thread")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
