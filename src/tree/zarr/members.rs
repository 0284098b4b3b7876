//! The members of a group: the arrays of a directory of the source that Zarr can hold, and its directories.
//!
//! A member is called `X` that is the array in `X.npy`, or the directory `X`. Where there are both, the directory
//! has that name, and the array is called `X.npy`; where that is the name of another array, it is left out.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Chunked, group, unreadable};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::source::{self, Entry, Origin, Source};
use crate::tree::{Array, Tree};
use crate::zarr::is_node_name;

/// Groups of more members than this do not hold the metadata of all of them: readers look for themselves.
const MAX_CONSOLIDATED: usize = 1000;

/// And no directory is read to its end for it that has more entries of any kind.
const MAX_ENTRIES: usize = 16 * MAX_CONSOLIDATED;

/// What a name in a group is.
#[derive(Debug)]
pub(super) enum Member {
    /// A group
    Group(Entry, Meta),
    /// An array
    Array(Arc<Array>, Meta),
}

/// Directories of this name hold Zarr that somebody else has made.
fn is_zarr_itself(name: &str) -> bool {
    name.ends_with(Encoding::Zarr.extension())
}

/// The member of this name.
pub(super) fn named(tree: &Tree, group: &Entry, name: &str) -> Result<Member, Error> {
    if !is_node_name(name) {
        return Err(Error::not_found("Zarr has no member of that name"));
    }
    match directory(tree, group, name)? {
        Some(_) if is_zarr_itself(name) => {
            Err(Error::not_found("a directory of Zarr's own, which is not read"))
        }
        Some((entry, meta)) => Ok(Member::Group(entry, meta)),
        None => array(tree, group, name),
    }
}

/// The directory of this name.
fn directory(tree: &Tree, group: &Entry, name: &str) -> Result<Option<(Entry, Meta)>, Error> {
    match tree.source.find(group, OsStr::new(name)) {
        Ok(source::Found::Entry(meta)) if meta.kind == Some(Kind::Directory) => {
            let path = Source::path_of(&group.path, OsStr::new(name));
            Ok(Some((Entry { path, id: meta.id }, meta)))
        }
        Ok(_) | Err(Error::NotFound(_)) => Ok(None),
        Err(err) => Err(err),
    }
}

/// The array of this name, which is not a directory's.
fn array(tree: &Tree, group: &Entry, name: &str) -> Result<Member, Error> {
    let of_stem = |stem: &str| tree.source.array_of_stem(group, stem);
    let file = match (of_stem(name), name.strip_suffix(Encoding::LISTED.extension())) {
        (Err(Error::NotFound(why)), Some(stem)) => match directory(tree, group, stem)? {
            Some(_) => of_stem(stem)?,
            None => return Err(Error::NotFound(why)),
        },
        (file, _) => file?,
    };
    let origin: Arc<dyn Origin> = Arc::new(file);
    match origin.version(&tree.source)? {
        (Ok(version), meta) => {
            Encoding::Zarr.check(&version.view).map_err(Error::NotFound)?;
            Ok(Member::Array(Array::whole(&origin, version).into(), meta))
        }
        (Err(why), _) => Err(unreadable(&*origin, &why)),
    }
}

/// The names that members can have, with the kinds of their nodes in the source. `None` if there are more than
/// `at_most` entries of any kind.
fn candidates(
    tree: &Tree,
    group: &Entry,
    at_most: usize,
) -> Result<Option<Vec<(String, Kind)>>, Error> {
    let Some(entries) = tree.source.members(group, at_most)? else { return Ok(None) };
    // What is not Unicode has no name in JSON.
    let entries = entries.into_iter();
    let mut entries: Vec<_> =
        entries.filter_map(|(name, kind)| Some((name.into_string().ok()?, kind))).collect();
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let of_kind = |wanted: Kind| {
        let names = entries.iter().filter(move |(_, kind)| *kind == wanted);
        names.map(|(name, _)| name.as_str()).collect::<HashSet<&str>>()
    };
    let (directories, files) = (of_kind(Kind::Directory), of_kind(Kind::File));
    let member = |(name, kind): &(String, Kind)| {
        let name = match kind {
            Kind::Directory => Some(&**name).filter(|name| !is_zarr_itself(name)),
            _ => match name.strip_suffix(Encoding::LISTED.extension())? {
                stem if !directories.contains(stem) => Some(stem),
                _ => {
                    let other = format!("{name}{}", Encoding::LISTED.extension());
                    Some(&**name).filter(|_| !files.contains(&*other))
                }
            },
        };
        name.filter(|name| is_node_name(name)).map(|name| (name.to_owned(), *kind))
    };
    Ok(Some(entries.iter().filter_map(member).collect()))
}

/// The names of all members. An array that cannot be read, or that Zarr cannot hold, is none.
pub(super) fn names(tree: &Tree, group: &Entry) -> Result<Vec<String>, Error> {
    let candidates = candidates(tree, group, usize::MAX)?.unwrap_or_default().into_iter();
    let members = candidates.filter(|(name, kind)| {
        *kind == Kind::Directory || matches!(named(tree, group, name), Ok(Member::Array(..)))
    });
    Ok(members.map(|(name, _)| name).collect())
}

/// The `zarr.json` of everything beneath a group, by path; `None` if that is too much.
///
/// Every reader of the text can read it, so on a mount for other users, who may not read every array, there is none.
pub(super) fn consolidated(tree: &Tree, group: &Entry) -> Option<Map<String, Value>> {
    if tree.source.is_for_others() {
        return None;
    }
    // All names come first: they cost less than headers, and are what tells whether there are too many.
    let (mut groups, mut arrays) = (VecDeque::from([(String::new(), group.clone())]), Vec::new());
    let mut members = Map::new();
    while let Some((path, group)) = groups.pop_front() {
        let Ok(candidates) = candidates(tree, &group, MAX_ENTRIES) else { continue };
        for (name, kind) in candidates? {
            let inner = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if kind != Kind::Directory {
                arrays.push((group.clone(), name, inner));
            } else if let Ok(Some((entry, _))) = directory(tree, &group, &name) {
                members.insert(inner.clone(), group::metadata(None));
                groups.push_back((inner, entry));
            }
            if members.len() + arrays.len() > MAX_CONSOLIDATED {
                return None;
            }
        }
    }
    for (group, name, path) in arrays {
        if let Ok(Member::Array(array, _)) = array(tree, &group, &name)
            && let Ok(chunked) = Chunked::in_blocks(&array, &tree.options)
            && let Ok(metadata) = chunked.metadata()
        {
            members.insert(path, metadata);
        }
    }
    Some(members)
}
