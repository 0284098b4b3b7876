use std::io::Write;
use std::sync::Arc;

use super::*;
use crate::npy::dtype::DType;
use crate::npy::header::{Header, Order};
use crate::runs::Runs;
use crate::view::{Steps, View};

/// Every `step`th byte of `len` bytes, from the first on, or from the last backwards.
fn every(step: i64, len: u64) -> Runs {
    let view = View::of_bytes(len).unwrap();
    let count = len.div_ceil(step.unsigned_abs());
    let start = if step < 0 { len - 1 } else { 0 };
    Runs::new(&view.steps(0, Steps { start, step, len: count }).unwrap(), Order::C)
}

fn local_file(bytes: &[u8]) -> (File, LocalFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let read_only = File::open(file.path()).unwrap();
    (file.into_file(), LocalFile::new(read_only).unwrap())
}

/// The same, as if a network had to be asked for it.
fn far_file(bytes: &[u8]) -> (File, LocalFile) {
    let (file, local) = local_file(bytes);
    (file, LocalFile { filesystem: Filesystem::Other, ..local })
}

#[test]
fn pieces_are_copied_together() {
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    for (_file, local) in [local_file(&bytes), far_file(&bytes)] {
        for step in [2, 3, 7, 4096] {
            let runs = every(step, 10_000);
            let mut out = vec![0; runs.len() as usize];
            local.gather(runs.pieces(0, runs.len()), &mut out, 10_000).unwrap();
            let expected: Vec<u8> = bytes.iter().copied().step_by(step as usize).collect();
            assert_eq!(out, expected);
        }
        assert_eq!(local.open.map.get().is_some(), local.answers_at_once());
    }
}

#[test]
fn what_lies_together_is_copied_to_another_file_as_far_as_it_is_there() {
    let bytes: Vec<u8> = (0..=250).cycle().take(10_000).collect();
    let copy = tempfile::tempfile().unwrap();
    let (file, local) = local_file(&bytes);
    assert!(local.copy_to(130, 8000, &copy, 70));
    let mut copied = vec![1; 8070];
    copy.read_exact_at(&mut copied, 0).unwrap();
    assert!(copied[..70].iter().all(|&byte| byte == 0));
    assert_eq!(copied[70..], bytes[130..8130]);
    for (at, len) in [(9000, 1001), (20_000, 1), (u64::MAX, 1), (1, u64::MAX)] {
        assert!(!local.copy_to(at, len, &copy, 0), "{at}, {len}");
    }
    assert!(!local.copy_to(0, 10, &copy, u64::MAX), "no file has such a place");
    // A page that is gone, and the page in which the file now ends.
    for len in [0, 9000] {
        file.set_len(len).unwrap();
        assert!(!local.copy_to(8500, 1000, &copy, 0), "{len}");
    }
}

/// Items of every length that has a loop of its own, and of others; in rows of just more of them than are
/// copied before the next row's turn, in either direction, near to each other and far.
#[test]
fn items_are_copied_from_and_to_where_they_are_whatever_their_length_and_order() {
    const SHAPE: [u64; 2] = [3, 65];
    for len in [1, 2, 3, 4, 8, 16, 24, 32, 64, 200] {
        let dtype = DType::Scalar(format!("|V{len}").parse().unwrap());
        let (dtype, shape) = (Arc::new(dtype), SHAPE.map(|len| 2 * len).to_vec());
        let header = Header { version: (1, 0), dtype, order: Order::C, shape, data_offset: 0 };
        let whole = View::of_header(&header).unwrap();
        let bytes: Vec<u8> = (0..=250).cycle().take(whole.nbytes() as usize).collect();
        let (_file, local) = local_file(&bytes);
        for (steps, order) in [[1, 1], [-1, 1], [1, -1], [-1, -1], [2, -2], [-2, 2]]
            .into_iter()
            .flat_map(|steps| [(steps, Order::C), (steps, Order::Fortran)])
        {
            let mut view = whole.clone();
            for (axis, (step, len)) in steps.into_iter().zip(SHAPE).enumerate() {
                let start = if step < 0 { 2 * len - 1 } else { 0 };
                view = view.steps(axis, Steps { start, step, len }).unwrap();
            }
            let item = |row: u64, col: u64| {
                let far = [row, col].into_iter().zip(view.strides());
                let far: i64 = far.map(|(i, stride)| i.cast_signed() * stride).sum();
                let start = view.offset().checked_add_signed(far).unwrap() as usize;
                start..start + len
            };
            let (rows, cols) = (SHAPE[0], SHAPE[1]);
            let items: Vec<_> = match order {
                Order::C => (0..rows * cols).map(|i| item(i / cols, i % cols)).collect(),
                Order::Fortran => (0..rows * cols).map(|i| item(i % rows, i / rows)).collect(),
            };
            let expected: Vec<u8> =
                items.iter().flat_map(|item| &bytes[item.clone()]).copied().collect();
            let runs = Runs::new(&view, order);
            let mut out = vec![0; expected.len()];
            local.gather(runs.pieces(0, runs.len()), &mut out, whole.nbytes()).unwrap();
            assert!(out == expected, "gathered: items of {len} bytes, steps {steps:?}, {order:?}");

            let (mut map, mut expected) = (vec![0; bytes.len()], vec![0; bytes.len()]);
            for (i, item) in items.into_iter().enumerate() {
                expected[item].copy_from_slice(&out[i * len..][..len]);
            }
            // SAFETY: it is as long as it says, and nobody else's.
            let scattered = unsafe {
                strided::scatter(map.as_mut_ptr(), map.len(), runs.pieces(0, runs.len()), &out)
            };
            scattered.unwrap();
            assert!(map == expected, "scattered: items of {len} bytes, steps {steps:?}, {order:?}");
        }
    }
}

#[test]
fn a_buffer_that_pieces_do_not_fill_is_an_error() {
    let runs = every(2, 100);
    for (_file, local) in [local_file(&[0; 100]), far_file(&[0; 100])] {
        for wrong in [49, 51] {
            assert!(local.gather(runs.pieces(0, runs.len()), &mut vec![0; wrong], 100).is_err());
        }
    }
}

#[test]
fn a_file_that_is_too_short_is_an_error_before_it_is_touched() {
    let runs = every(2, 10_000);
    for (file, local) in [local_file(&[7; 10_000]), far_file(&[7; 10_000])] {
        file.set_len(9_999).unwrap();
        let mut out = vec![0; 5_000];
        let gathered = local.gather(runs.pieces(0, 5_000), &mut out, 10_000);
        assert!(matches!(gathered, Err(ReadError::Short { has: 9_999 })));
        assert!(local.open.map.get().is_none());
        assert!(out.iter().all(|&b| b == 0));
    }
}

#[test]
fn what_lies_together_is_read_as_far_as_it_is_there() {
    let (file, local) = local_file(b"0123456789");
    let read = |offset, len| {
        let mut out = vec![0; len];
        local.read_at(offset, &mut out).map(|()| out)
    };
    assert_eq!(read(3, 7).unwrap(), b"3456789");
    assert_eq!(read(99, 0).unwrap(), b"");
    file.set_len(9).unwrap();
    assert!(matches!(read(3, 7), Err(ReadError::Short { has: 9 })));
    assert_eq!(read(3, 6).unwrap(), b"345678");
    assert!(local.open.map.get().is_none(), "no map is made for it");
}

/// Passes by the look at the size, as a truncation in the very moment would.
#[test]
fn a_page_that_goes_away_is_an_error_and_no_signal() {
    let (file, local) = local_file(&[7; 40_000]);
    file.set_len(10).unwrap();
    let runs = every(2, 40_000);
    for _ in 0..3 {
        let mut out = vec![0; 20_000];
        let map = local.map().unwrap();
        assert!(strided::gather(map, runs.pieces(0, 20_000), &mut out).is_err());
    }
    file.set_len(40_000).unwrap();
    let mut out = vec![9; 20_000];
    local.gather(runs.pieces(0, 20_000), &mut out, 40_000).unwrap();
    assert_eq!((out[4], out[5], out[19_999]), (7, 0, 0));
}

/// The same where no map is made of the file.
#[test]
fn a_file_that_is_cut_off_while_it_is_read_far_away_is_too_short() {
    let (file, local) = far_file(&[7; 40_000]);
    file.set_len(10).unwrap();
    let (runs, mut out) = (every(2, 40_000), vec![0; 20_000]);
    let gathered = spans::gather(&local.open.file, runs.pieces(0, 20_000), &mut out);
    assert_eq!(gathered.map_err(|err| err.kind()), Err(io::ErrorKind::UnexpectedEof));
    assert!(matches!(
        read_pieces(&local, runs.pieces(0, 20_000), &mut out),
        Err(ReadError::Short { has: 10 })
    ));
}

#[test]
fn faults_in_many_threads_stay_in_their_own() {
    let (file, local) = local_file(&[7; 1 << 20]);
    file.set_len(1 << 19).unwrap();
    let local = &local;
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            scope.spawn(move || {
                let runs = every(2, 1 << 20);
                for round in 0..200 {
                    let gone = (thread + round) % 2 == 0;
                    let at = if gone { 1 << 18 } else { 0 };
                    let mut out = vec![0; 4096];
                    let map = local.map().unwrap();
                    let gathered = strided::gather(map, runs.pieces(at, 4096), &mut out);
                    assert_eq!(gathered.is_err(), gone);
                    assert!(gone || out.iter().all(|&b| b == 7));
                }
            });
        }
    });
}

#[test]
fn a_writer_is_noticed() {
    let (file, local) = local_file(&[7; 100]);
    assert!(local.may_have_writer());
    drop(file);
    assert!(!local.may_have_writer());
}

#[test]
fn an_empty_file_has_no_bytes() {
    let (_file, local) = local_file(&[]);
    local.read_at(0, &mut []).unwrap();
    assert!(local.read_at(0, &mut [0]).is_err());
    let runs = every(2, 100);
    assert!(local.gather(runs.pieces(0, 10), &mut [0; 10], 0).is_err());
}

fn writer(file: &tempfile::NamedTempFile) -> Writer {
    Writer::new(File::options().read(true).write(true).open(file.path()).unwrap())
}

#[test]
fn strided_bytes_are_written_and_those_between_them_are_not() {
    for step in [2, -3, 7, 300, 5000] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b'-'; 100_000]).unwrap();
        let runs = every(step, 100_000);
        let bytes: Vec<u8> = (0..runs.len()).map(|i| b'a' + (i % 26) as u8).collect();
        writer(&file).scatter(runs.pieces(0, runs.len()), &bytes, 100_000).unwrap();
        let mut expected = [b'-'; 100_000];
        let count = step.unsigned_abs() as usize;
        for (i, &byte) in bytes.iter().enumerate() {
            let at = if step < 0 { 99_999 - i * count } else { i * count };
            expected[at] = byte;
        }
        assert!(std::fs::read(file.path()).unwrap() == expected, "every {step}th");
    }
}

/// Both ways of writing strided bytes: into a map, and through the file.
#[test]
fn a_file_that_was_cut_off_is_an_error_and_does_not_grow_again() {
    for step in [2, 5000] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        let (writer, runs) = (writer(&file), every(step, 100_000));
        let bytes = vec![8; runs.len() as usize];
        writer.scatter(runs.pieces(0, runs.len()), &bytes, 100_000).unwrap();
        file.as_file().set_len(50_000).unwrap();
        assert!(writer.scatter(runs.pieces(0, runs.len()), &bytes, 100_000).is_err());
        // As if it were cut off after the look at its size.
        let stored = writer.store(runs.pieces(0, runs.len()), &bytes);
        assert!(!stored, "every {step}th");
        assert_eq!(file.as_file().metadata().unwrap().len(), 50_000);
    }
}

#[test]
fn a_write_moves_the_time_though_the_page_is_dirty_already() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[7; 10_000]).unwrap();
    let (writer, runs) = (writer(&file), every(2, 10_000));
    let modified = || file.as_file().metadata().unwrap().modified().unwrap();
    for value in [8, 9] {
        let before = modified();
        std::thread::sleep(std::time::Duration::from_millis(20));
        writer.scatter(runs.pieces(0, 5000), &[value; 5000], 10_000).unwrap();
        assert!(modified() > before);
    }
    assert!(writer.open.map.get().is_some_and(Option::is_some), "by a map");
}
