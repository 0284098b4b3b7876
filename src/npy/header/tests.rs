use super::*;

/// A file with this header text and `data` bytes behind it.
fn file(version: (u8, u8), text: &[u8], data: usize) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([version.0, version.1]);
    match version {
        (1, _) => out.extend((text.len() as u16).to_le_bytes()),
        _ => out.extend((text.len() as u32).to_le_bytes()),
    }
    out.extend(text);
    out.resize(out.len() + data, 0);
    out
}

fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    Header::read(bytes.len() as u64, |offset, buf| {
        let offset = offset as usize;
        buf.copy_from_slice(&bytes[offset..offset + buf.len()]);
        Ok(())
    })
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

const PLAIN: &[u8] = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n";

#[test]
fn a_plain_header_is_read() {
    let header = read(&file((1, 0), PLAIN, 96)).unwrap();
    assert_eq!(header.version, (1, 0));
    assert_eq!(header.dtype.descr().to_string(), "'<f8'");
    assert_eq!((header.order, &header.shape[..]), (Order::C, &[3, 4][..]));
    assert_eq!(header.data_offset, 10 + PLAIN.len() as u64);
    assert_eq!(header.data_len().unwrap(), 96);
}

#[test]
fn every_accepted_spelling_is_read() {
    for (version, text) in [
        ((1, 0), "{'shape': (3L, 4L), 'fortran_order': False, 'descr': '<f8'}"),
        (
            (2, 0),
            "{\n 'descr': '<f8', # eight bytes\n 'fortran_order': False,\n 'shape': (3, 4)\n}",
        ),
        ((3, 0), "{\"descr\": u'<' 'f8', 'fortran_order': False, 'shape': (0x3, +4,), }"),
        ((1, 0), "  {'descr': 'x', 'descr': '\\x3cf8', 'fortran_order': False, 'shape': (3, 4)}#"),
    ] {
        let header = read(&file(version, text.as_bytes(), 0)).unwrap();
        assert_eq!(header.dtype.descr().to_string(), "'<f8'", "{text}");
        assert_eq!(header.shape, [3, 4], "{text}");
    }
}

#[test]
fn every_refusal_says_what_is_wrong() {
    let long = vec![b' '; (MAX_HEADER + 1) as usize];
    let shape = |shape: &str| {
        let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}");
        file((1, 0), text.as_bytes(), 0)
    };
    for (bytes, message) in [
        (vec![], "the file is empty"),
        (b"PK\x03\x04".to_vec(), "not a .npy file: it does not start with \\x93NUMPY"),
        (b"\x93NUM".to_vec(), "the header takes 10 bytes, the file has 4"),
        (b"\x93NUMPY\x02\x00\x00\x00".to_vec(), "the header takes 12 bytes, the file has 10"),
        (file((1, 1), PLAIN, 0), "format version 1.1; there are only 1.0, 2.0 and 3.0"),
        (file((1, 0), PLAIN, 0)[..40].to_vec(), "the header takes 70 bytes, the file has 40"),
        (file((2, 0), &long, 0), "a header of 262145 bytes; at most 262144 are read"),
        (file((3, 0), b"{'\xff'}", 0), "the header of version 3.0 is not UTF-8 at byte 2"),
        (
            file((1, 0), b"{'descr': '<f8', }}", 0),
            "the header is not a Python literal: more text after the value at character 18",
        ),
        (file((1, 0), b"3", 0), "in the header, there is an int, not a dict"),
        (file((1, 0), b"{3: 4}", 0), "in the header, a key is an int, not a str"),
        (file((1, 0), b"{'x': 4}", 0), "in the header, the key 'x' does not belong"),
        (file((1, 0), b"{'descr': 'f8'}", 0), "in the header, the key 'fortran_order' is missing"),
        (
            file((1, 0), b"{'descr': 'f8', 'fortran_order': 0, 'shape': ()}", 0),
            "in the header, fortran_order is an int, not a bool",
        ),
        (shape("[3]"), "in the header, shape is a list, not a tuple"),
        (shape("(3)"), "in the header, shape is an int, not a tuple"),
        (shape("(-1,)"), "in the header, shape holds -1, which is no length"),
        (shape("(True,)"), "in the header, shape holds True, which is no length"),
        (shape("(9223372036854775807,)"), "the shape asks for more bytes than a file can hold"),
        (shape("(99999999999999999999,)"), "the shape asks for more bytes than a file can hold"),
        (
            shape("(0, 9223372036854775807, 2)"),
            "the shape asks for more bytes than a file can hold",
        ),
        (shape(&format!("({})", "1,".repeat(65))), "65 axes; NumPy has at most 64"),
        (
            file((1, 0), b"{'descr': 'q9', 'fortran_order': False, 'shape': ()}", 0),
            "in the header's descr: unknown dtype \"q9\"",
        ),
        (
            file((1, 0), b"{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': ()}", 0),
            "in the header, descr is a sub-array, which only a field can be",
        ),
    ] {
        assert_eq!(refusal(&bytes), message);
    }
}

#[test]
fn a_file_cut_anywhere_in_its_header_is_refused() {
    let whole = file((1, 0), PLAIN, 0);
    for len in 0..whole.len() {
        assert!(read(&whole[..len]).is_err(), "{len} bytes");
    }
    assert!(read(&whole).is_ok());
}

#[test]
fn empty_arrays_and_empty_items_take_no_bytes() {
    for (descr, shape, bytes) in
        [("<f8", "(0, 5)", 0), ("|S0", "(7,)", 0), ("<f8", "()", 8), ("|b1", "(5,)", 5)]
    {
        let text = format!("{{'descr': '{descr}', 'fortran_order': True, 'shape': {shape}}}");
        let header = read(&file((1, 0), text.as_bytes(), 0)).unwrap();
        assert_eq!(header.data_len().unwrap(), bytes, "{text}");
    }
}

fn dtype(descr: &str) -> DType {
    DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap()
}

#[test]
fn a_header_is_written_as_numpy_writes_it() {
    let written = write(&dtype("'<f8'"), &[3, 4], Order::C);
    let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }";
    assert_eq!(written.len(), 128);
    assert_eq!(&written[..10], b"\x93NUMPY\x01\x00\x76\x00");
    assert_eq!(&written[10..10 + text.len()], text.as_bytes());
    assert!(written[10 + text.len()..127].iter().all(|&b| b == b' '));
    assert_eq!(written[127], b'\n');
}

/// The lengths are those that NumPy 2.4.6 writes. Room for 21 digits is left in the first axis of C
/// order and in the last of Fortran order.
#[test]
fn the_growing_axis_decides_the_padding() {
    let long = 10u64.pow(18);
    let three = "[('a', '<f4'), ('b', '<f4'), ('c', '<f4')]";
    let four = "[('a', '<f4'), ('b', '<f4'), ('c', '<f4'), ('d', '<f4')]";
    for (descr, shape, order, len) in [
        (four, &[][..], Order::C, 128),
        (four, &[1], Order::C, 192),
        (four, &[long], Order::C, 192),
        (three, &[1, long], Order::C, 192),
        (three, &[1, long], Order::Fortran, 128),
        (three, &[long, 1], Order::C, 128),
        (three, &[long, 1], Order::Fortran, 192),
    ] {
        assert_eq!(write(&dtype(descr), shape, order).len(), len, "{descr} {shape:?} {order:?}");
    }
}

/// As `np.save(np.zeros(shape, dtype, 'F'))` of NumPy 2.4.6 has it, for any dtype.
#[test]
fn what_is_in_both_orders_is_written_as_c() {
    for shape in [&[][..], &[1], &[7], &[1, 1], &[1, 5], &[5, 1], &[0, 3], &[3, 0], &[2, 0, 3]] {
        assert_eq!(Order::Fortran.of_new(shape), Order::C, "{shape:?}");
    }
    for shape in [&[3, 4][..], &[2, 1, 3], &[1, 2, 1, 3]] {
        assert_eq!(Order::Fortran.of_new(shape), Order::Fortran, "{shape:?}");
        assert_eq!(Order::C.of_new(shape), Order::C, "{shape:?}");
    }
}

#[test]
fn long_headers_take_version_2_and_foreign_names_version_3() {
    let many: Vec<String> = (0..5000).map(|i| format!("('field{i}', '<f4')")).collect();
    let long = write(&dtype(&format!("[{}]", many.join(", "))), &[2], Order::C);
    assert_eq!((long[6], long.len() % ALIGN), (2, 0));
    let foreign = write(&dtype("[('質量', '<f4')]"), &[2], Order::C);
    assert_eq!((foreign[6], foreign.len() % ALIGN), (3, 0));
    for bytes in [long, foreign] {
        assert_eq!(read(&bytes).unwrap().shape, [2]);
    }
}

#[test]
fn what_is_written_reads_back() {
    for descr in ["'<f8'", "[(('t', 'a'), '<M8[25us]'), ('', '|V3'), (\"it's\", '<U5', (2, 3))]"] {
        for (shape, order) in
            [(vec![], Order::C), (vec![5], Order::C), (vec![2, 0, 7], Order::Fortran)]
        {
            let written = write(&dtype(descr), &shape, order);
            let header = read(&written).unwrap();
            assert_eq!(*header.dtype, dtype(descr));
            assert_eq!((header.shape, header.order), (shape, order));
            assert_eq!(header.data_offset, written.len() as u64);
        }
    }
}
