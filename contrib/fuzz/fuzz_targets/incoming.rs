//! Anything written to a view in any pieces: what is not the view's stays, byte for byte, and so does
//! the file's size; a whole replacement arrives.

#![no_main]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use npyfs::encoding::FileEncoding;
use npyfs::layout::Incoming;
use npyfs::npy::header::{self, Header, Order};
use npyfs::runs::Runs;
use npyfs::storage::Writer;
use npyfs::view::{Steps, View};
use npyfs_fuzz::dtype;

const FILE_SIZE: usize = 1 << 12;

struct World {
    file: File,
    writer: Writer,
    view: View,
    /// The bytes of the view in the file, in C order.
    places: Vec<usize>,
}

/// `a[1:19:2, 7:1:-3]` of twenty rows of ten items, and the file that they are in.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let shape = vec![20, 10];
        let dtype = Arc::new(dtype("'|S3'"));
        let header = Header { version: (1, 0), dtype, order: Order::C, shape, data_offset: 300 };
        let whole = View::of_header(&header).expect("a view");
        let rows = whole.steps(0, Steps { start: 1, step: 2, len: 9 }).expect("rows");
        let view = rows.steps(1, Steps { start: 7, step: -3, len: 2 }).expect("columns");
        let items = (0..9).flat_map(|i| [7, 4].map(|j| 300 + (10 * (1 + 2 * i) + j) * 3));
        let places = items.flat_map(|at| at..at + 3).collect();
        let file = tempfile::tempfile().expect("a file");
        let writer = Writer::new(file.try_clone().expect("another descriptor"));
        World { file, writer, view, places }
    })
}

/// The header of a replacement: of this shape, or as often of another.
fn some_header(u: &mut Unstructured<'_>, view: &View) -> Result<(Vec<u8>, Option<Order>)> {
    let order = if u.arbitrary()? { Order::Fortran } else { Order::C };
    let fits = u.ratio(3, 4)?;
    let shape = if fits { view.shape() } else { &[2, 9] };
    let mut header = header::write(view.dtype(), shape, order);
    let padding = 64 * u.int_in_range(0..=2)?;
    let end = header.len() - 1;
    header.splice(end..end, std::iter::repeat_n(b' ', padding));
    header[8] += padding as u8;
    Ok((header, fits.then_some(order)))
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let World { file, writer, view, places } = world();
    let before = [b'.'; FILE_SIZE];
    (&*file).seek(SeekFrom::Start(0)).expect("the start");
    (&*file).write_all(&before).expect("room");
    let own = Arc::new(FileEncoding::Npy.layout(view));
    let mut incoming = Incoming::new(view.clone(), own.clone());
    let mut replaced = None;
    for _ in 0..u.int_in_range(0..=8)? {
        match u.int_in_range(0..=4)? {
            0 => incoming.truncate(),
            1 => drop(incoming.end(writer, u.int_in_range(0..=2 * own.len())?)),
            2 => {
                let (header, order) = some_header(u, view)?;
                let data: Vec<u8> = (0..places.len() as u8).map(|i| i | 128).collect();
                let stream = [header, data.clone()].concat();
                incoming.truncate();
                let (mut at, mut done) = (0, true);
                while at < stream.len() {
                    let len = u.int_in_range(1..=stream.len() - at)?;
                    done &= incoming.write_at(writer, at as u64, &stream[at..at + len]).is_ok();
                    at += len;
                }
                assert_eq!(done, order.is_some());
                replaced = order.filter(|_| done).map(|order| (order, data));
                continue;
            }
            3 => {
                let bytes = vec![b'x'; u.int_in_range(0..=60)?];
                drop(incoming.write_at(writer, u.int_in_range(0..=own.len())?, &bytes));
            }
            _ => {
                let (at, bytes): (u64, &[u8]) = u.arbitrary()?;
                drop(incoming.write_at(writer, at, bytes));
            }
        }
        replaced = None;
    }
    let mut after = Vec::new();
    (&*file).seek(SeekFrom::Start(0)).expect("the start");
    (&*file).read_to_end(&mut after).expect("bytes");
    assert_eq!(after.len(), FILE_SIZE, "the size stays");
    for (at, byte) in after.iter().enumerate() {
        assert!(*byte == b'.' || places.contains(&at), "byte {at} is not the view's");
    }
    if let Some((order, data)) = replaced {
        let runs = Runs::new(view, order);
        let stored = runs.pieces(0, runs.len()).flat_map(|piece| {
            let stretches: Vec<u64> = piece.stretches().collect();
            stretches.into_iter().flat_map(move |at| at..at + piece.len)
        });
        assert!(stored.map(|at| after[at as usize]).eq(data), "the replacement arrives");
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is too short to say what it wants ends early.
    let _ = check(&mut Unstructured::new(input));
});
