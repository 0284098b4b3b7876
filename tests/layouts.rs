//! Layouts over storages of every kind against a naive model, which is a `Vec<u8>` built by nested
//! loops: whatever is read or written at any position is what the model says.

mod common;

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use common::model::{cases, indices};
use npyfs::layout::{Layout, Segment, WriteError};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{Header, Order};
use npyfs::storage::{Joined, LocalFile, ReadError, Section, Storage, Writer};
use npyfs::view::{Steps, View};
use proptest::prelude::*;
use proptest::sample::Index;

/// What the bytes around a section are, which nobody may ever see. No element has such a byte.
const OUTSIDE: u8 = 0xEE;

/// Address `at` of every storage holds this.
fn byte_at(at: u64) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 13) as u8 % OUTSIDE
}

/// How the bytes lie in files.
#[derive(Clone, Debug)]
enum Kind {
    File,
    Section {
        before: usize,
    },
    /// Cut at these places, two of which may be the same.
    Joined {
        cuts: Vec<Index>,
        before: usize,
    },
    /// A section of several files end to end.
    SectionOfJoined {
        cuts: Vec<Index>,
        before: usize,
    },
}

fn some_kind() -> impl Strategy<Value = Kind> {
    let cuts = || prop::collection::vec(any::<Index>(), 0..5);
    prop_oneof![
        Just(Kind::File),
        (0usize..20).prop_map(|before| Kind::Section { before }),
        (cuts(), 0usize..20).prop_map(|(cuts, before)| Kind::Joined { cuts, before }),
        (cuts(), 0usize..20).prop_map(|(cuts, before)| Kind::SectionOfJoined { cuts, before }),
    ]
}

/// A storage, and the files that it consists of.
struct Stored {
    storage: Arc<dyn Storage>,
    /// Each with the addresses of the storage that it holds, and how many bytes come before them.
    files: Vec<(File, Range<usize>, usize)>,
}

fn file_of(bytes: &[u8]) -> (Arc<LocalFile>, File) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let local = LocalFile::new(File::open(file.path()).unwrap()).unwrap();
    (Arc::new(local), file.into_file())
}

/// A section of a file that has other bytes before and after it.
fn section(bytes: &[u8], before: usize) -> (Section, File) {
    let around = [&vec![OUTSIDE; before], bytes, &[OUTSIDE; 9]].concat();
    let (local, file) = file_of(&around);
    (Section::new(local, before as u64, bytes.len() as u64).unwrap(), file)
}

fn joined(
    bytes: &[u8],
    cuts: &[Index],
    before: usize,
) -> (Joined, Vec<(File, Range<usize>, usize)>) {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    let mut files = Vec::new();
    let parts: Vec<Section> = places
        .windows(2)
        .map(|ends| {
            let (part, file) = section(&bytes[ends[0]..ends[1]], before);
            files.push((file, ends[0]..ends[1], before));
            part
        })
        .collect();
    (Joined::new(parts).unwrap(), files)
}

fn stored(kind: &Kind, size: usize) -> Stored {
    let bytes: Vec<u8> = (0..size as u64).map(byte_at).collect();
    match kind {
        Kind::File => {
            let (local, file) = file_of(&bytes);
            Stored { storage: local, files: vec![(file, 0..size, 0)] }
        }
        Kind::Section { before } => {
            let (section, file) = section(&bytes, *before);
            Stored { storage: Arc::new(section), files: vec![(file, 0..size, *before)] }
        }
        Kind::Joined { cuts, before } => {
            let (joined, files) = joined(&bytes, cuts, *before);
            Stored { storage: Arc::new(joined), files }
        }
        Kind::SectionOfJoined { cuts, before } => {
            let around = [&vec![OUTSIDE; *before], &bytes[..], &[OUTSIDE; 3]].concat();
            let (joined, files) = joined(&around, cuts, 5);
            let section = Section::new(Arc::new(joined), *before as u64, size as u64).unwrap();
            let inside = |at: usize| at.saturating_sub(*before).min(size);
            let files = files.into_iter().map(|(file, held, ahead)| {
                let skipped = before.saturating_sub(held.start);
                (file, inside(held.start)..inside(held.end), ahead + skipped)
            });
            Stored { storage: Arc::new(section), files: files.collect() }
        }
    }
}

impl Stored {
    /// Cuts one of the files off within its bytes. Returns the addresses that are gone.
    fn cut_off(&self, which: Index, at: Index) -> Option<Range<usize>> {
        let files: Vec<_> = self.files.iter().filter(|(_, held, _)| !held.is_empty()).collect();
        let (file, held, before) = files.get(which.index(files.len().max(1)))?;
        let kept = at.index(held.len());
        file.set_len((before + kept) as u64).unwrap();
        Some(held.start + kept..held.end)
    }
}

/// Bytes of items, and of what comes before them in a storage.
const ITEMSIZES: [u64; 5] = [0, 1, 2, 3, 8];
const DATA_OFFSET: u64 = 7;

prop_compose! {
    fn some_view()(
        shape in prop::collection::vec(0u64..5, 0..5),
        itemsize in prop::sample::select(&ITEMSIZES[..]),
        fortran: bool,
        picks in prop::collection::vec((0u64..5, -3i64..4, 0u64..5), 0..5),
        transpose: bool,
    ) -> View {
        let header = Header {
            version: (1, 0),
            dtype: Arc::new(DType::Scalar(format!("|V{itemsize}").parse().unwrap())),
            order: if fortran { Order::Fortran } else { Order::C },
            shape,
            data_offset: DATA_OFFSET,
        };
        let mut view = View::of_header(&header).unwrap();
        for (axis, (start, step, len)) in picks.into_iter().enumerate() {
            view = view.steps(axis, Steps { start, step, len }).unwrap_or(view);
        }
        if transpose { view.transposed() } else { view }
    }
}

/// A part of a layout.
#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Elements(View, bool),
    Fill(u8, u64),
    /// With so many more along each axis.
    Padded(View, bool, Vec<u64>, u8),
}

fn some_part() -> impl Strategy<Value = Part> {
    let more = prop::collection::vec(0u64..3, 4);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Part::Bytes),
        (some_view(), any::<bool>()).prop_map(|(view, fortran)| Part::Elements(view, fortran)),
        (any::<u8>(), 0u64..20).prop_map(|(byte, len)| Part::Fill(byte, len)),
        (some_view(), any::<bool>(), more, any::<u8>()).prop_map(|(view, fortran, more, byte)| {
            let more = more.into_iter().take(view.ndim()).collect();
            Part::Padded(view, fortran, more, byte)
        }),
    ]
}

fn order(fortran: bool) -> Order {
    if fortran { Order::Fortran } else { Order::C }
}

/// A byte of a virtual file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Byte {
    Known(u8),
    /// The storage's at this address.
    At(u64),
}

impl Part {
    fn segment(&self) -> Segment {
        match self {
            Part::Bytes(bytes) => Segment::bytes(bytes.clone()),
            Part::Elements(view, fortran) => Segment::elements(view, order(*fortran)),
            Part::Fill(byte, len) => Segment::Fill { byte: *byte, len: *len },
            Part::Padded(view, fortran, _, byte) => {
                Segment::padded(view, order(*fortran), &self.shape(), *byte).unwrap()
            }
        }
    }

    /// The shape of the array that is in it.
    fn shape(&self) -> Vec<u64> {
        match self {
            Part::Padded(view, _, more, _) => {
                view.shape().iter().zip(more).map(|(len, more)| len + more).collect()
            }
            Part::Elements(view, _) => view.shape().to_vec(),
            _ => vec![],
        }
    }

    fn model(&self) -> Vec<Byte> {
        let (view, fortran, byte) = match self {
            Part::Bytes(bytes) => return bytes.iter().copied().map(Byte::Known).collect(),
            Part::Fill(byte, len) => return vec![Byte::Known(*byte); *len as usize],
            Part::Elements(view, fortran) => (view, fortran, 0),
            Part::Padded(view, fortran, _, byte) => (view, fortran, *byte),
        };
        let mut bytes = Vec::new();
        for index in indices(&self.shape(), order(*fortran)) {
            let is_element = index.iter().zip(view.shape()).all(|(i, len)| i < len);
            let steps = index.iter().zip(view.strides());
            let distance: i64 = steps.map(|(&i, stride)| i as i64 * stride).sum();
            for within in 0..view.dtype().itemsize() {
                bytes.push(match is_element {
                    true => Byte::At((view.offset() as i64 + distance) as u64 + within),
                    false => Byte::Known(byte),
                });
            }
        }
        bytes
    }

    fn needs(&self) -> u64 {
        match self {
            Part::Elements(view, _) | Part::Padded(view, ..) => view.data().end,
            _ => 0,
        }
    }
}

fn layout_of(parts: &[Part]) -> (Layout, Vec<Byte>, usize) {
    let layout = Layout::new(parts.iter().map(Part::segment)).unwrap();
    let model = parts.iter().flat_map(Part::model).collect();
    let needs = parts.iter().map(Part::needs).max().unwrap_or(0) as usize;
    (layout, model, needs)
}

fn some_reads() -> impl Strategy<Value = Vec<(Index, usize)>> {
    prop::collection::vec((any::<Index>(), 0usize..400), 8)
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn any_part_of_any_layout_over_any_storage_is_what_nested_loops_make(
        parts in prop::collection::vec(some_part(), 0..4),
        kind in some_kind(),
        reads in some_reads(),
        beyond in 0usize..3,
    ) {
        let (layout, model, needs) = layout_of(&parts);
        prop_assert_eq!(layout.len(), model.len() as u64);
        let storage = stored(&kind, needs + beyond).storage;
        prop_assert_eq!(storage.size().unwrap(), (needs + beyond) as u64);
        let model: Vec<u8> = model.into_iter().map(|byte| match byte {
            Byte::Known(byte) => byte,
            Byte::At(at) => byte_at(at),
        }).collect();
        let whole = layout.read_at(&*storage, 0, model.len() + 9, <[u8]>::to_vec).unwrap();
        prop_assert_eq!(&whole, &model);
        for (at, len) in reads {
            let at = at.index(model.len() + 3);
            let wanted = &model[at.min(model.len())..(at + len).min(model.len())];
            let read = layout.read_at(&*storage, at as u64, len, <[u8]>::to_vec).unwrap();
            prop_assert_eq!(read, wanted, "{} bytes at {}", len, at);
        }
        if let Some(now) = layout.read_now(&*storage, <[u8]>::to_vec) {
            prop_assert_eq!(now, model);
        }
    }

    /// What is gone is an error that says how many bytes are there; nothing is made up for it.
    #[test]
    fn a_storage_that_is_too_short_is_an_error_wherever_bytes_of_it_are_missing(
        parts in prop::collection::vec(some_part(), 1..4),
        kind in some_kind(),
        reads in some_reads(),
        (which, at) in any::<(Index, Index)>(),
    ) {
        let (layout, model, needs) = layout_of(&parts);
        let stored = stored(&kind, needs);
        let Some(gone) = stored.cut_off(which, at) else { return Ok(()) };
        prop_assert_eq!(stored.storage.size().unwrap(), gone.start as u64);
        let reads = reads.into_iter().map(|(at, len)| (at.index(model.len() + 1), len));
        for (at, len) in reads.chain([(0, model.len())]) {
            let wanted = &model[at..(at + len).min(model.len())];
            let is_gone = |byte: &Byte| {
                matches!(byte, Byte::At(address) if gone.contains(&(*address as usize)))
            };
            match layout.read_at(&*stored.storage, at as u64, len, <[u8]>::to_vec) {
                Ok(read) => {
                    prop_assert!(!wanted.iter().any(is_gone), "{} bytes at {}", len, at);
                    let wanted: Vec<u8> = wanted.iter().map(|byte| match *byte {
                        Byte::Known(byte) => byte,
                        Byte::At(at) => byte_at(at),
                    }).collect();
                    prop_assert_eq!(read, wanted);
                }
                Err(ReadError::Short { has }) => {
                    prop_assert_eq!(has, gone.start as u64);
                    prop_assert!(wanted.iter().any(|byte| matches!(byte, Byte::At(_))));
                }
                Err(ReadError::Io(err)) => panic!("{err}"),
            }
        }
        if layout.read_now(&*stored.storage, |_| ()).is_some() {
            let is_gone = |byte: &Byte| matches!(byte, Byte::At(at) if gone.contains(&(*at as usize)));
            prop_assert!(!model.iter().any(is_gone));
        }
    }

    #[test]
    fn a_write_changes_exactly_the_bytes_that_it_stands_for(
        parts in prop::collection::vec(some_part(), 0..4),
        writes in prop::collection::vec((any::<Index>(), 0usize..60, 0..4), 6),
        clears in prop::collection::vec((any::<Index>(), 0usize..60), 2),
    ) {
        let (layout, model, needs) = layout_of(&parts);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut expected: Vec<u8> = (0..needs as u64 + 5).map(byte_at).collect();
        file.write_all(&expected).unwrap();
        let writer = Writer::new(File::options().read(true).write(true).open(file.path()).unwrap());
        let now = || std::fs::read(file.path()).unwrap();
        let is_fill = |at: usize| {
            let mut end = 0;
            let part = parts.iter().find(|part| {
                end += part.model().len();
                at < end
            });
            matches!(part, Some(Part::Fill(..) | Part::Padded(..)))
        };
        for (salt, (at, len, wrong)) in (1u8..).zip(writes) {
            let at = at.index(model.len() + 1);
            let mut bytes: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(31) ^ salt).collect();
            let covered = &model[at..(at + len).min(model.len())];
            for (byte, own) in bytes.iter_mut().zip(covered) {
                // As it is, but one time in four.
                if let Byte::Known(own) = own {
                    *byte = if wrong == 0 { !own } else { *own };
                }
            }
            let has_known = covered.iter().any(|byte| matches!(byte, Byte::Known(_)));
            let written = layout.write_at(&writer, at as u64, &bytes);
            if at + len > model.len() && len > 0 {
                prop_assert!(matches!(written, Err(WriteError::TooFar)));
            } else if (at..at + len).any(is_fill) {
                prop_assert!(matches!(written, Err(WriteError::Padded | WriteError::Header)));
            } else if has_known && wrong == 0 {
                prop_assert!(matches!(written, Err(WriteError::Header)));
            } else {
                prop_assert!(written.is_ok(), "{:?}", written);
                for (byte, own) in bytes.iter().zip(covered) {
                    if let Byte::At(address) = own {
                        expected[*address as usize] = *byte;
                    }
                }
            }
            prop_assert!(now() == expected, "{} bytes at {}: {:?}", len, at, written);
        }
        for (at, len) in clears {
            let at = at.index(model.len() + 1);
            layout.clear(&writer, at as u64..(at + len) as u64).unwrap();
            for (place, byte) in model.iter().enumerate().skip(at).take(len) {
                if let (Byte::At(address), false) = (byte, is_fill(place)) {
                    expected[*address as usize] = 0;
                }
            }
            prop_assert!(now() == expected, "{} zeros at {}", len, at);
        }
    }

    /// Two layouts that are said to be apart have no byte of the storage in common.
    #[test]
    fn layouts_that_are_said_to_be_apart_have_no_byte_in_common(
        one in prop::collection::vec(some_part(), 0..3),
        other in prop::collection::vec(some_part(), 0..3),
    ) {
        let [(one, bytes, _), (other, others, _)] = [layout_of(&one), layout_of(&other)];
        let common = bytes.iter().any(|byte| matches!(byte, Byte::At(_)) && others.contains(byte));
        prop_assert!(!common || one.may_overlap(&other));
    }
}

#[test]
fn a_chunk_at_the_edge_of_an_array_is_padded_along_each_axis() {
    let dtype = Arc::new(DType::Scalar("|u1".parse().unwrap()));
    let header =
        Header { version: (1, 0), dtype, order: Order::C, shape: vec![2, 3], data_offset: 0 };
    let view = View::of_header(&header).unwrap();
    let (local, _) = file_of(b"abcdef");
    let chunk = |order, shape: &[u64]| {
        let layout = Layout::new([Segment::padded(&view, order, shape, b'.')?]).unwrap();
        let bytes = layout.read_at(&*local, 0, 99, <[u8]>::to_vec).unwrap();
        Some(String::from_utf8(bytes).unwrap())
    };
    assert_eq!(chunk(Order::C, &[3, 4]).unwrap(), "abc.def.....");
    assert_eq!(chunk(Order::Fortran, &[3, 4]).unwrap(), "ad.be.cf....");
    assert_eq!(chunk(Order::C, &[2, 3]).unwrap(), "abcdef");
    assert_eq!(chunk(Order::C, &[4, 3]).unwrap(), "abcdef......");
    for impossible in [&[3][..], &[1, 3], &[2, 2], &[2, 3, 1], &[1 << 62, 4], &[u64::MAX, u64::MAX]]
    {
        assert_eq!(chunk(Order::C, impossible), None, "{impossible:?}");
    }
}

#[test]
fn storages_that_no_numbers_can_address_are_refused() {
    let (local, _) = file_of(b"abc");
    assert!(Section::new(local.clone(), u64::MAX, 1).is_none());
    assert!(Section::new(local.clone(), 1 << 63, 0).is_none());
    let large = Section::new(local, 0, i64::MAX as u64).unwrap();
    assert_eq!(large.size().unwrap(), 3);
    assert!(Joined::new([large.clone()]).is_some());
    assert!(Joined::new([large.clone(), large]).is_none());
    assert_eq!(Joined::new([]).unwrap().size().unwrap(), 0);
}

/// However a file changes, no address of what is joined moves, and nothing behind a section shows.
#[test]
fn addresses_stay_as_they_are_when_a_file_shrinks_or_grows() {
    let (first, first_file) = section(b"abc", 2);
    let (second, _) = section(b"def", 0);
    let joined = Joined::new([first, second]).unwrap();
    let read = |at, len| {
        let mut out = vec![0; len];
        joined.read_at(at, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    assert_eq!(read(0, 6).unwrap(), "abcdef");
    assert!(matches!(read(5, 2), Err(ReadError::Short { has: 6 })));
    first_file.set_len(4).unwrap();
    assert!(matches!(read(1, 3), Err(ReadError::Short { has: 2 })));
    assert_eq!(read(3, 3).unwrap(), "def");
    first_file.set_len(1 << 20).unwrap();
    assert_eq!(read(2, 4).unwrap(), "\0def");
}
