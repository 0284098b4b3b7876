//! The name of the directory beside a file: that of an array, or of the members of an archive.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::meta::NAME_MAX;

const NPY: &[u8] = b".npy";
const NPZ: &[u8] = b".npz";

/// What is added to a file's name where its first directory's name is taken.
pub(super) const SECOND: &[u8] = b".d";

/// What a file has beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The directory of its array.
    Array,
    /// The directory of its members, since it is an archive.
    Members,
}

impl Holds {
    /// What a file of this name holds, by its suffix in lower case.
    pub fn of(name: &OsStr) -> Option<Holds> {
        match name.as_bytes() {
            name if name.ends_with(NPY) => Some(Holds::Array),
            name if name.ends_with(NPZ) => Some(Holds::Members),
            _ => None,
        }
    }
}

/// Whether a file of this name holds an array.
pub(super) fn is_npy(name: &OsStr) -> bool {
    Holds::of(name) == Some(Holds::Array)
}

fn joined(name: &OsStr, suffix: &[u8]) -> OsString {
    OsString::from_vec([name.as_bytes(), suffix].concat())
}

/// The name of the directory beside the file `name`: `X` for `X.npy`; or `X.npy.d` if that is taken by an
/// entry of the source; or none. The same for `X.npz`, where `X.npy` also takes `X`.
pub(super) fn directory_of(name: &OsStr, is_taken: impl Fn(&OsStr) -> bool) -> Option<OsString> {
    let suffix = match Holds::of(name)? {
        Holds::Array => NPY,
        Holds::Members => NPZ,
    };
    let stem = OsStr::from_bytes(name.as_bytes().strip_suffix(suffix)?);
    let is_free = match stem.as_bytes() {
        b"" | b"." | b".." => false,
        _ => !is_taken(stem) && (suffix == NPY || !is_taken(&joined(stem, NPY))),
    };
    if is_free {
        return Some(stem.to_owned());
    }
    let second = joined(name, SECOND);
    // `X.npy.d.npy` has the first right to the name `X.npy.d`.
    let is_free = [b"", NPY, NPZ].iter().all(|suffix| !is_taken(&joined(&second, suffix)));
    (is_free && second.len() <= NAME_MAX).then_some(second)
}

/// The files that could have a directory of this name.
pub(super) fn files_of(directory: &OsStr) -> impl Iterator<Item = OsString> {
    let first = [NPY, NPZ].map(|suffix| joined(directory, suffix));
    let second = directory.as_bytes().strip_suffix(SECOND).map(OsStr::from_bytes);
    let second = second.filter(|name| Holds::of(name).is_some()).map(OsStr::to_owned);
    first.into_iter().chain(second)
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
            ("big.npy", &["big.npz"], Some("big")),
            ("big.npy", &["big", "big.npy.d.npz"], None),
            ("big.NPY", &[], None),
            ("big.npz", &[], Some("big")),
            ("big.npz", &["big"], Some("big.npz.d")),
            ("big.npz", &["big.npy"], Some("big.npz.d")),
            ("big.npz", &["big.npy", "big.npz.d.npy"], None),
            ("big.npz", &["big.npy", "big.npz.d.npz"], None),
            (".npz", &[], Some(".npz.d")),
            ("big.NPZ", &[], None),
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
