//! The part of the environment that belongs to us, laid over the file.

use std::ffi::OsString;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::document::{Fault, Kind, decode};
use super::read::read_text;
use super::{Error, FILE_BYTES_MAX};

const FILE_SUFFIX: &str = "_file";
/// Shorter values are too likely to be part of an ordinary sentence to be looked for in one.
const QUOTED_BYTES_MIN: usize = 4;

#[derive(Debug)]
pub(super) struct Variables {
    list: Vec<Variable>,
}

#[derive(Debug)]
struct Variable {
    name: String,
    path: Vec<String>,
    raw: String,
}

/// How a variable is read, in the order in which the ways are tried.
#[derive(Debug, Clone, PartialEq)]
enum Reading {
    Toml(Value),
    Text,
    FileToml(Value, String),
    FileText(String),
}

impl Variables {
    /// Takes `PREFIX__A__B` as `a.b`. Names with a single underscore after the prefix are others':
    /// Kubernetes puts `WHARF_GATEWAY_PORT` into every container beside a service of that name.
    pub(super) fn collect(
        prefix: &str,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let prefix = format!("{}__", prefix.trim_end_matches('_'));
        let mut list = Vec::new();
        for (name, value) in environment {
            let lossy = name.to_string_lossy();
            let Some(rest) = lossy.strip_prefix(&prefix) else { continue };
            let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            let name = lossy.clone().into_owned();
            if name.contains('\u{fffd}') || path.iter().any(String::is_empty) {
                let fix = format!("write it as {prefix}SECTION__KEY");
                return Err(Error::in_variable(name, "name is not a key", fix));
            }
            let raw = check_value(&name, value)?;
            list.push(Variable { name, path, raw });
        }
        list.sort_by(|left, right| left.path.cmp(&right.path));
        for pair in list.windows(2) {
            if pair[0].path == pair[1].path {
                let problem = format!("sets the same key as {}", pair[0].name);
                return Err(Error::in_variable(&pair[1].name, problem, "keep one of them"));
            }
        }
        Ok(Self { list })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a variable sets this key or one inside it.
    pub(super) fn is_below(&self, path: &[String]) -> bool {
        self.list.iter().any(|variable| {
            variable.path.starts_with(path)
                || stripped(&variable.path).is_some_and(|key| key.starts_with(path))
        })
    }

    /// The file's table with every variable laid over it. What type a key has only its
    /// deserialiser knows, so each variable is tried as TOML, then as text, and what is told is
    /// what was wrong with the first.
    pub(super) fn decode<T: DeserializeOwned>(
        &self,
        table: &Table,
        defaults: &Table,
        file: Option<&Path>,
        from_file: Option<Error>,
    ) -> Result<T, Error> {
        let mut readings = Vec::with_capacity(self.list.len());
        for variable in &self.list {
            readings.push(self.first_reading(variable, defaults)?);
        }
        let mut first_errors: Vec<Option<Error>> = vec![None; self.list.len()];
        loop {
            let merged = self.merge(table, &readings)?;
            let text = toml::to_string(&merged).map_err(|_| {
                Error::of_document(file, "cannot be combined with the environment", "")
            })?;
            let fault = match decode::<T>(&text) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let Some(index) = self.culprit(&fault, &readings) else {
                return Err(from_file.unwrap_or_else(|| fault.to_error(file).at(None)));
            };
            let variable = &self.list[index];
            let error = first_errors[index]
                .get_or_insert_with(|| variable.error(&fault, &readings[index]))
                .clone();
            readings[index] = self.next_reading(index, &readings[index], &fault)?.ok_or(error)?;
        }
    }

    fn first_reading(&self, variable: &Variable, defaults: &Table) -> Result<Reading, Error> {
        let names_file = stripped(&variable.path)
            .is_some_and(|key| has(defaults, &key) && !has(defaults, &variable.path));
        if names_file {
            return self.read_file(variable);
        }
        Ok(variable.raw.parse().map_or(Reading::Text, Reading::Toml))
    }

    fn next_reading(
        &self,
        index: usize,
        reading: &Reading,
        fault: &Fault,
    ) -> Result<Option<Reading>, Error> {
        let variable = &self.list[index];
        let unknown = fault.kind == Kind::UnknownField;
        match reading {
            Reading::Toml(_) | Reading::Text if unknown && stripped(&variable.path).is_some() => {
                self.read_file(variable).map(Some)
            }
            Reading::Toml(_) if !unknown => Ok(Some(Reading::Text)),
            Reading::FileToml(_, text) if !unknown => Ok(Some(Reading::FileText(text.clone()))),
            Reading::Toml(_) | Reading::Text | Reading::FileToml(..) | Reading::FileText(_) => {
                Ok(None)
            }
        }
    }

    fn read_file(&self, variable: &Variable) -> Result<Reading, Error> {
        let key = stripped(&variable.path).unwrap_or_default();
        if let Some(other) = self.list.iter().find(|other| other.path == key) {
            let problem = format!("is set together with {}", other.name);
            return Err(Error::in_variable(&variable.name, problem, "keep one of them"));
        }
        // The path is not shown: who confuses the two variables has put a secret here.
        let text = read_text(Path::new(&variable.raw), FILE_BYTES_MAX).map_err(|error| {
            let problem = format!("names a file that {}", error.problem());
            Error::in_variable(&variable.name, problem, error.fix())
        })?;
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        if text.is_empty() {
            let problem = "names a file that is empty";
            return Err(Error::in_variable(&variable.name, problem, "write the value into it"));
        }
        let value = if text.contains('\n') { None } else { text.parse().ok() };
        Ok(match value {
            Some(value) => Reading::FileToml(value, text),
            None => Reading::FileText(text),
        })
    }

    fn merge(&self, table: &Table, readings: &[Reading]) -> Result<Table, Error> {
        let mut merged = table.clone();
        for (variable, reading) in self.list.iter().zip(readings) {
            let (path, value) = variable.entry(reading);
            let (key, sections) = path.split_last().expect("a collected path has a part");
            let mut place = &mut merged;
            for section in sections {
                let inner =
                    place.entry(section.as_str()).or_insert_with(|| Value::Table(Table::new()));
                let Value::Table(inner) = inner else {
                    let problem = format!("`{section}` is a value, not a section");
                    let fix = "remove one of the two parts of the name, or the value";
                    return Err(Error::in_variable(&variable.name, problem, fix));
                };
                place = inner;
            }
            place.insert(key.clone(), value);
        }
        Ok(merged)
    }

    /// The variable that a fault is about: the one that set the key or something it is part of;
    /// else one inside the faulty section, since the file alone was sound.
    fn culprit(&self, fault: &Fault, readings: &[Reading]) -> Option<usize> {
        let paths: Vec<Vec<String>> =
            self.list.iter().zip(readings).map(|(v, reading)| v.entry(reading).0).collect();
        let section = match fault.kind {
            Kind::MissingField => &fault.path[..fault.path.len().saturating_sub(1)],
            Kind::Syntax | Kind::UnknownField | Kind::Value => &fault.path[..],
        };
        let exact = (0..paths.len())
            .filter(|&index| !section.is_empty() && section.starts_with(&paths[index]))
            .max_by_key(|&index| paths[index].len());
        exact.or_else(|| {
            (0..paths.len()).find(|&index| !section.is_empty() && paths[index].starts_with(section))
        })
    }
}

impl Variable {
    fn entry(&self, reading: &Reading) -> (Vec<String>, Value) {
        match reading {
            Reading::Toml(value) => (self.path.clone(), value.clone()),
            Reading::Text => (self.path.clone(), Value::String(self.raw.clone())),
            Reading::FileToml(value, _) => {
                (stripped(&self.path).unwrap_or_default(), value.clone())
            }
            Reading::FileText(text) => {
                (stripped(&self.path).unwrap_or_default(), Value::String(text.clone()))
            }
        }
    }

    fn error(&self, fault: &Fault, reading: &Reading) -> Error {
        let value = match reading {
            Reading::FileToml(_, text) | Reading::FileText(text) => text,
            Reading::Toml(_) | Reading::Text => &self.raw,
        };
        // A type of ours never quotes what it refuses; one of another crate may.
        let quotes = value.len() >= QUOTED_BYTES_MIN
            && (fault.problem.contains(value.as_str()) || fault.fix.contains(value.as_str()));
        let (problem, fix) = match quotes && fault.kind == Kind::Value {
            true => ("value is not acceptable", "see the documentation of the key"),
            false => (fault.problem.as_str(), fault.fix.as_str()),
        };
        Error::in_variable(&self.name, problem, fix).with_key(fault.key())
    }
}

fn check_value(name: &str, value: OsString) -> Result<String, Error> {
    let refuse = |problem: &str, fix: &str| Err(Error::in_variable(name, problem, fix));
    let Ok(raw) = value.into_string() else {
        return refuse("value is not UTF-8", "use a file and the variable's _FILE form");
    };
    if raw.trim().is_empty() {
        return refuse("value is empty", "unset it to keep the default");
    }
    if raw.contains(char::is_control) {
        return refuse(
            "value contains a newline or another control character",
            "use a file and the variable's _FILE form",
        );
    }
    let wrapped =
        ['"', '\''].iter().any(|q| raw.len() > 1 && raw.starts_with(*q) && raw.ends_with(*q));
    if wrapped {
        return refuse("value is wrapped in quotes", "remove the quotes");
    }
    Ok(raw)
}

/// The key that a `_FILE` variable stands for.
fn stripped(path: &[String]) -> Option<Vec<String>> {
    let (last, sections) = path.split_last()?;
    let key = last.strip_suffix(FILE_SUFFIX).filter(|key| !key.is_empty())?;
    Some(sections.iter().cloned().chain([key.to_owned()]).collect())
}

fn has(table: &Table, path: &[String]) -> bool {
    let Some((key, sections)) = path.split_last() else { return false };
    let mut place = table;
    for section in sections {
        match place.get(section) {
            Some(Value::Table(inner)) => place = inner,
            _ => return false,
        }
    }
    place.contains_key(key)
}
