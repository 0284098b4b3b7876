//! What the fuzz targets have in common.

use npyfs::npy::dtype::{DType, MAX_NDIM};
use npyfs::npy::header::{Header, HeaderError};
use npyfs::npy::literal;
use npyfs::view::View;

/// The header at the start of `bytes`, of a file of `file_len` bytes.
pub fn read_header(bytes: &[u8], file_len: u64) -> Result<Header, HeaderError> {
    Header::read(file_len, |at, buffer| {
        let part = bytes.get(at as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(part.expect("nothing behind the end is asked for"));
        Ok(())
    })
}

/// The dtype of a descr that is one.
pub fn dtype(descr: &str) -> DType {
    let value = literal::parse(descr, false).expect("a literal");
    DType::from_descr(&value).expect("a dtype")
}

/// Panics unless every byte of every element lies in the view's data. Computed anew, in numbers that
/// cannot overflow.
pub fn assert_bounds(view: &View) {
    let data = view.data();
    assert!(view.ndim() <= MAX_NDIM && view.shape().len() == view.strides().len(), "{view:?}");
    assert!(data.start <= view.offset() && view.offset() <= data.end, "{view:?}");
    assert!(data.end <= i64::MAX as u64, "{view:?}");
    let size = view.shape().iter().map(|&len| u128::from(len)).try_fold(1, u128::checked_mul);
    let size = if view.shape().contains(&0) { Some(0) } else { size };
    let itemsize = view.dtype().itemsize();
    assert_eq!(size, Some(u128::from(view.size())));
    assert_eq!(u128::from(view.size()) * u128::from(itemsize), u128::from(view.nbytes()));
    if view.size() > 0 {
        let (mut first, mut last) = (i128::from(view.offset()), i128::from(view.offset()));
        for (&len, &stride) in view.shape().iter().zip(view.strides()) {
            let reach = i128::from(len - 1) * i128::from(stride);
            first += reach.min(0);
            last += reach.max(0);
        }
        assert!(first >= i128::from(data.start), "{view:?}");
        assert!(last + i128::from(itemsize) <= i128::from(data.end), "{view:?}");
    }
}
