//! `wharf dev` as a process: what it says, keeps, refuses and leaves behind.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

#[cfg(target_os = "linux")]
use crate::process::clean;
use crate::process::{Dev, Running, run, wharf};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn one_line_says_all_that_a_script_needs() {
    // What is promised is said of a release build on a machine that does nothing else.
    let within = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
    let begun = Instant::now();
    let dev = Dev::start();
    assert!(begun.elapsed() < within, "{:?}", begun.elapsed());
    let ready = &dev.ready;
    assert_eq!(ready["ready"], true);
    for url in [&ready["gateway_url"], &ready["admin_url"]] {
        assert!(url.as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{url}");
    }
    let app = &ready["apps"][0];
    assert_eq!(
        (&app["app"], &app["app_code"], &app["app_id"]),
        (&"demo".into(), &"demo".into(), &"1".into())
    );
    assert_eq!(app["key"].as_str().map(str::len), Some(20));
    assert_eq!(app["secret"].as_str().map(str::len), Some(64));
    assert!(app["api_key"].as_str().is_some_and(|key| key.starts_with("whf_skd_")));
}

#[test]
fn people_are_told_what_to_try_first() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["dev", "--listen", ":0", "--admin-listen", ":0", "--state-dir", "my state"];
    let mut dev = Running::start(folder.path(), &arguments);
    let mut said = Vec::new();
    while said.last().is_none_or(|line: &String| !line.contains("Ctrl-C")) {
        said.push(dev.line());
    }
    let said = said.join("\n");
    for words in [
        "not for production",
        " sub lobby --state-dir 'my state'",
        "curl http://127.0.0.1:",
        "whf_skd_",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn keys_outlive_the_process_and_nobody_else_reads_them() {
    let dev = Dev::start();
    let (before, state) = (dev.ready["apps"].clone(), dev.path().join(".wharf"));
    assert_eq!(mode(&state), 0o700);
    for file in ["apps.toml", "api-key", "dev.json", "lock", ".gitignore"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    assert_eq!(std::fs::read_to_string(state.join(".gitignore")).expect("a file"), "*\n");
    let folder = dev.stop();
    assert!(!state.join("dev.json").exists());
    let dev = Dev::start_in(folder, ":0", &[]);
    assert_eq!(dev.ready["apps"], before);
}

#[test]
fn a_taken_port_names_its_flag() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (flag, other) in [("--listen", "--admin-listen"), ("--admin-listen", "--listen")] {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = holder.local_addr().expect("an address").to_string();
        let said = run(folder.path(), &["dev", flag, &address, other, ":0"]);
        assert_eq!(said.code, Some(71), "{}", said.err);
        assert!(
            said.err.contains(&format!("{flag}: listen on {address}: the address is in use")),
            "{}",
            said.err
        );
        assert_eq!(said.out, "");
        assert!(!said.err.contains("make run"), "{}", said.err);
        let mut command = wharf(folder.path(), &["dev", flag, &address, other, ":0"]);
        let output = command.env("WHARF_STARTED_BY", "make").output().expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("make run ARGS='--listen 127.0.0.1:9000 --admin-listen"), "{said}");
    }
}

#[test]
fn one_folder_is_for_one_process() {
    let dev = Dev::start();
    let said = run(dev.path(), &["dev", "--listen", ":0", "--admin-listen", ":0"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("another `wharf dev`") && said.err.contains("--state-dir"),
        "{}",
        said.err
    );
    assert_eq!(run(dev.path(), &["pub", "lobby", "still there"]).code, Some(0));
}

#[test]
fn signals_end_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let dev = Dev::start();
        let mut sub = Running::start(dev.path(), &["sub", "lobby", "--no-reconnect"]);
        sub.until_said("listening to ");
        let begun = Instant::now();
        let mut running = dev.running;
        running.signal(signal);
        assert_eq!(running.end().code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        sub.until_said("1012");
    }
}

#[test]
fn whoever_cannot_say_where_it_listens_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = wharf(folder.path(), &["dev", "--listen", ":0", "--admin-listen", ":0"]);
    let output = command.stdout(writer).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("say on stdout what is ready"), "{said}");
    assert!(!folder.path().join(".wharf/dev.json").exists());
}

/// A dev process in a session of its own, on a terminal that ends when what is returned is dropped.
#[cfg(target_os = "linux")]
fn on_a_terminal(folder: &Path) -> (Running, std::os::fd::OwnedFd) {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    // Nobody inherits it: the window must close when it is dropped here.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let window = openpt(flags).expect("a pseudo-terminal");
    grantpt(&window).and_then(|()| unlockpt(&window)).expect("it can be used");
    let name = ptsname(&window, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).expect("it can be opened");
    let program = env!("CARGO_BIN_EXE_wharf");
    let arguments = ["--ctty", program, "dev", "--listen", ":0", "--admin-listen", ":0"];
    let mut command = clean("setsid", folder, &arguments);
    command.args(["--output", "json"]).stdin(terminal);
    (Running::of(command), window)
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_closes_ends_it_and_one_that_stays_means_a_reload() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut dev, window) = on_a_terminal(folder.path());
    dev.line();
    dev.signal(Signal::HUP);
    dev.until_said("apps reloaded");
    assert_eq!(run(folder.path(), &["pub", "lobby", "still there"]).code, Some(0));
    drop(window);
    assert_eq!(dev.end().code(), Some(0));
    assert!(!folder.path().join(".wharf/dev.json").exists());
}

#[test]
fn a_folder_with_something_in_it_is_not_hidden_from_git() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("README"), "mine").expect("a file");
    let dev = Dev::start_in(folder, ":0", &["--state-dir", "."]);
    assert!(dev.path().join("dev.json").exists());
    assert!(!dev.path().join(".gitignore").exists());
}

#[test]
fn what_others_may_have_written_gets_no_keys() {
    let dev = Dev::start();
    let state = dev.path().join(".wharf");
    let published = |code: i32, words: &str| {
        let said = run(dev.path(), &["pub", "lobby", "x"]);
        assert_eq!(said.code, Some(code), "{}", said.err);
        assert!(said.err.contains(words), "{}", said.err);
    };
    let set_mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let file = state.join("dev.json");
    for (path, open, closed) in
        [(&state, 0o770, 0o755), (&state, 0o702, 0o700), (&file, 0o620, 0o644)]
    {
        set_mode(path, open);
        published(78, "others may write to it");
        set_mode(path, closed);
        published(0, "");
    }
    let gateway = dev.ready["gateway_url"].as_str().expect("a URL");
    let before = std::fs::read_to_string(&file).expect("the file");
    std::fs::write(&file, before.replace(gateway, "http://192.0.2.1:7000")).expect("it is ours");
    published(2, "--url http://192.0.2.1:7000 --app demo");
    // What goes nowhere is signed all the same.
    let sign = ["sign", "channel", "--socket-id", "1.2", "--channel", "private-x"];
    assert_eq!(run(dev.path(), &sign).code, Some(0));
}

#[test]
fn a_reload_takes_up_new_apps_and_keeps_the_old_ones_from_harm() {
    let mut dev = Dev::start();
    let file = dev.path().join(".wharf/apps.toml");
    let before = std::fs::read_to_string(&file).expect("the file of apps");
    std::fs::write(&file, before.replace("\"demo\"", "\"other\"")).expect("it can be written");
    dev.running.signal(Signal::HUP);
    dev.running.until_said("apps reloaded");
    let said = run(dev.path(), &["pub", "lobby", "x", "--app", "demo"]);
    assert!(said.err.contains("--app is of other"), "{}", said.err);
    assert_eq!(run(dev.path(), &["pub", "lobby", "x", "--app", "other"]).code, Some(0));

    std::fs::write(&file, "nonsense").expect("it can be written");
    dev.running.signal(Signal::HUP);
    dev.running.until_said("apps not reloaded");
    assert_eq!(run(dev.path(), &["pub", "lobby", "x"]).code, Some(0));
}

#[test]
fn apps_of_ones_own_are_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let apps = "[[app]]\ncode = \"mine\"\napp_id = \"7\"\n[[app.key]]\nkey = \"k\"\nsecret = \"s-0123456789-0123456789\"\n";
    std::fs::write(folder.path().join("apps.toml"), apps).expect("a file");
    let dev = Dev::start_in(folder, ":0", &["--apps", "apps.toml"]);
    let app = &dev.ready["apps"][0];
    assert_eq!((&app["app_code"], &app["app_id"]), (&"mine".into(), &"7".into()));
    assert!(app["api_key"].is_null());
    let said = run(dev.path(), &["pub", "lobby", "x"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--api-key"), "{}", said.err);
}

#[test]
fn wrong_configuration_is_78() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("apps.toml"), "[[app]]\ncode = \"A\"\n").expect("a file");
    let said = run(
        folder.path(),
        &["dev", "--listen", ":0", "--admin-listen", ":0", "--apps", "apps.toml"],
    );
    assert_eq!(said.code, Some(78), "{}", said.err);
    assert!(said.err.contains("apps.toml"), "{}", said.err);

    let open = folder.path().join("open");
    std::fs::create_dir(&open).expect("a folder");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    let said = run(
        folder.path(),
        &["dev", "--listen", ":0", "--admin-listen", ":0", "--state-dir", "open"],
    );
    assert_eq!(said.code, Some(78), "{}", said.err);
    assert!(said.err.contains("chmod 700"), "{}", said.err);

    assert_eq!(run(folder.path(), &["dev", "--listen", "nonsense"]).code, Some(2));
}
