//! What `--help` says, word for word: `UPDATE=1 cargo test -p cli --test cli` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use crate::process::run;

const COMMANDS: [&[&str]; 12] = [
    &["--help"],
    &["--version"],
    &["dev", "--help"],
    &["sub", "--help"],
    &["pub", "--help"],
    &["sign", "--help"],
    &["sign", "url", "--help"],
    &["sign", "channel", "--help"],
    &["sign", "user", "--help"],
    &["sign", "request", "--help"],
    &["keygen", "--help"],
    &["completions", "--help"],
];

#[test]
fn help_says_what_it_should() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut said = String::new();
    for command in COMMANDS {
        let help = run(here, command);
        assert_eq!((help.code, &*help.err), (Some(0), ""), "{command:?}");
        let _ = writeln!(said, "$ wharf {}", command.join(" "));
        for line in help.out.lines() {
            let _ = writeln!(said, "{}", line.trim_end());
        }
        said.push('\n');
    }
    let file = here.join("tests/cli/fixtures/help.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &said).expect("the fixture can be written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(said == expected, "help has changed; UPDATE=1 writes {}:\n{said}", file.display());
}

#[test]
fn examples_come_before_options() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for command in COMMANDS.iter().filter(|command| command.ends_with(&["--help"])) {
        let help = run(here, command).out;
        let at = |text: &str| help.find(text).unwrap_or(usize::MAX);
        assert!(at("Example") < at("Usage:"), "{command:?}");
    }
}

#[test]
fn shells_get_their_completions() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for shell in ["bash", "zsh", "fish"] {
        let said = run(here, &["completions", shell]);
        assert_eq!(said.code, Some(0));
        assert!(said.out.contains("state-dir"), "{shell}");
    }
}
