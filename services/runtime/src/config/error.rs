//! Why a configuration was refused: where, which key, what, and how to mend it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One fault of a configuration. Its text is one line for the operator:
/// `gateway.toml:3:1: hub.shard: unknown key; did you mean `shards`?`
///
/// It holds no value that was read: a value may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Fault>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    origin: Origin,
    position: Option<(usize, usize)>,
    key: Option<String>,
    problem: String,
    fix: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Unknown,
    File(PathBuf),
    Variable(String),
}

impl Error {
    /// A value that parsed but may not stand, for the checks a program makes after loading. Neither
    /// text may quote a secret.
    pub fn invalid(
        key: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let mut error = Self::new(Origin::Unknown, problem, fix);
        error.0.key = Some(key.into());
        error
    }

    /// A fault of a whole file.
    pub fn in_file(path: &Path, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Origin::File(path.to_path_buf()), problem, fix)
    }

    /// A fault of an environment variable, by its name.
    pub fn in_variable(
        name: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Origin::Variable(name.into()), problem, fix)
    }

    /// The same fault, said to be in `path`, if no place is known yet.
    #[must_use]
    pub fn with_file(mut self, path: &Path) -> Self {
        if self.0.origin == Origin::Unknown {
            self.0.origin = Origin::File(path.to_path_buf());
        }
        self
    }

    /// The dotted path of the key, when the fault is about one.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Line and column, both from 1.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.0.position
    }

    pub(super) fn problem(&self) -> &str {
        &self.0.problem
    }

    pub(super) fn fix(&self) -> &str {
        &self.0.fix
    }

    pub(super) fn with_key(mut self, key: String) -> Self {
        self.0.key = (!key.is_empty()).then_some(key);
        self
    }

    pub(super) fn at(mut self, position: Option<(usize, usize)>) -> Self {
        self.0.position = position;
        self
    }

    pub(super) fn of_document(
        path: Option<&Path>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let origin = path.map_or(Origin::Unknown, |path| Origin::File(path.to_path_buf()));
        Self::new(origin, problem, fix)
    }

    fn new(origin: Origin, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self(Box::new(Fault {
            origin,
            position: None,
            key: None,
            problem: problem.into(),
            fix: fix.into(),
        }))
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = &*self.0;
        match &fault.origin {
            Origin::Unknown => f.write_str("configuration")?,
            Origin::File(path) => write!(f, "{}", path.display())?,
            Origin::Variable(name) => write!(f, "environment variable {name}")?,
        }
        if let Some((line, column)) = fault.position {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(key) = &fault.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", fault.problem)?;
        if fault.fix.is_empty() { Ok(()) } else { write!(f, "; {}", fault.fix) }
    }
}
