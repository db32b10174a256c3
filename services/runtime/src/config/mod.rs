//! Configuration: defaults, then a TOML file, then the environment, and the types its values have.
//! Every error names the file or variable, the place, the key and the fix; never a value.

mod document;
mod environment;
mod error;
mod read;
mod size;
mod span;
mod suggest;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::Error;
pub use read::{read_bounded, read_text};
pub use size::ByteSize;
pub use span::Span;

use environment::Variables;

/// The configuration is wrong: the process did not start.
pub const EXIT_CONFIG: u8 = 78;
/// A port is taken or may not be opened: the process did not start.
pub const EXIT_PORT: u8 = 71;

/// The largest configuration file that is read.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Defaults, over them the file, over that the environment: `PREFIX__HUB__SHARDS=4` sets
/// `hub.shards`. A value is taken as TOML (`4`, `true`, `["a", "b"]`) where that fits the key, else
/// as a string. `PREFIX__KEY_FILE` reads the value of `KEY` from a file, without the newlines at
/// its end, unless there is a key named so.
///
/// Reads at most [`FILE_BYTES_MAX`] of each file and blocks for no other thing than the disk.
pub fn load<T>(file: Option<&Path>, env_prefix: &str) -> Result<T, Error>
where
    T: DeserializeOwned + Serialize + Default,
{
    load_from(file, env_prefix, std::env::vars_os())
}

/// [`load`] with the environment given, for tests and for tools that check a configuration that is
/// not their own.
pub fn load_from<T>(
    file: Option<&Path>,
    env_prefix: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, Error>
where
    T: DeserializeOwned + Serialize + Default,
{
    let text = file.map(|path| read_text(path, FILE_BYTES_MAX)).transpose()?.unwrap_or_default();
    let variables = Variables::collect(env_prefix, environment)?;
    let from_file = match document::decode::<T>(&text) {
        Ok(value) if variables.is_empty() => return Ok(value),
        Ok(_) => None,
        Err(fault) => {
            let error = fault.to_error(file);
            // What the file lacks a variable may give; whatever else is wrong stays wrong.
            if !(fault.is_missing_field() && variables.is_below(&fault.path)) {
                return Err(error);
            }
            Some(error)
        }
    };
    let table = document::table(&text).map_err(|fault| fault.to_error(file))?;
    let defaults = toml::Table::try_from(T::default()).unwrap_or_default();
    variables.decode(&table, &defaults, file, from_file)
}

/// Reads one TOML file into `T`, with the errors of [`load`].
pub fn parse_toml<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = read_text(path, FILE_BYTES_MAX)?;
    document::decode(&text).map_err(|fault| fault.to_error(Some(path)))
}

/// `text` as `T`, with the errors of [`load`] naming `path`, which is not read.
pub fn parse_text<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, Error> {
    document::decode(text).map_err(|fault| fault.to_error(Some(path)))
}

/// Refuses a limit outside `allowed`, naming the key and both bounds.
pub fn check_range<T: PartialOrd + Display>(
    key: &str,
    value: &T,
    allowed: RangeInclusive<T>,
) -> Result<(), Error> {
    if allowed.contains(value) {
        return Ok(());
    }
    let (low, high) = allowed.into_inner();
    Err(Error::invalid(
        key,
        format!("{value} is out of range"),
        format!("use a value from {low} to {high}"),
    ))
}
