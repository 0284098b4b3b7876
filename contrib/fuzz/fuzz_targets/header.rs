//! Any bytes as a .npy file: a header that is accepted describes bytes that are there, and is still
//! the same when it has been written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{self, Header};
use npyfs::view::View;
use npyfs_fuzz::{assert_bounds, read_header};

/// A field without a name of a type without values: written as NumPy writes it, it is padding.
fn loses_a_field(dtype: &DType) -> bool {
    match dtype {
        DType::Scalar(_) => false,
        DType::SubArray(sub) => loses_a_field(sub.base()),
        DType::Record(record) => record.fields().iter().any(|field| {
            let is_void = match &*field.dtype {
                DType::Scalar(scalar) => scalar.is_void(),
                DType::SubArray(_) => true,
                DType::Record(_) => false,
            };
            field.name.is_empty() && is_void || loses_a_field(&field.dtype)
        }),
    }
}

fn written(header: &Header) -> Vec<u8> {
    header::write(&header.dtype, &header.shape, header.order)
}

fuzz_target!(|file: &[u8]| {
    let header = match read_header(file, file.len() as u64) {
        Ok(header) => header,
        Err(err) => {
            assert!(!err.to_string().is_empty());
            return;
        }
    };
    assert!(header.data_offset <= file.len() as u64);
    let view = View::of_header(&header).expect("a header that was read has a view");
    assert_eq!(view.data().start, header.data_offset);
    assert_bounds(&view);
    if let Some(record) = header.dtype.as_record() {
        for field in record.fields() {
            assert_eq!(record.field(&field.name), Some(field));
            if let Some(view) = view.field(field) {
                assert_bounds(&view);
            }
        }
    }

    let once = written(&header);
    let again = read_header(&once, once.len() as u64).expect("what was written can be read");
    assert_eq!(again.data_offset, once.len() as u64);
    assert_eq!(once.len() % 64, 0);
    assert_eq!((&again.shape, again.order), (&header.shape, header.order));
    assert_eq!(again.dtype.itemsize(), header.dtype.itemsize());
    assert_eq!(again.dtype.has_objects(), header.dtype.has_objects());
    assert_eq!(written(&again), once);
    if !loses_a_field(&header.dtype) {
        assert_eq!(again.dtype, header.dtype);
    }
});
