//! C and E: what operators get wrong. The real binary says file, key and fix on one line of standard
//! error, never a value, and ends with 78, or with 71 for a port.

mod rows;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tests::{Client, Process};
use tokio::time::Instant;

/// A word that must never be told: it stands where secrets do.
const SECRET: &str = "hunter2hunter2hunter2";

const GOOD_APPS: &str = "[[app]]\ncode = \"demo\"\napp_id = \"1\"\n[[app.key]]\nkey = \"k\"\n\
                         secret = \"hunter2hunter2hunter2\"\n";

/// One row: files, variables, how it is started, and how it ends.
struct Row {
    id: &'static str,
    what: &'static str,
    config: Vec<u8>,
    apps: Vec<u8>,
    variables: Vec<(&'static str, OsString)>,
    run: bool,
    code: i32,
    pieces: Vec<String>,
}

/// `gateway.toml` is wrong.
fn config(id: &'static str, what: &'static str, text: impl AsRef<str>, pieces: &[&str]) -> Row {
    Row {
        id,
        what,
        config: text.as_ref().as_bytes().to_vec(),
        apps: GOOD_APPS.as_bytes().to_vec(),
        variables: Vec::new(),
        run: false,
        code: 78,
        pieces: pieces.iter().map(|piece| String::from(*piece)).collect(),
    }
}

/// `apps.toml` is wrong.
fn apps_file(id: &'static str, what: &'static str, text: impl AsRef<str>, pieces: &[&str]) -> Row {
    let row = config(id, what, "", pieces).naming("apps.toml");
    Row { apps: text.as_ref().as_bytes().to_vec(), ..row }
}

/// A variable is wrong.
fn variable(
    id: &'static str,
    what: &'static str,
    (name, value): (&'static str, &[u8]),
    pieces: &[&str],
) -> Row {
    let value = OsStr::from_bytes(value).to_owned();
    Row { variables: vec![(name, value)], ..config(id, what, "", pieces) }
}

impl Row {
    fn naming(mut self, piece: &str) -> Self {
        self.pieces.push(String::from(piece));
        self
    }

    /// It is well: 0, and these words on standard output.
    fn well(self) -> Self {
        Self { code: 0, ..self }
    }

    /// Started, not only checked.
    fn run(self, code: i32) -> Self {
        Self { run: true, code, ..self }
    }

    fn also(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, OsString::from(value)));
        self
    }

    fn check(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        write(folder.path(), "gateway.toml", &self.config);
        write(folder.path(), "apps.toml", &self.apps);
        let ended = start(&folder.path().join("gateway.toml"), self)?;
        let said = match self.code {
            0 => &ended.output,
            _ => &ended.error,
        };
        let told = format!("exit {:?}, {:?}, {:?}", ended.code, ended.output, ended.error);
        if ended.code != Some(self.code) {
            return Err(format!("expected exit {}: {told}", self.code));
        }
        if self.code != 0 && ended.error.lines().count() != 1 {
            return Err(format!("more or less than one line: {told}"));
        }
        if told.contains(SECRET) {
            return Err(format!("a secret is told: {told}"));
        }
        match self.pieces.iter().find(|piece| !said.contains(&***piece)) {
            Some(missing) => Err(format!("without {missing:?}: {told}")),
            None => Ok(()),
        }
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).expect("a file");
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o640)).expect("a mode");
}

struct Ended {
    code: Option<i32>,
    output: String,
    error: String,
}

fn start(config: &Path, row: &Row) -> Result<Ended, String> {
    let binary = tests::gateway::binary("wharf-gateway").map_err(|error| error.to_string())?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(config).envs(row.variables.iter().cloned());
    if !row.run {
        command.arg("--check-config");
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    end(child.map_err(|error| error.to_string())?)
}

/// Waits for a child that ends by itself.
fn end(mut child: Child) -> Result<Ended, String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(String::from("it runs instead of ending"));
        }
        pause();
    }
    let read = |stream: Option<&mut dyn std::io::Read>| {
        let mut text = String::new();
        stream.and_then(|stream| stream.read_to_string(&mut text).ok());
        text
    };
    let output = read(child.stdout.as_mut().map(|s| s as &mut dyn std::io::Read));
    let error = read(child.stderr.as_mut().map(|s| s as &mut dyn std::io::Read));
    let code = child.wait().map_err(|error| error.to_string())?.code();
    Ok(Ended { code, output, error })
}

#[expect(clippy::disallowed_methods, reason = "waiting for another process, on a test's thread")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

fn run(rows: &[Row]) {
    let failures: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            row.check().err().map(|error| format!("{} {}: {error}", row.id, row.what))
        })
        .collect();
    let count = failures.len();
    assert!(failures.is_empty(), "{count} of {}:\n{}", rows.len(), failures.join("\n"));
}

#[test]
fn wrong_configurations_are_refused_as_the_table_says() {
    let tables = [rows::gateway(), rows::apps(), rows::variables()];
    run(&tables.into_iter().flatten().collect::<Vec<Row>>());
}

/// The id of every row, for the list of what is covered.
pub(super) fn ids() -> Vec<&'static str> {
    let tables = [rows::gateway(), rows::apps(), rows::variables()];
    let rows = tables.iter().flatten().map(|row| row.id);
    rows.chain(["C-01", "C-07", "C-08", "C-09", "C-12"]).collect()
}

/// C-01: files that are none, and one that is too large.
#[test]
fn files_that_are_none_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = fs::File::create(folder.path().join("large.toml")).expect("a file");
    large.set_len(100 << 20).expect("a hole costs nothing");
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("coreutils").success());
    for (path, piece) in [
        (folder.path().join("none.toml"), "none.toml: does not exist; create it"),
        (folder.path().to_path_buf(), "is a directory; name the file inside it"),
        (folder.path().join("large.toml"), "is larger than 4MiB; check"),
        (fifo, "is a pipe or socket; write it to a regular file"),
        (Path::new("/dev/zero").to_path_buf(), "/dev/zero: is larger than 4MiB"),
        (Path::new("/etc/passwd/x").to_path_buf(), "has a file where a folder is named"),
    ] {
        let ended = start(&path, &config("C-01", "", "", &[])).expect("it ends");
        assert_eq!(ended.code, Some(78), "{path:?}: {}", ended.error);
        assert!(ended.error.contains(piece), "{path:?} without {piece:?}: {}", ended.error);
    }
}

/// E-03: a value in a file, with the newline that editors put at its end.
#[test]
fn a_variable_may_name_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shards", b"2\n");
    let path = folder.path().join("shards").into_os_string();
    let name = "WHARF_GATEWAY__SHARDS_FILE";
    let row = config("E-03", "a newline at its end: no fault", "", &["ok: 1 app(s)"]).well();
    run(&[Row { variables: vec![(name, path)], ..row }]);
}

/// C-07: a port that someone has. Another gateway with SO_REUSEPORT would share it silently.
#[test]
fn a_port_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let rows = [
        config(
            "C-07",
            "the clients' port",
            format!("listen = \"{address}\"\nadmin_listen = \"127.0.0.1:0\""),
            &[&format!("listen on {address}: the address is in use; choose another")],
        )
        .run(71),
        config(
            "C-07",
            "the admin's port",
            format!("listen = \"127.0.0.1:0\"\nadmin_listen = \"{address}\""),
            &["admin_listen", "in use"],
        )
        .run(71),
        config(
            "C-07",
            "an address of another machine",
            {
                "listen = \"192.0.2.1:8080\"\nallow_insecure = true\nadmin_listen = \"127.0.0.1:0\""
            },
            &["192.0.2.1:8080", "this machine does not have it"],
        )
        .run(71),
    ];
    run(&rows);
}

/// C-08: certificates and keys that do not fit.
#[test]
fn certificates_and_keys_are_looked_at_before_a_client_is() {
    run(&certificates(true).1);
}

/// C-08 again, by --check-config, which promises to say what is wrong.
#[test]
fn certificates_and_keys_are_looked_at_when_checked() {
    run(&certificates(false).1);
}

/// The rows, and the folder that they name.
fn certificates(start: bool) -> (TempDir, Vec<Row>) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| write(folder.path(), name, text.as_bytes());
    let make = || rcgen::generate_simple_self_signed([String::from("localhost")]).expect("one");
    let (one, two) = (make(), make());
    write("one.crt", &one.cert.pem());
    write("one.key", &one.signing_key.serialize_pem());
    write("two.key", &two.signing_key.serialize_pem());
    write("empty", "");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIFHDBOBgkqhkiG9w0BBQ0wQTApBgkq\n\
                     -----END ENCRYPTED PRIVATE KEY-----\n";
    write("encrypted.key", encrypted);
    let tls = |folder: &TempDir, certificate: &str, key: &str| {
        let folder = folder.path().display();
        format!(
            "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[tls]\n\
             certificate = \"{folder}/{certificate}\"\nkey = \"{folder}/{key}\"\n"
        )
    };
    let row = |what, certificate, key, pieces: &[&str]| Row {
        run: start,
        ..config("C-08", what, tls(&folder, certificate, key), pieces)
    };
    let rows = vec![
        row("of another certificate", "one.crt", "two.key", &["do not belong together"]),
        row("an encrypted key", "one.crt", "encrypted.key", &["tls.key", "encrypted.key"]),
        row("a certificate for a key", "one.crt", "one.crt", &["tls.key", "one.crt"]),
        row("a key for a certificate", "one.key", "one.key", &["tls.certificate", "one.key"]),
        row("an empty file", "empty", "one.key", &["tls.certificate", "empty"]),
        row("a file that is not there", "none", "one.key", &["tls.certificate", "none"]),
    ];
    (folder, rows)
}

/// C-09: whoever may read a file of secrets is told of.
#[test]
fn files_that_everyone_may_read_are_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "gateway.toml", b"");
    write(folder.path(), "apps.toml", GOOD_APPS.as_bytes());
    let apps = folder.path().join("apps.toml");
    fs::set_permissions(&apps, fs::Permissions::from_mode(0o644)).expect("a mode");
    let row = config("C-09", "", "", &[]).well();
    let ended = start(&folder.path().join("gateway.toml"), &row).expect("it ends");
    assert_eq!(ended.code, Some(0), "{}", ended.error);
    assert!(ended.output.contains("apps.toml holds secrets"), "{}", ended.output);
    assert!(ended.output.contains("chmod 640"), "{}", ended.output);
}

/// C-12: a reload that is wrong changes nothing, is counted and said; the next good one is taken.
#[tokio::test]
async fn a_wrong_reload_keeps_what_was_served() {
    let config = "[limits]\nconnects_per_second_per_address = 1000\n";
    let process = Process::start(config, &crate::bad_input::apps(), &[]).expect("a gateway");
    let file = process.apps_file();
    let url = format!("ws://{}/a/other/raw?key=otherkey&channel=w&publish=w", process.address);
    let mut witness = Client::connect(&url).await.expect("a witness");
    let good = crate::bad_input::apps();
    let wrong: [&[u8]; 7] = [
        b"",
        b"[[app]",
        b"\xff\xfe",
        b"[[app]]\ncode = \"x\"\napp_id = \"9\"\n",
        b"[[app]]\nunknown = 1\n",
        GOOD_APPS.as_bytes(),
        &good.as_bytes()[..good.len() / 2],
    ];
    for (n, bytes) in wrong.iter().enumerate() {
        let bytes = match *bytes {
            same if same == GOOD_APPS.as_bytes() => GOOD_APPS.replace(SECRET, "changeme").into(),
            bytes => bytes.to_vec(),
        };
        fs::write(&file, bytes).expect("written");
        process.signal(rustix::process::Signal::HUP).expect("told");
        until_rejected(&process, n + 1).await;
        witness.send_text("w").await.expect("sent");
        assert_eq!(witness.text().await.expect("an echo"), "w");
        Client::connect(&url).await.expect("others still come in");
    }
    fs::remove_file(&file).expect("removed");
    process.signal(rustix::process::Signal::HUP).expect("told");
    until_rejected(&process, wrong.len() + 1).await;

    fs::write(&file, good.replace("\"otherkey\"", "\"newkey\"")).expect("written");
    process.signal(rustix::process::Signal::HUP).expect("told");
    let closed = witness.closed().await.expect("a close");
    assert_eq!(closed.map(|(code, _)| code), Some(4403), "its key is gone");
    Client::connect(&url.replace("otherkey", "newkey")).await.expect("the new one is there");
}

/// Waits until so many reloads were refused, by the gateway's own count.
async fn until_rejected(process: &Process, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(8);
    loop {
        let metrics = metrics(process).await;
        let line = metrics.lines().find(|line| line.starts_with("wharf_gateway_config_rejected"));
        let held = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        if held.unwrap_or(0.0) >= count as f64 {
            return;
        }
        assert!(Instant::now() < deadline, "{held:?} of {count} reloads were refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metrics(process: &Process) -> String {
    let mut socket =
        crate::bad_input::socket::Socket::connect(process.admin).await.expect("the admin");
    let asked = crate::bad_input::wire::get("/metrics").add("Connection", "close").bytes();
    socket.send(&asked).await.expect("sent");
    let all = socket.rest(Duration::from_secs(5)).await.expect("an answer");
    String::from_utf8_lossy(&all).into_owned()
}
