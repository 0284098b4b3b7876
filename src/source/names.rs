//! The name of an array's directory, beside its file.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::meta::NAME_MAX;

const NPY: &[u8] = b".npy";

/// Whether a file of this name holds an array: the suffix `.npy` in lower case.
pub(super) fn is_npy(name: &OsStr) -> bool {
    name.as_bytes().ends_with(NPY)
}

fn joined(name: &OsStr, suffix: &[u8]) -> OsString {
    OsString::from_vec([name.as_bytes(), suffix].concat())
}

/// The name of the directory of the array in the file `name`: `X` for `X.npy`, or `X.npy.d` if that is taken
/// by an entry of the source, or none.
pub(super) fn directory_of(name: &OsStr, is_taken: impl Fn(&OsStr) -> bool) -> Option<OsString> {
    let stem = OsStr::from_bytes(name.as_bytes().strip_suffix(NPY)?);
    if !matches!(stem.as_bytes(), b"" | b"." | b"..") && !is_taken(stem) {
        return Some(stem.to_owned());
    }
    let second = joined(name, b".d");
    // `X.npy.d.npy` has the first right to the name `X.npy.d`.
    let free = !is_taken(&second) && !is_taken(&joined(&second, NPY));
    (free && second.len() <= NAME_MAX).then_some(second)
}

/// The files that could hold the array of a directory of this name.
pub(super) fn files_of(directory: &OsStr) -> impl Iterator<Item = OsString> {
    let first = joined(directory, NPY);
    let second = directory.as_bytes().strip_suffix(b".d").filter(|name| name.ends_with(NPY));
    [Some(first), second.map(|name| OsStr::from_bytes(name).to_owned())].into_iter().flatten()
}

/// The file whose array is also reachable under this stem, in other encodings.
pub(super) fn file_of_stem(stem: &str) -> OsString {
    joined(OsStr::new(stem), NPY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str, taken: &[&str]) -> Option<String> {
        let is_taken = |name: &OsStr| taken.iter().any(|taken| OsStr::new(taken) == name);
        directory_of(OsStr::new(name), is_taken).map(|name| name.into_string().unwrap())
    }

    #[test]
    fn a_directory_never_takes_the_name_of_an_entry() {
        for (name, taken, expected) in [
            ("big.npy", &[][..], Some("big")),
            ("big.npy", &["big"], Some("big.npy.d")),
            ("big.npy", &["big", "big.npy.d"], None),
            ("big.npy", &["big", "big.npy.d.npy"], None),
            (".npy", &[], Some(".npy.d")),
            ("..npy", &[], Some("..npy.d")),
            ("...npy", &[], Some("...npy.d")),
            ("big.npy.npy", &["big.npy"], Some("big.npy.npy.d")),
            ("big.NPY", &[], None),
        ] {
            assert_eq!(directory(name, taken).as_deref(), expected, "{name} beside {taken:?}");
        }
    }

    #[test]
    fn a_name_too_long_is_none() {
        let name = format!("{}.npy", "x".repeat(250));
        assert_eq!(directory(&name, &[&"x".repeat(250)]), None);
    }
}
