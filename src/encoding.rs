//! Encodings: the forms in which an array can be read, each an extension of its name.
//!
//! Most are files: a layout of a view, such as a header and then the elements in some order. One can
//! also be a directory, and can refuse a view with a sentence that says why. A new encoding is a variant
//! here; one that needs more than a few lines gets a module.

use crate::layout::Layout;
use crate::npy::header::{self, Order};
use crate::selection::Refusal;
use crate::view::View;
use crate::zarr::data_type::DataType;
use crate::zarr::ome::Pyramid;

/// A form of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A file.
    File(FileEncoding),
    /// `.zarr`: a directory of chunks.
    Zarr,
    /// `.ome.zarr`: an image, as a directory of its pyramid.
    OmeZarr,
}

/// A form of an array as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEncoding {
    /// `.npy`: what `np.save` writes of a copy of the view in `order='K'`.
    Npy,
    /// `.raw`: the bytes in C order, with no header.
    Raw,
}

impl Encoding {
    /// The encoding of the files that directories list. All others are opened by name.
    pub const LISTED: Encoding = Encoding::File(FileEncoding::Npy);

    /// All of them. One whose extension ends in that of another comes before it.
    pub const ALL: [Encoding; 4] = [
        Encoding::File(FileEncoding::Npy),
        Encoding::File(FileEncoding::Raw),
        Encoding::OmeZarr,
        Encoding::Zarr,
    ];

    /// The extension of names, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Encoding::File(FileEncoding::Npy) => ".npy",
            Encoding::File(FileEncoding::Raw) => ".raw",
            Encoding::Zarr => ".zarr",
            Encoding::OmeZarr => ".ome.zarr",
        }
    }

    /// Takes exactly one encoding's extension, the longest, off a name.
    pub fn strip(name: &str) -> Option<(&str, Encoding)> {
        Encoding::ALL
            .into_iter()
            .find_map(|encoding| Some((name.strip_suffix(encoding.extension())?, encoding)))
    }

    /// Whether a name is of a form that is a directory.
    pub fn is_directory(name: &str) -> bool {
        matches!(Encoding::strip(name), Some((_, Encoding::Zarr | Encoding::OmeZarr)))
    }

    /// Why a view has no form in this encoding, if it has none.
    pub fn check(self, view: &View) -> Result<(), Refusal> {
        match self {
            Encoding::File(_) => Ok(()),
            Encoding::Zarr => DataType::v3(view.dtype()).map(drop),
            Encoding::OmeZarr => {
                DataType::v3(view.dtype())?;
                Pyramid::new(view.clone()).map(drop)
            }
        }
    }
}

impl FileEncoding {
    /// Bytes of the file that a view is in this encoding.
    pub fn len(self, view: &View) -> u64 {
        self.header(view).len() as u64 + view.nbytes()
    }

    /// The bytes of the file that a view is in this encoding.
    pub fn layout(self, view: &View) -> Layout {
        Layout::with_header(self.header(view), view, self.order(view))
    }

    fn order(self, view: &View) -> Order {
        match self {
            FileEncoding::Npy => view.order(),
            FileEncoding::Raw => Order::C,
        }
    }

    fn header(self, view: &View) -> Vec<u8> {
        match self {
            FileEncoding::Npy => header::write(view.dtype(), view.shape(), self.order(view)),
            FileEncoding::Raw => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::dtype::DType;
    use crate::npy::header::Header;
    use std::sync::Arc;

    const NPY: Encoding = Encoding::File(FileEncoding::Npy);
    const RAW: Encoding = Encoding::File(FileEncoding::Raw);

    fn view(descr: &str, shape: Vec<u64>) -> View {
        let dtype = Arc::new(DType::Scalar(descr.parse().unwrap()));
        let (order, data_offset) = (Order::Fortran, 128);
        View::of_header(&Header { version: (1, 0), dtype, order, shape, data_offset }).unwrap()
    }

    #[test]
    fn one_extension_is_taken_off_the_longest() {
        assert_eq!(Encoding::strip("0-50.npy"), Some(("0-50", NPY)));
        assert_eq!(Encoding::strip("....npy"), Some(("...", NPY)));
        assert_eq!(Encoding::strip("a.npy.raw"), Some(("a.npy", RAW)));
        assert_eq!(Encoding::strip("a.npy.zarr"), Some(("a.npy", Encoding::Zarr)));
        assert_eq!(Encoding::strip("a.ome.zarr"), Some(("a", Encoding::OmeZarr)));
        assert_eq!(Encoding::strip("a.zarr.ome.zarr"), Some(("a.zarr", Encoding::OmeZarr)));
        assert_eq!(Encoding::strip("0-50.NPY"), None);
        assert_eq!(Encoding::strip("0-50"), None);
        for (at, encoding) in Encoding::ALL.into_iter().enumerate() {
            let later = &Encoding::ALL[at + 1..];
            let hides = |other: &Encoding| other.extension().ends_with(encoding.extension());
            assert!(!later.iter().any(hides), "{encoding:?}");
        }
    }

    #[test]
    fn a_file_is_as_long_as_is_said_before_it_is_made() {
        for descr in ["<f8", "|S0", "<M8[ns]"] {
            for shape in [vec![], vec![0, 3], vec![7], vec![2, 3, 4, 5]] {
                let view = view(descr, shape);
                for encoding in [FileEncoding::Npy, FileEncoding::Raw] {
                    assert_eq!(encoding.len(&view), encoding.layout(&view).len(), "{view:?}");
                }
            }
        }
    }

    #[test]
    fn an_encoding_that_refuses_says_why() {
        let refused = |encoding: Encoding, descr: &str, shape: &[u64]| {
            encoding.check(&view(descr, shape.to_vec())).err().map(|refusal| refusal.0)
        };
        assert_eq!(refused(Encoding::Zarr, "<f8", &[]), None);
        assert_eq!(refused(Encoding::OmeZarr, "<f8", &[2, 2]), None);
        assert_eq!(refused(RAW, "<f16", &[2]), None);
        let no_type = Some("Zarr v3 has no type for <f16".to_owned());
        assert_eq!(refused(Encoding::Zarr, "<f16", &[2]), no_type);
        assert_eq!(refused(Encoding::OmeZarr, "<f16", &[2, 2]), no_type);
        assert!(refused(Encoding::OmeZarr, "<f8", &[2]).unwrap().starts_with("an image has"));
    }
}
