//! The architecture's absences: edges between crates that must not be, files without a header or
//! too long to see whole, names and markers that nobody should find here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which of our crates each may depend on, tests aside. A new edge is a decision to be recorded.
const EDGES: [(&str, &[&str]); 6] = [
    ("model", &[]),
    ("protocol", &["model"]),
    ("broker", &["model"]),
    ("runtime", &[]),
    ("gateway", &["model", "protocol", "broker", "runtime"]),
    // `gateway` for `wharf dev` alone.
    ("cli", &["gateway", "model", "protocol", "runtime"]),
];

/// Files that are one table, row by row.
const TABLES: &[&str] = &[];

const LINES_MAX: usize = 600;

#[test]
fn crates_depend_only_on_what_the_architecture_says() {
    for (name, allowed) in EDGES {
        let path = root().join("services").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).expect("each crate has a manifest");
        let manifest: BTreeMap<String, toml::Value> = toml::from_str(&text).expect("valid TOML");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        let ours = EDGES.map(|(name, _)| name);
        for dependency in dependencies.into_iter().flat_map(|table| table.keys()) {
            let is_ours = ours.contains(&dependency.as_str());
            assert!(
                !is_ours || allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}: see docs/architecture.md"
            );
        }
    }
}

#[test]
fn the_pure_crates_have_no_io_and_no_clock() {
    for name in ["model", "protocol"] {
        for path in rust_files(&root().join("services").join(name).join("src")) {
            let text = std::fs::read_to_string(&path).expect("readable");
            let is_test = path.ends_with("tests.rs") || text.contains("reads fixtures");
            for banned in ["tokio", "std::net", "std::fs", "SystemTime", "Instant", "std::thread"] {
                let uses = text.lines().any(|line| line.contains(&format!("use {banned}")));
                assert!(
                    is_test || path.ends_with("transcript.rs") || !uses,
                    "{} uses {banned}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_file_says_what_it_owns_and_can_be_seen_whole() {
    for path in all_rust_files() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let shown = path.strip_prefix(root()).expect("below the root").display().to_string();
        assert!(text.starts_with("//! "), "{shown} has no header: one sentence on what it owns");
        let lines = text.lines().count();
        let is_table = TABLES.contains(&shown.as_str());
        assert!(lines <= LINES_MAX || is_table, "{shown} has {lines} lines, at most {LINES_MAX}");
    }
}

#[test]
fn nobody_leaves_unfinished_work_or_rooms_without_a_purpose() {
    let banned_rooms = ["utils", "util", "common", "helpers", "misc", "shared"];
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    for path in all_rust_files() {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        for room in banned_rooms {
            assert!(stem != room && folder != Some(room), "{}: say what it owns", path.display());
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        for line in text.lines() {
            let marked = marks.iter().any(|mark| line.contains(mark));
            let has_issue = line.contains("(#");
            assert!(!marked || has_issue, "{}: {line}: name the issue", path.display());
        }
        assert!(
            !text.contains(concat!("#[", "ignore")),
            "{}: a skipped test is no test",
            path.display()
        );
    }
}

#[test]
fn every_dialect_has_its_page() {
    for dialect in protocol::PROTOCOLS {
        let page = root().join("docs/protocols").join(format!("{}.md", dialect.name()));
        assert!(page.exists(), "{} is missing", page.display());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut files = rust_files(&root().join("services"));
    files.extend(rust_files(&root().join("tests")));
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "node_modules" && name != "target" {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
