//! Archives by the programs that write them: `tests/archives/make` made these.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use npyfs::archive::{Archive, ArchiveError, Directory, Entry};
use npyfs::npy::header::Header;
use npyfs::storage::{LocalFile, Section, Storage};

fn open(name: &str) -> Arc<dyn Storage> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives").join(name);
    Arc::new(LocalFile::new(File::open(path).unwrap()).unwrap())
}

/// Every archive that is kept, by name.
fn all() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    let names = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".npz"));
    names.sort();
    names
}

/// The names in a directory, those of directories with a slash.
fn listing(archive: &Archive, directory: Directory) -> Vec<String> {
    let shown = archive.entries(directory, 0).map(|listed| {
        let name = String::from_utf8(listed.name.to_vec()).unwrap();
        match listed.entry {
            Entry::Member(_) => name,
            Entry::Directory(_) => name + "/",
        }
    });
    shown.collect()
}

/// The shape and the data of a member, a .npy file.
fn array(archive: &Archive, file: &Arc<dyn Storage>, name: &str) -> (Vec<u64>, Vec<u8>) {
    let range = archive.member(name.as_bytes()).unwrap().data_range(&**file).unwrap();
    let section = Section::new(Arc::clone(file), range.start, range.end - range.start).unwrap();
    let read = |at, out: &mut [u8]| Ok(section.read_at(at, out)?);
    let header = Header::read(section.len(), read).unwrap();
    let mut data = vec![0; header.data_len().unwrap() as usize];
    section.read_at(header.data_offset, &mut data).unwrap();
    assert_eq!(section.len(), header.data_offset + data.len() as u64);
    (header.shape, data)
}

#[test]
fn members_that_are_stored_as_they_are_are_found_whoever_wrote_the_archive() {
    let a: Vec<u8> = (0..6i32).flat_map(i32::to_le_bytes).collect();
    let b: Vec<u8> = (0..4u8).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    let mut seen = 0;
    for name in all() {
        if ["compressed", "deflated", "lzma", "encrypted", "executable"]
            .iter()
            .any(|kind| name.contains(kind))
        {
            continue;
        }
        let file = open(&name);
        let archive = Archive::read(&*file).unwrap();
        assert_eq!(listing(&archive, archive.root()), ["a.npy", "sub/"], "{name}");
        let Some(Entry::Directory(sub)) = archive.entry(archive.root(), b"sub") else { panic!() };
        assert_eq!(listing(&archive, sub), ["b.npy"], "{name}");
        assert_eq!(archive.left_out().count(), 0, "{name}");
        assert_eq!(array(&archive, &file, "a.npy"), (vec![2, 3], a.clone()), "{name}");
        assert_eq!(array(&archive, &file, "sub/b.npy"), (vec![4], b.clone()), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 10);
}

#[test]
fn members_that_are_not_are_refused_with_what_they_are() {
    let mut seen = 0;
    for name in all() {
        let what = match &name {
            name if name.contains("encrypted") => "encrypted",
            name if ["-compressed", "deflated", "lzma"].iter().any(|kind| name.contains(kind)) => {
                "compressed; np.savez does not compress"
            }
            _ => continue,
        };
        let file = open(&name);
        let archive = Archive::read(&*file).unwrap();
        assert_eq!(listing(&archive, archive.root()), ["a.npy", "sub/"], "{name}");
        for member in ["a.npy", "sub/b.npy"] {
            let expected = format!("the member '{member}' is {what}");
            let member = archive.member(member.as_bytes()).unwrap();
            assert_eq!(member.size().unwrap_err().to_string(), expected, "{name}");
            assert_eq!(member.data_range(&*file).unwrap_err().to_string(), expected, "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn what_numpy_takes_for_no_archive_is_none() {
    let err = Archive::read(&*open("zipfile-executable.npz")).unwrap_err();
    assert!(matches!(err, ArchiveError::Start), "{err}");
}
