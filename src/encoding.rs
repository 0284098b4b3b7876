//! Encodings: the forms in which an array can be read as a file, each an extension of its name.
//!
//! An encoding makes a layout of a view: today a header, and the order in which the elements follow
//! it. A new one is a variant here; one that needs more than a few lines gets a module.

use crate::layout::Layout;
use crate::npy::header::{self, Order};
use crate::view::View;

/// A form of an array as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `.npy`: what `np.save` writes of a copy of the view in `order='K'`.
    Npy,
    /// `.raw`: the bytes in C order, with no header.
    Raw,
}

impl Encoding {
    const ALL: [Encoding; 2] = [Encoding::Npy, Encoding::Raw];

    /// The extension of names, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Encoding::Npy => ".npy",
            Encoding::Raw => ".raw",
        }
    }

    /// Takes exactly one encoding's extension off a name.
    pub fn strip(name: &str) -> Option<(&str, Encoding)> {
        Encoding::ALL
            .into_iter()
            .find_map(|encoding| Some((name.strip_suffix(encoding.extension())?, encoding)))
    }

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
            Encoding::Npy => view.order(),
            Encoding::Raw => Order::C,
        }
    }

    fn header(self, view: &View) -> Vec<u8> {
        match self {
            Encoding::Npy => header::write(view.dtype(), view.shape(), self.order(view)),
            Encoding::Raw => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::dtype::DType;
    use crate::npy::header::Header;
    use std::sync::Arc;

    #[test]
    fn one_extension_is_taken_off() {
        assert_eq!(Encoding::strip("0-50.npy"), Some(("0-50", Encoding::Npy)));
        assert_eq!(Encoding::strip("....npy"), Some(("...", Encoding::Npy)));
        assert_eq!(Encoding::strip("a.npy.raw"), Some(("a.npy", Encoding::Raw)));
        assert_eq!(Encoding::strip("0-50.NPY"), None);
        assert_eq!(Encoding::strip("0-50"), None);
    }

    #[test]
    fn a_file_is_as_long_as_is_said_before_it_is_made() {
        for descr in ["<f8", "|S0", "<M8[ns]"] {
            for shape in [vec![], vec![0, 3], vec![7], vec![2, 3, 4, 5]] {
                let dtype = Arc::new(DType::Scalar(descr.parse().unwrap()));
                let (order, data_offset) = (Order::Fortran, 128);
                let header = Header { version: (1, 0), dtype, order, shape, data_offset };
                let view = View::of_header(&header).unwrap();
                for encoding in Encoding::ALL {
                    assert_eq!(encoding.len(&view), encoding.layout(&view).len(), "{header:?}");
                }
            }
        }
    }
}
