//! The small text files: `header.json`, `error.txt`, and the mount's own `USAGE.txt`. (Those of arrays are
//! written by the selections that they explain, in [`crate::selection::Group::usage`].)

use std::borrow::Cow;

use crate::npy::dtype::DType;
use crate::npy::header::{Header, Order};
use crate::npy::literal::Text;
use crate::view::View;

pub mod npy_stack;

/// `USAGE.txt` of a whole mount, for arrays of any name and shape.
pub const NAMESPACE: &str = "\
Beside each array X.npy stands a directory X that describes it and holds every slice of it. Every slice
is again an array, with a directory of its own. A path is an expression. Here a is the array in X.npy,
and has enough rows, columns and fields for all examples:

    X/header.json               what it is: dtype, shape, and where it lies in the file
    X/USAGE.txt                 examples that work on that very array
    X/rows/7.npy                a[7]
    X/rows/0-50.npy             a[0:50]
    X/cols/0-50.npy             a[:, 0:50]
    X/axis2/1.npy               a[:, :, 1]
    X/axis-1/0-2.npy            a[..., 0:2]
    X/slice/::2,-1.npy          a[::2,-1]
    X/slice/...,None.npy        a[...,None]
    X/parts/8/3.npy             np.array_split(a, 8)[3]
    X/windows/10,1/3.npy        a[3:13]
    X/chunks/4,4,2/1,0,0.npy    a[4:8, 0:4, 0:2]
    X/fields/r.npy              a['r']
    X/T.npy                     a.T
    X/rows/0-50/cols/3.npy      a[0:50][:, 3]
    X/rows/0-50/fields/r.npy    a[0:50]['r']
    X/rows/0-50/header.json     what a[0:50] is
    X/rows/0-50.raw             a[0:50], its bytes in C order with no header
    X.raw                       a, its bytes in C order with no header

Where Zarr has the array's dtype, each of these is also a directory that readers of Zarr open: X.zarr,
X/rows/0-50.zarr, and X/chunks/512,512.zarr with chunks of that shape. D.zarr, beside a directory D of the
source, is the group of all arrays beneath it, and .zarr that of all here. For arrays of 2 to 5 axes,
X.ome.zarr is an image. All of these are read-only.

All .npy files of a directory are one array too, in the order of the numbers in their names. If X.npy is the
only one:

    concat.npy                  np.concatenate([a])
    concat/rows/0-50.npy        np.concatenate([a])[0:50]
    stack.npy                   np.stack([a])

Which file has which rows is in concat/sources.json; why they do not go together, in concat/error.txt.

Without such an ending, a name is a directory. Most names are not listed, but they can be opened. Numbers
are plain, or padded with zeros as in the listings. Complex arrays have fields/real and fields/imag. In
the name of a field, write `.`, `/` and `%` as `%2E`, `%2F` and `%25`.

An archive X.npz has a directory X of its members, as if they were files: X/a.npy, and X/a with every
slice of it. A member that is compressed has no slices; np.savez does not compress.

If the source has a file or directory X of its own, the array's directory is X.npy.d, and the archive's
is X.npz.d. If X.npy is no array that can be sliced, X/error.txt says why. `npyfs info` of a path that
does not exist says why. The manual page npyfs-paths(7) has more examples.
";

/// Where the bytes of an array are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a file, by its path inside the source
    File(Cow<'a, str>),
    /// In a member of an archive
    Member {
        /// The archive's path inside the source.
        file: Cow<'a, str>,
        /// The member's name in the archive.
        member: Cow<'a, str>,
    },
    /// In the `.npy` files of a directory, which are so many
    Joined {
        /// Its path inside the source.
        directory: Cow<'a, str>,
        /// How many files.
        files: usize,
    },
}

impl Place<'_> {
    fn members(&self) -> Vec<(&'static str, String)> {
        match self {
            Place::File(file) => vec![("source", string(file))],
            Place::Member { file, member } => {
                vec![("source", string(file)), ("member", string(member))]
            }
            Place::Joined { directory, files } => {
                let directory = string(directory);
                let joined =
                    format!("{{\"directory\": {directory}, \"axis\": 0, \"files\": {files}}}");
                vec![("joined", joined)]
            }
        }
    }
}

/// `header.json` of a view: one JSON object.
///
/// `expression` is the Python expression of the view in terms of the array a, `version` the format
/// version of the backing file, or of the first one. Offsets, strides and sizes are in bytes; with `offset`,
/// `shape` and `strides` any program can map the backing file itself. For many files `sources.json` has
/// what that takes.
pub fn header_json(place: &Place<'_>, expression: &str, version: (u8, u8), view: &View) -> String {
    let mut members = place.members();
    members.extend([
        ("expression", string(expression)),
        ("descr", view.dtype().descr().to_json()),
        ("shape", list(view.shape())),
        ("ndim", view.ndim().to_string()),
        ("size", view.size().to_string()),
        ("itemsize", view.dtype().itemsize().to_string()),
        ("nbytes", view.nbytes().to_string()),
        ("fortran_order", (view.order() == Order::Fortran).to_string()),
        ("format_version", list(&[version.0, version.1])),
    ]);
    if !matches!(place, Place::Joined { .. }) {
        members.push(("offset", view.offset().to_string()));
        members.push(("strides", list(view.strides())));
    }
    members.extend(fields(view.dtype()).map(|fields| ("fields", fields)));
    object(&members)
}

/// `header.json` of an array that cannot be served: what its header says, and nothing that would
/// have to be known of its data.
pub fn header_json_of_unreadable(place: &Place<'_>, header: &Header) -> String {
    let mut members = place.members();
    members.extend([
        ("expression", string("a")),
        ("descr", header.dtype.descr().to_json()),
        ("shape", list(&header.shape)),
        ("ndim", header.shape.len().to_string()),
        ("fortran_order", (header.order == Order::Fortran).to_string()),
        ("format_version", list(&[header.version.0, header.version.1])),
        ("offset", header.data_offset.to_string()),
    ]);
    object(&members)
}

/// A mount, and what it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served<'a> {
    /// Where it is mounted.
    pub mountpoint: Cow<'a, str>,
    /// The source.
    pub source: Cow<'a, str>,
    /// Whether values can be written.
    pub is_writable: bool,
}

/// What `npyfs info` says of a directory of the source, perhaps in a mount: one JSON object, with one for each
/// of its arrays, and the names of the directories in it.
pub fn directory_json(
    directory: &str,
    mount: Option<&Served<'_>>,
    arrays: &[String],
    directories: &[String],
) -> String {
    let directories: Vec<_> = directories.iter().map(|name| string(name)).collect();
    let place = vec![("directory", string(directory)), ("directories", list(&directories))];
    listing_json(place, mount, arrays)
}

/// The same of an archive.
pub fn archive_json(
    source: &str,
    members: usize,
    mount: Option<&Served<'_>>,
    arrays: &[String],
) -> String {
    let place = vec![("source", string(source)), ("members", members.to_string())];
    listing_json(place, mount, arrays)
}

/// The same of an archive among others: how many members it has.
pub fn archive_brief_json(source: &str, members: usize) -> String {
    object(&[("source", string(source)), ("members", members.to_string())])
}

fn listing_json(
    mut members: Vec<(&str, String)>,
    mount: Option<&Served<'_>>,
    arrays: &[String],
) -> String {
    if let Some(Served { mountpoint, source, is_writable }) = mount {
        let (mountpoint, source) = (string(mountpoint), string(source));
        let mount = format!(
            "{{\"mountpoint\": {mountpoint}, \"source\": {source}, \"writable\": {is_writable}}}"
        );
        members.push(("mount", mount));
    }
    members.push(("arrays", objects(arrays)));
    object(&members)
}

/// The same of what is no array, and why.
pub fn error_json(place: &Place<'_>, why: &str) -> String {
    let mut members = place.members();
    members.push(("error", string(why)));
    object(&members)
}

/// `sources.json` of many files as one array: each with its rows `[start, stop]` of that array, and the byte
/// `offset` at which its data starts. The items of each row are in the given order.
pub fn sources_json<'a>(
    directory: &str,
    order: Order,
    files: impl Iterator<Item = (Cow<'a, str>, u64, u64, u32)>,
) -> String {
    let file = |(name, start, stop, offset): (Cow<'a, str>, u64, u64, u32)| {
        let name = string(&name);
        format!("    {{\"file\": {name}, \"rows\": [{start}, {stop}], \"offset\": {offset}}}")
    };
    let files: Vec<String> = files.map(file).collect();
    object(&[
        ("directory", string(directory)),
        ("axis", "0".to_owned()),
        ("fortran_order", (order == Order::Fortran).to_string()),
        ("files", format!("[\n{}\n  ]", files.join(",\n"))),
    ])
}

fn string(text: &str) -> String {
    Text::new(text).to_json()
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    format!("[{}]", items.join(", "))
}

fn object(members: &[(&str, String)]) -> String {
    let lines: Vec<String> =
        members.iter().map(|(key, value)| format!("  {}: {value}", string(key))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// A list of objects, as a member of an object.
fn objects(objects: &[String]) -> String {
    let indented = |object: &String| {
        let lines: Vec<String> = object.lines().map(|line| format!("    {line}")).collect();
        lines.join("\n")
    };
    match objects {
        [] => "[]".to_owned(),
        _ => format!("[\n{}\n  ]", objects.iter().map(indented).collect::<Vec<_>>().join(",\n")),
    }
}

/// The fields of a record: descr, byte offset in the record, and the shape of a sub-array.
fn fields(dtype: &DType) -> Option<String> {
    let lines: Vec<String> = dtype
        .as_record()?
        .fields()
        .iter()
        .map(|field| {
            let (mut base, mut shape) = (&field.dtype, Vec::<u64>::new());
            while let DType::SubArray(sub) = &**base {
                shape.extend(sub.shape());
                base = sub.base();
            }
            format!(
                "    {}: {{\"descr\": {}, \"offset\": {}, \"shape\": {}}}",
                field.name.to_json(),
                base.descr().to_json(),
                field.offset,
                list(&shape),
            )
        })
        .collect();
    Some(if lines.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{\n{}\n  }}", lines.join(",\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::literal;
    use std::sync::Arc;

    #[test]
    fn sources_json_has_each_file_with_its_rows() {
        let files = [("0.npy".into(), 0, 5, 128), ("\"".into(), 5, 5, 80)];
        let json = sources_json("run", Order::C, files.into_iter());
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "directory": "run", "axis": 0, "fortran_order": false,
            "files": [
                {"file": "0.npy", "rows": [0, 5], "offset": 128},
                {"file": "\"", "rows": [5, 5], "offset": 80},
            ],
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn header_json_says_where_the_bytes_are() {
        let descr = "[('r', '<f4'), ('i', '<f4', (2,))]";
        let dtype = DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap();
        let header = Header {
            version: (1, 0),
            dtype: Arc::new(dtype),
            order: Order::C,
            shape: vec![5],
            data_offset: 128,
        };
        let view = View::of_header(&header).unwrap();
        let json = header_json(&Place::File("sub/iq.npy".into()), "a[0:5]", (1, 0), &view);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "source": "sub/iq.npy", "expression": "a[0:5]",
                "descr": [["r", "<f4"], ["i", "<f4", [2]]],
                "shape": [5], "ndim": 1, "size": 5, "itemsize": 12, "nbytes": 60,
                "fortran_order": false, "format_version": [1, 0], "offset": 128, "strides": [12],
                "fields": {
                    "r": {"descr": "<f4", "offset": 0, "shape": []},
                    "i": {"descr": "<f4", "offset": 4, "shape": [2]},
                },
            })
        );
        let place = Place::Joined { directory: "run \"1\"".into(), files: 3 };
        let joined = header_json(&place, "a", (1, 0), &view);
        let value: serde_json::Value = serde_json::from_str(&joined).unwrap();
        let expected = serde_json::json!({"directory": "run \"1\"", "axis": 0, "files": 3});
        assert_eq!((&value["joined"], &value["shape"]), (&expected, &serde_json::json!([5])));
        let absent = ["source", "offset", "strides"];
        assert!(absent.iter().all(|member| value.get(member).is_none()), "{joined}");
        let place = Place::Member { file: "sub/iq.npz".into(), member: "a.npy".into() };
        let unreadable = header_json_of_unreadable(&place, &header);
        let unreadable: serde_json::Value = serde_json::from_str(&unreadable).unwrap();
        let (file, member) = ("sub/iq.npz".into(), "a.npy".into());
        assert_eq!((&unreadable["source"], &unreadable["member"]), (&file, &member));
    }
}
