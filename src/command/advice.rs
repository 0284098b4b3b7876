//! What a user may have meant whose file does not exist.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use npyfs::encoding::Encoding;
use npyfs::escape::shown;

const NPY: &str = ".npy";

/// The file of an array, given the path that its directory would have in a mount.
pub(super) fn file_of_array(path: &Path) -> Option<PathBuf> {
    // Without a slash at the end.
    let mut file: OsString = path.components().as_path().into();
    file.push(NPY);
    let file = PathBuf::from(file);
    file.is_file().then_some(file)
}

/// What to read instead of the directory of an array or of a slice: the file beside it.
pub(super) fn file_beside(directory: &Path) -> PathBuf {
    // Without a slash at the end.
    let path = directory.components().as_path().as_os_str();
    // `X.zarr` is a directory too.
    let path = match path.to_str().and_then(Encoding::strip) {
        Some((stem, Encoding::Zarr | Encoding::OmeZarr)) => stem.as_bytes(),
        _ => path.as_bytes(),
    };
    // `X.npy.d` stands for X.npy where there is another X.
    match path.strip_suffix(b".d").filter(|path| path.ends_with(NPY.as_bytes())) {
        Some(file) => OsStr::from_bytes(file).into(),
        None => OsStr::from_bytes(&[path, NPY.as_bytes()].concat()).into(),
    }
}

/// The names that the directory of an array has that is a file.
pub(super) fn directories_beside(file: &Path) -> Option<[PathBuf; 2]> {
    let (stem, _) = Encoding::strip(file.to_str()?)?;
    Some([stem.into(), format!("{stem}{NPY}.d").into()])
}

/// Whether a name ends in `.NPY` or the like, which is not the suffix of arrays.
fn is_in_capitals(name: &OsStr) -> bool {
    let suffix = name.as_bytes().last_chunk::<4>();
    suffix.is_some_and(|it| it != NPY.as_bytes() && it.eq_ignore_ascii_case(NPY.as_bytes()))
}

/// Why a file whose suffix is in capitals is no array, given its own name or that of its array's directory.
pub(super) fn for_capitals(path: &Path) -> Option<String> {
    let name = path.file_name()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let beside = || std::fs::read_dir(parent.unwrap_or(Path::new("."))).ok();
    let file = if is_in_capitals(name) {
        name.to_owned()
    } else {
        let stem = name.as_bytes().strip_suffix(NPY.as_bytes()).unwrap_or(name.as_bytes());
        beside()?.filter_map(|entry| Some(entry.ok()?.file_name())).find(|entry| {
            is_in_capitals(entry) && entry.as_bytes()[..entry.len() - NPY.len()] == *stem
        })?
    };
    let mut lower = file.clone().into_vec();
    let start = lower.len() - NPY.len();
    lower[start..].make_ascii_lowercase();
    let lower = OsString::from_vec(lower);
    Some(format!(
        "{}: the suffix of an array's file is {NPY}, in lower case; rename it to {}",
        shown(&path.with_file_name(&file)),
        shown(&lower)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_its_file_are_found_by_each_other() {
        for (directory, file) in
            [("d/a", "d/a.npy"), ("a/", "a.npy"), ("a.npy.d", "a.npy"), ("d/a.zarr/", "d/a.npy")]
        {
            assert_eq!(file_beside(Path::new(directory)), Path::new(file));
        }
        let beside = directories_beside(Path::new("d/a.npy"));
        assert_eq!(beside, Some(["d/a".into(), "d/a.npy.d".into()]));
        assert_eq!(directories_beside(Path::new("d/a.txt")), None);
    }

    #[test]
    fn a_suffix_in_capitals_is_found_by_every_name_that_would_mean_the_array() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ONE.NPY"), "").unwrap();
        for name in ["ONE", "ONE.npy", "ONE.NPY"] {
            let advice = for_capitals(&directory.path().join(name)).unwrap();
            assert!(advice.ends_with("rename it to ONE.npy"), "{name}: {advice}");
        }
        for name in ["one", "ONE.raw", "NPY", "npy", "ON"] {
            assert_eq!(for_capitals(&directory.path().join(name)), None, "{name}");
        }
    }
}
