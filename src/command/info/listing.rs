//! The arrays of a directory or an archive.

use std::path::Path;

use npyfs::error::Error;
use npyfs::escape::shown;
use npyfs::mount::Entry;
use npyfs::npy::shape_text;
use npyfs::text::{self, Served};
use npyfs::tree::{Described, Node, Tree};

use crate::command::locate::reason;
use crate::command::summary::served;
use crate::command::table::{Cell, LABEL, REASON, TITLE, aligned};
use crate::command::without_numbers;
use crate::command::words::{counted, dtype_name, size};

/// So many directories are named for people.
const MAX_DIRECTORIES: usize = 10;

/// What is said of all arrays, each by itself and in sum.
#[derive(Default)]
pub(super) struct Listing {
    /// The path in the source of the directory, or of the archive.
    source: String,
    /// The names of the directories in a directory.
    directories: Vec<String>,
    /// JSON objects, where no person reads it.
    objects: Vec<String>,
    /// Lines of a table, where a person does.
    rows: Vec<Vec<Cell>>,
    for_people: bool,
    arrays: u64,
    archives: u64,
    unreadable: u64,
    nbytes: u64,
}

impl Listing {
    /// Looks at the arrays of a directory; none if it has none of its own.
    pub(super) fn read(
        tree: &Tree,
        directory: &Node,
        for_people: bool,
    ) -> Result<Option<Listing>, Error> {
        let Some(arrays) = tree.arrays(directory)? else { return Ok(None) };
        let backing = directory.backing();
        let path = backing.path().unwrap_or(Path::new(""));
        let source = backing.origin().map_or(path, |origin| origin.file_path());
        let source = match source.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => source.to_string_lossy().into_owned(),
        };
        let directories = tree.subdirectories(directory)?;
        let directories = directories.iter().map(|name| name.to_string_lossy().into_owned());
        let directories = directories.collect();
        let mut listing = Listing { source, directories, for_people, ..Listing::default() };
        for node in arrays {
            let node = node?;
            let its_path = node.backing().path().unwrap_or(Path::new(""));
            let name = shown(its_path.strip_prefix(path).unwrap_or(its_path)).to_string();
            listing.add(&node, name, tree.describe(&node));
        }
        Ok(Some(listing))
    }

    fn add(&mut self, node: &Node, name: String, described: Result<Described, Error>) {
        let (object, cells) = match described {
            Ok(Described::Array { array, .. }) => {
                let view = array.view();
                self.arrays += 1;
                self.nbytes = self.nbytes.saturating_add(view.nbytes());
                let shape = Cell::new(shape_text(view.shape()));
                let dtype = Cell::new(dtype_name(view.dtype()));
                (array.header_json(), vec![shape, dtype, Cell::number(size(view.nbytes()))])
            }
            Ok(Described::Archive { members, .. }) => {
                self.archives += 1;
                let path = node.backing().path().unwrap_or(Path::new(""));
                let object = text::archive_brief_json(&path.to_string_lossy(), members);
                let members = counted(members as u64, "member", "members");
                (object, vec![Cell::new(format!("an archive of {members}"))])
            }
            Ok(Described::NoArray(why)) => self.unreadable(node, &why),
            Err(err) => self.unreadable(node, &reason(&err)),
        };
        match self.for_people {
            true => self.rows.push([vec![Cell::new(name)], cells].concat()),
            false => self.objects.push(object),
        }
    }

    fn unreadable(&mut self, node: &Node, why: &str) -> (String, Vec<Cell>) {
        self.unreadable += 1;
        (
            node.error_json(why),
            vec![Cell::new(shown(&without_numbers(why)).to_string()).styled(REASON)],
        )
    }

    /// The text about a directory of the source.
    pub(super) fn of_directory(self, path: &Path, mount: Option<&Entry>) -> String {
        match self.for_people {
            true => self.table(path, None, mount),
            false => {
                let mount = mount.map(in_json);
                text::directory_json(&self.source, mount.as_ref(), &self.objects, &self.directories)
            }
        }
    }

    /// The text about an archive, or about a directory in one.
    pub(super) fn of_archive(self, path: &Path, members: usize, mount: Option<&Entry>) -> String {
        match self.for_people {
            true => self.table(path, Some(members), mount),
            false => {
                let mount = mount.map(in_json);
                text::archive_json(&self.source, members, mount.as_ref(), &self.objects)
            }
        }
    }

    fn table(mut self, path: &Path, members: Option<usize>, mount: Option<&Entry>) -> String {
        let mut text = format!("{TITLE}{}{TITLE:#}\n", shown(path));
        if let Some(mount) = mount {
            text.push_str(&format!("{LABEL}mount{LABEL:#}  {}\n", served(mount)));
        }
        if !self.rows.is_empty() {
            let label = |text| Cell::new(text).styled(LABEL);
            let size = Cell::number("size").styled(LABEL);
            self.rows.insert(0, vec![label("name"), label("shape"), label("dtype"), size]);
            text.push_str(&format!("\n{}\n", aligned(&self.rows)));
        }
        text + &self.sum(members) + "\n" + &self.others()
    }

    /// All of them in a line.
    fn sum(&self, members: Option<usize>) -> String {
        let mut parts = match self.arrays {
            0 if members.is_some() => Vec::new(),
            0 => vec!["no arrays directly in it".to_owned()],
            count => {
                vec![format!("{}, {}", counted(count, "array", "arrays"), size(self.nbytes))]
            }
        };
        if self.archives > 0 {
            parts.push(counted(self.archives, "archive", "archives"));
        }
        if self.unreadable > 0 {
            parts.push(format!("{} cannot be read", self.unreadable));
        }
        if let Some(members) = members {
            let members = counted(members as u64, "member", "members");
            match self.arrays {
                0 => parts.insert(0, members),
                _ => parts.push(format!("{members} in all")),
            }
        }
        parts.join("; ")
    }

    /// The directories that may have more of them, in a line; no line if there are none.
    fn others(&self) -> String {
        let Some(count @ 1..) = u64::try_from(self.directories.len()).ok() else {
            return String::new();
        };
        let shown =
            self.directories.iter().take(MAX_DIRECTORIES).map(|name| shown(name).to_string());
        let mut names = shown.collect::<Vec<_>>().join(", ");
        if self.directories.len() > MAX_DIRECTORIES {
            names.push_str(", …");
        }
        format!("and {}: {names}\n", counted(count, "directory", "directories"))
    }
}

fn in_json(mount: &Entry) -> Served<'_> {
    Served {
        mountpoint: mount.mountpoint.to_string_lossy(),
        source: mount.source.to_string_lossy(),
        is_writable: !mount.read_only,
    }
}
