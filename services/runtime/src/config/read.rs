//! Reading small files of which nothing is assumed: not that they are files, nor that they end.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::Error;

/// The whole of a file of at most `max` bytes. Never reads more than that, and refuses what could
/// make it wait for ever (a named pipe) instead of opening it.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let kind = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.file_type();
    if kind.is_dir() {
        return Err(Error::in_file(path, "is a directory", "name the file inside it"));
    }
    if kind.is_fifo() || kind.is_socket() {
        return Err(Error::in_file(path, "is a pipe or socket", "write it to a regular file"));
    }
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut bytes = Vec::new();
    file.by_ref()
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > max {
        let limit = super::ByteSize::new(max);
        return Err(Error::in_file(
            path,
            format!("is larger than {limit}"),
            "check that it is the right file",
        ));
    }
    Ok(bytes)
}

/// [`read_bounded`], as text.
pub fn read_text(path: &Path, max: u64) -> Result<String, Error> {
    String::from_utf8(read_bounded(path, max)?).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        Error::in_file(path, "is not UTF-8 text", "save it as UTF-8")
            .at(Some(position(&before, valid)))
    })
}

/// Line and column, from 1, of a byte of `text`; the column counts characters.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let mut end = byte.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let (problem, fix) = match error.kind() {
        ErrorKind::NotFound => ("does not exist", "create it or correct the path"),
        ErrorKind::PermissionDenied => {
            ("may not be read", "give this process's user permission to read it")
        }
        ErrorKind::NotADirectory => ("has a file where a folder is named", "correct the path"),
        _ => return Error::in_file(path, format!("cannot be read: {error}"), ""),
    };
    Error::in_file(path, problem, fix)
}
