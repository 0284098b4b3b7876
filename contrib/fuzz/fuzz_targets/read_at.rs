//! Any array in a file, any selections of it, any part of the result: the bytes are those that a
//! naive reading finds, which lists where each item is and knows nothing of strides.

#![no_main]

use std::io::Write;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use npyfs::encoding::FileEncoding;
use npyfs::npy::dtype::{DType, Field, MAX_NDIM};
use npyfs::npy::header::{Header, Order};
use npyfs::storage::LocalFile;
use npyfs::view::{Component, Steps, View};
use npyfs_fuzz::{assert_bounds, dtype, read_header};

const DESCRS: [&str; 8] = [
    "'|u1'",
    "'>i2'",
    "'|S3'",
    "'<f8'",
    "'<c8'",
    "'|V0'",
    "[('r', '<f4'), ('', '|V3'), ('a', ('>c16', (2,))), ('n', [('x', '|i1'), ('y', '|S7', (2, 2))])]",
    "[('z', '|S0'), ('t', [('u', '<u2', (3,)), ('v', '|b1')], (2,))]",
];

const FILE_SIZE: usize = 1 << 16;

/// Items beyond which an array takes too long to be listed.
const MAX_ITEMS: u64 = 1500;

/// A file whose bytes differ from those around them, mapped, and what it holds.
fn file() -> &'static (LocalFile, Vec<u8>) {
    static FILE: OnceLock<(LocalFile, Vec<u8>)> = OnceLock::new();
    FILE.get_or_init(|| {
        let content: Vec<u8> =
            (0..FILE_SIZE as u32).map(|i| (i.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&content).expect("room for it");
        (LocalFile::new(file).expect("a map"), content)
    })
}

/// An array as the place of each of its items in the file, in C order.
struct Model {
    shape: Vec<u64>,
    places: Vec<u64>,
}

/// Every index of a shape, in C order.
fn indices(shape: &[u64]) -> Vec<Vec<u64>> {
    shape.iter().fold(vec![vec![]], |all, &len| {
        all.iter().flat_map(|head| (0..len).map(|i| [&head[..], &[i]].concat())).collect()
    })
}

fn flat(index: &[u64], shape: &[u64]) -> usize {
    index.iter().zip(shape).fold(0, |flat, (&i, &len)| flat * len as usize + i as usize)
}

impl Model {
    fn of_header(header: &Header) -> Model {
        let item = |number: usize| header.data_offset + number as u64 * header.dtype.itemsize();
        let reversed = |list: &[u64]| list.iter().rev().copied().collect::<Vec<_>>();
        let places = indices(&header.shape).into_iter().map(|index| match header.order {
            Order::C => item(flat(&index, &header.shape)),
            Order::Fortran => item(flat(&reversed(&index), &reversed(&header.shape))),
        });
        Model { shape: header.shape.clone(), places: places.collect() }
    }

    /// The array of the given shape whose item at an index is that of `self` at `source(index)`.
    fn rearranged(&self, shape: Vec<u64>, source: impl Fn(&mut Vec<u64>)) -> Model {
        let place = |mut index: Vec<u64>| {
            source(&mut index);
            self.places[flat(&index, &self.shape)]
        };
        let places = indices(&shape).into_iter().map(place).collect();
        Model { shape, places }
    }

    /// One field of every item; the axes of a sub-array come last.
    fn field(&self, field: &Field) -> Model {
        let mut base = field.dtype.clone();
        let mut model = self.moved(field.offset);
        while let DType::SubArray(sub) = &*base.clone() {
            let count: u64 = sub.shape().iter().product();
            base = sub.base().clone();
            let each = |&place: &u64| (0..count).map(move |i| (place, i));
            let places = model.places.iter().flat_map(each);
            model.places = places.map(|(place, i)| place + i * base.itemsize()).collect();
            model.shape.extend(sub.shape());
        }
        model
    }

    fn moved(&self, bytes: u64) -> Model {
        let places = self.places.iter().map(|place| place + bytes).collect();
        Model { shape: self.shape.clone(), places }
    }

    fn transposed(&self) -> Model {
        self.rearranged(self.shape.iter().rev().copied().collect(), |index| index.reverse())
    }

    fn bytes(&self, order: Order, itemsize: u64, content: &[u8]) -> Vec<u8> {
        let item = |&place: &u64| &content[place as usize..(place + itemsize) as usize];
        match order {
            Order::C => self.places.iter().flat_map(item).copied().collect(),
            Order::Fortran => self.transposed().bytes(Order::C, itemsize, content),
        }
    }
}

fn some_header(u: &mut Unstructured<'_>) -> Result<Header> {
    let dtype = Arc::new(dtype(u.choose(&DESCRS)?));
    let order = if u.arbitrary()? { Order::Fortran } else { Order::C };
    let data_offset = u.int_in_range(0..=300)?;
    let room = (FILE_SIZE as u64 - data_offset).checked_div(dtype.itemsize()).unwrap_or(MAX_ITEMS);
    let mut left = room.min(MAX_ITEMS);
    let mut shape = Vec::new();
    for _ in 0..u.int_in_range(0..=6)? {
        let longest = if u.ratio(1, 4)? { left } else { left.min(5) };
        let len = u.int_in_range(0..=longest)?;
        left /= len.max(1);
        shape.push(len);
    }
    Ok(Header { version: (1, 0), dtype, order, shape, data_offset })
}

/// A selection of the array and of its model, if the one that the input asks for exists.
fn some_selection(
    u: &mut Unstructured<'_>,
    view: &View,
    model: &Model,
) -> Result<Option<(View, Model)>> {
    let kind = u.int_in_range(0..=5)?;
    let axis = u.choose_index(view.ndim().max(1))?;
    let len = view.shape().get(axis).copied();
    Ok(match (kind, len) {
        (0, Some(1..)) => {
            let i = u.int_in_range(0..=len.unwrap_or(1) - 1)?;
            let mut shape = model.shape.clone();
            shape.remove(axis);
            let picked = model.rearranged(shape, |index| index.insert(axis, i));
            Some((view.index(axis, i).expect("an index inside"), picked))
        }
        (1 | 2, Some(len)) => {
            let steps = Steps {
                start: u.int_in_range(0..=len)?,
                step: u.int_in_range(-4..=4)?,
                len: u.int_in_range(0..=len)?,
            };
            let at = |i: u64| i128::from(steps.start) + i128::from(i) * i128::from(steps.step);
            let inside = (0..steps.len).all(|i| (0..i128::from(len)).contains(&at(i)));
            let selected = view.steps(axis, steps);
            assert_eq!(selected.is_some(), inside, "{steps:?} of {len}");
            let mut shape = model.shape.clone();
            shape[axis] = steps.len;
            selected.map(|view| (view, model.rearranged(shape, |i| i[axis] = at(i[axis]) as u64)))
        }
        (3, _) if view.ndim() < MAX_NDIM => {
            let axis = u.int_in_range(0..=view.ndim())?;
            let mut shape = model.shape.clone();
            shape.insert(axis, 1);
            let places = model.places.clone();
            Some((view.insert_axis(axis).expect("room for an axis"), Model { shape, places }))
        }
        (4, _) => Some((view.transposed(), model.transposed())),
        _ => match &**view.dtype() {
            DType::Record(record) => {
                let field = u.choose(record.fields())?;
                view.field(field).map(|view| (view, model.field(field)))
            }
            DType::Scalar(scalar) => match scalar.component() {
                Some(_) if u.arbitrary()? => {
                    view.component(Component::Real).zip(Some(model.moved(0)))
                }
                Some(part) => {
                    view.component(Component::Imag).zip(Some(model.moved(part.itemsize())))
                }
                None => None,
            },
            DType::SubArray(_) => unreachable!("no view has items that are arrays"),
        },
    })
}

/// What the view is as a file, by the model.
fn expected(
    encoding: FileEncoding,
    view: &View,
    model: &Model,
    served: &[u8],
    all: &[u8],
) -> Vec<u8> {
    let itemsize = view.dtype().itemsize();
    match encoding {
        FileEncoding::Raw => model.bytes(Order::C, itemsize, all),
        FileEncoding::Npy => {
            let header = read_header(served, served.len() as u64).expect("a header");
            assert_eq!((&header.dtype, &header.shape), (view.dtype(), &model.shape));
            let head = &served[..header.data_offset as usize];
            [head, &model.bytes(header.order, itemsize, all)].concat()
        }
    }
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let (storage, content) = file();
    let header = some_header(u)?;
    let mut view = View::of_header(&header).expect("it fits the file");
    let mut model = Model::of_header(&header);
    for _ in 0..u.int_in_range(0..=6)? {
        if let Some(selected) = some_selection(u, &view, &model)? {
            (view, model) = selected;
            assert_bounds(&view);
            assert_eq!(view.shape(), model.shape);
        }
    }
    for encoding in [FileEncoding::Npy, FileEncoding::Raw] {
        let layout = encoding.layout(&view);
        let read = |at, len| layout.read_at(storage, at, len, <[u8]>::to_vec).expect("it is there");
        let whole = read(0, layout.len() as usize + 1);
        assert_eq!(whole.len() as u64, layout.len());
        assert_eq!(whole, expected(encoding, &view, &model, &whole, content), "{view:?}");
        for _ in 0..4 {
            let at =
                if u.ratio(1, 16)? { u.arbitrary()? } else { u.int_in_range(0..=layout.len())? };
            let len = u.int_in_range(0..=layout.len() as usize + 9)?;
            let from = at.min(layout.len()) as usize;
            let to = (from + len).min(whole.len());
            assert_eq!(read(at, len), whole[from..to], "{len} bytes at {at} of {view:?}");
        }
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is too short to say what it wants ends early.
    let _ = check(&mut Unstructured::new(input));
});
