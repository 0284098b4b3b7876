//! The tree against a naive model: arrays as lists of items, each the list of where in the file its
//! bytes are, and selections as loops over them.

mod common;

use common::dtype;
use common::model::{cases, indices};
use npyfs::caller::Caller;
use npyfs::npy::header::{self, Header, Order};
use npyfs::source::{self, Source, Which};
use npyfs::tree::{Node, Options, Tree};
use proptest::prelude::*;

/// An array with its items in C order, each as the positions of its bytes in the file.
#[derive(Clone, Debug)]
struct Model {
    shape: Vec<usize>,
    items: Vec<Vec<usize>>,
    dtype: &'static str,
}

/// Name in a path, byte offset, dtype.
type Field = (&'static str, usize, &'static str);

/// dtypes with the fields that each has.
const DTYPES: [(&str, &[Field]); 6] = [
    ("'|u1'", &[]),
    ("'>i2'", &[]),
    ("'|S3'", &[]),
    ("'<f8'", &[]),
    ("'<c8'", &[("real", 0, "'<f4'"), ("imag", 4, "'<f4'")]),
    (
        "[('r', '<f4'), ('', '|V3'), ('a.b', '>c16'), ('n', [('x', '|i1'), ('y', '|S17')])]",
        &[("r", 0, "'<f4'"), ("a%2Eb", 7, "'>c16'"), ("n", 23, "[('x', '|i1'), ('y', '|S17')]")],
    ),
];

impl Model {
    fn item(&self, index: &[usize]) -> &Vec<usize> {
        let flat = index.iter().zip(&self.shape).fold(0, |flat, (i, len)| flat * len + i);
        &self.items[flat]
    }

    /// The array of the given shape whose item at an index is that of `self` at `source(index)`.
    fn rearranged(&self, shape: Vec<usize>, source: impl Fn(&[usize]) -> Vec<usize>) -> Model {
        let items = indices(&shape, Order::C)
            .iter()
            .map(|index| self.item(&source(index)).clone())
            .collect();
        Model { shape, items, dtype: self.dtype }
    }

    fn taken(&self, axis: usize, positions: &[usize]) -> Model {
        let mut shape = self.shape.clone();
        shape[axis] = positions.len();
        self.rearranged(shape, |index| {
            let mut index = index.to_vec();
            index[axis] = positions[index[axis]];
            index
        })
    }

    fn dropped(&self, axis: usize, position: usize) -> Model {
        let mut shape = self.shape.clone();
        shape.remove(axis);
        self.rearranged(shape, |index| {
            let mut index = index.to_vec();
            index.insert(axis, position);
            index
        })
    }

    fn transposed(&self) -> Model {
        let shape = self.shape.iter().rev().copied().collect();
        self.rearranged(shape, |index| index.iter().rev().copied().collect())
    }

    fn field(&self, offset: usize, dtype_of_field: &'static str) -> Model {
        let len = dtype(dtype_of_field).itemsize() as usize;
        let items = self.items.iter().map(|item| item[offset..offset + len].to_vec()).collect();
        Model { shape: self.shape.clone(), items, dtype: dtype_of_field }
    }

    /// The whole array in a file, from `offset` on.
    fn whole(dtype_of_items: &'static str, shape: &[usize], order: Order, offset: usize) -> Model {
        let len = dtype(dtype_of_items).itemsize() as usize;
        let items = |shape: &[usize]| -> Model {
            let items = (0..indices(shape, Order::C).len())
                .map(|i| (offset + i * len..offset + (i + 1) * len).collect())
                .collect();
            Model { shape: shape.to_vec(), items, dtype: dtype_of_items }
        };
        match order {
            Order::C => items(shape),
            Order::Fortran => items(&shape.iter().rev().copied().collect::<Vec<_>>()).transposed(),
        }
    }

    /// Where the bytes of all items are, in an order of the items.
    fn positions(&self, order: Order) -> Vec<usize> {
        match order {
            Order::C => self.items.concat(),
            Order::Fortran => self.transposed().items.concat(),
        }
    }

    /// The bytes of all items.
    fn bytes(&self, order: Order, file: &[u8]) -> Vec<u8> {
        self.positions(order).into_iter().map(|at| file[at]).collect()
    }

    fn shape_in_header(&self) -> Vec<u64> {
        self.shape.iter().map(|&len| len as u64).collect()
    }
}

/// Numbers from which a step of a path is made, whatever the array turns out to be there.
type Choice = (u8, u16, u16, u16);

/// Makes a step: its path, and what it selects. `None` where the kind does not apply.
fn step(model: &Model, (kind, a, b, c): Choice) -> Option<(String, Model)> {
    let (a, b, c) = (usize::from(a), usize::from(b), usize::from(c));
    let ndim = model.shape.len();
    let axis = || Some(a % ndim.max(1)).filter(|_| ndim > 0);
    let rows = model.shape.first().copied();
    match kind % 9 {
        0 => {
            let axis = axis()?;
            let len = model.shape[axis];
            let i = b.checked_rem(len)?;
            Some((format!("axis{axis}/{i}"), model.dropped(axis, i)))
        }
        1 => {
            let axis = axis()?;
            let start = b % (model.shape[axis] + 1);
            let stop = start + c % (model.shape[axis] - start + 1);
            let positions: Vec<usize> = (start..stop).collect();
            let name = ["rows", "cols"]
                .get(axis)
                .map_or(format!("axis-{}", ndim - axis), |n| n.to_string());
            Some((format!("{name}/{start}-{stop}"), model.taken(axis, &positions)))
        }
        2 => {
            let axis = axis()?;
            let step = b % 4 + 1;
            let backwards = c % 2 == 1;
            let mut positions: Vec<usize> = (0..model.shape[axis]).collect();
            if backwards {
                positions.reverse();
            }
            let positions: Vec<usize> = positions.into_iter().step_by(step).collect();
            let sign = if backwards { "-" } else { "" };
            let path = format!("slice/{}::{sign}{step}", ":,".repeat(axis));
            Some((path, model.taken(axis, &positions)))
        }
        3 => {
            let n = b % 6 + 1;
            let i = c % n;
            let (each, more) = (rows? / n, rows? % n);
            // As the documentation of numpy.array_split has it: `more` parts of one row more.
            let sizes: Vec<usize> = (0..n).map(|part| each + usize::from(part < more)).collect();
            let start: usize = sizes[..i].iter().sum();
            let positions: Vec<usize> = (start..start + sizes[i]).collect();
            Some((format!("parts/{n}/{i}"), model.taken(0, &positions)))
        }
        4 => {
            let size = rows.filter(|&rows| rows > 0).map(|rows| b % rows + 1)?;
            let step = c % 3 + 1;
            let starts: Vec<usize> = (0..=rows? - size).step_by(step).collect();
            let k = a % starts.len();
            let positions: Vec<usize> = (starts[k]..starts[k] + size).collect();
            Some((format!("windows/{size},{step}/{k}"), model.taken(0, &positions)))
        }
        5 => {
            let (_, fields) = DTYPES.iter().find(|(descr, _)| *descr == model.dtype)?;
            let (name, offset, dtype) = fields.get(b.checked_rem(fields.len())?)?;
            Some((format!("fields/{name}"), model.field(*offset, dtype)))
        }
        6 => {
            let mut shape = model.shape.clone();
            shape.push(1);
            Some(("slice/...,None".to_owned(), Model { shape, ..model.clone() }))
        }
        7 => {
            axis().filter(|_| !model.shape.contains(&0))?;
            let (mut lengths, mut place, mut chunk) = (Vec::new(), Vec::new(), model.clone());
            for (axis, len) in model.shape.iter().enumerate() {
                // Of another length on each axis, which may be more than the array's.
                let length = b.rotate_left(axis as u32) % (len + 1) + 1;
                let starts: Vec<usize> = (0..*len).step_by(length).collect();
                let i = c.rotate_left(axis as u32) % starts.len();
                let positions: Vec<usize> = (starts[i]..*len).take(length).collect();
                chunk = chunk.taken(axis, &positions);
                lengths.push(length.to_string());
                place.push(i.to_string());
            }
            Some((format!("chunks/{}/{}", lengths.join(","), place.join(",")), chunk))
        }
        _ => Some(("T".to_owned(), model.transposed())),
    }
}

/// Bytes of which neighbours differ.
fn some_bytes(len: usize, salt: u8) -> Vec<u8> {
    let mut next = salt;
    std::iter::repeat_with(|| {
        next = next.wrapping_mul(5).wrapping_add(1);
        next
    })
    .take(len)
    .collect()
}

/// A source with one array in it.
struct World {
    directory: tempfile::TempDir,
    model: Model,
    file: Vec<u8>,
    tree: Tree,
}

impl World {
    fn new(dtype_of_items: &'static str, shape: &[usize], order: Order, salt: u8) -> World {
        let descr = dtype(dtype_of_items);
        let lengths: Vec<u64> = shape.iter().map(|&len| len as u64).collect();
        let mut file = header::write(&descr, &lengths, order);
        let model = Model::whole(dtype_of_items, shape, order, file.len());
        file.extend(some_bytes(model.items.len() * descr.itemsize() as usize, salt));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.npy"), &file).unwrap();
        let source = Source::open(directory.path(), source::Options::default()).unwrap();
        let tree = Tree::new(source, Options { writable: true, ..Options::default() });
        World { directory, model, file, tree }
    }

    /// The path of a chain of selections, and what it selects.
    fn chain(&self, choices: &[Choice]) -> (String, Model) {
        let start = ("a".to_owned(), self.model.clone());
        choices.iter().fold(start, |(path, model), &choice| match step(&model, choice) {
            Some((name, selected)) => (format!("{path}/{name}"), selected),
            None => (path, model),
        })
    }

    fn on_disk(&self) -> Vec<u8> {
        std::fs::read(self.directory.path().join("a.npy")).unwrap()
    }
}

fn find(tree: &Tree, path: &str) -> Node {
    path.split('/').fold(tree.root().unwrap(), |node, name| {
        let found = tree.lookup(&node, name.as_ref());
        found.unwrap_or_else(|err| panic!("{path}: {name}: {err}")).0
    })
}

/// Reads like the kernel does: any position, any length, and never fewer bytes than there are.
fn read(tree: &Tree, path: &str, ranges: &[(u64, usize)]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let node = find(tree, path);
    let content = tree.open(&node, ROOT, Which::AtPath).unwrap();
    let size = tree.attr(&node).unwrap().size;
    let whole = content.read_at(0, size as usize + 100, <[u8]>::to_vec).unwrap();
    assert_eq!(whole.len() as u64, size, "{path}: st_size");
    let parts = ranges
        .iter()
        .map(|&(at, len)| content.read_at(at % (size + 10), len, <[u8]>::to_vec).unwrap())
        .collect();
    (whole, parts)
}

fn check_parts(path: &str, whole: &[u8], ranges: &[(u64, usize)], parts: &[Vec<u8>]) {
    for (&(at, len), part) in ranges.iter().zip(parts) {
        let at = at as usize % (whole.len() + 10);
        let from = at.min(whole.len());
        let to = (at + len).min(whole.len());
        assert_eq!(part, &whole[from..to], "{path}: {len} bytes at {at}");
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_chain_of_selections_reads_as_the_model_says(
        shape in prop::collection::vec(0usize..6, 0..5),
        which in 0..DTYPES.len(),
        fortran: bool,
        choices in prop::collection::vec(any::<Choice>(), 0..5),
        ranges in prop::collection::vec((0u64..4000, 0usize..500), 6),
        salt: u8,
    ) {
        let order = if fortran { Order::Fortran } else { Order::C };
        let world = World::new(DTYPES[which].0, &shape, order, salt);
        let (path, model) = world.chain(&choices);

        let raw_path = format!("{path}.raw");
        let (raw, parts) = read(&world.tree, &raw_path, &ranges);
        prop_assert_eq!(&raw, &model.bytes(Order::C, &world.file), "{}", raw_path);
        check_parts(&raw_path, &raw, &ranges, &parts);

        let npy_path = format!("{path}.npy");
        let (npy, parts) = read(&world.tree, &npy_path, &ranges);
        check_parts(&npy_path, &npy, &ranges, &parts);
        let header = Header::read(npy.len() as u64, |at, buf| {
            buf.copy_from_slice(&npy[at as usize..at as usize + buf.len()]);
            Ok(())
        }).unwrap();
        prop_assert_eq!(&header.shape, &model.shape_in_header(), "{}", npy_path);
        prop_assert_eq!(&*header.dtype, &dtype(model.dtype), "{}", npy_path);
        let data = &npy[header.data_offset as usize..];
        prop_assert_eq!(data, &model.bytes(header.order, &world.file)[..]);
    }

    #[test]
    fn every_write_changes_the_bytes_that_the_model_says_and_no_other(
        shape in prop::collection::vec(0usize..6, 0..5),
        which in 0..DTYPES.len(),
        fortran: bool,
        chains in prop::collection::vec(prop::collection::vec(any::<Choice>(), 0..4), 1..5),
        writes in prop::collection::vec(any::<WriteChoice>(), 1..8),
        salt: u8,
    ) {
        let order = if fortran { Order::Fortran } else { Order::C };
        let mut world = World::new(DTYPES[which].0, &shape, order, salt);
        let chains: Vec<_> = chains.iter().map(|choices| world.chain(choices)).collect();
        for (number, choice) in writes.into_iter().enumerate() {
            let (path, model) = &chains[number % chains.len()];
            write(&mut world, path, model, choice);
            prop_assert_eq!(world.on_disk(), &world.file[..], "{:?} to {}", choice, path);
            // Another path sees it.
            let (path, model) = &chains[(number + 1) % chains.len()];
            let (raw, _) = read(&world.tree, &format!("{path}.raw"), &[]);
            prop_assert_eq!(&raw, &model.bytes(Order::C, &world.file), "{} after {:?}", path, choice);
        }
    }
}

/// Who may write anything.
const ROOT: Caller = Caller { thread: 1, ..Caller::ROOT };

/// Numbers from which a write is made: how, from where on, how much, what.
type WriteChoice = (u8, u16, u16, u8);

/// Writes to a path, and what is then in the file to `world.file`.
fn write(world: &mut World, path: &str, model: &Model, (way, at, len, salt): WriteChoice) {
    let raw = find(&world.tree, &format!("{path}.raw"));
    let npy = find(&world.tree, &format!("{path}.npy"));
    let total = model.positions(Order::C).len();
    let bytes = some_bytes(total, salt);
    let change = |file: &mut Vec<u8>, positions: &[usize], bytes: &[u8]| {
        positions.iter().zip(bytes).for_each(|(&at, &byte)| file[at] = byte);
    };
    match way % 4 {
        // A part of the items' bytes, by one who reads them too or not.
        0 | 1 => {
            let from = usize::from(at) % (total + 1);
            let to = from + usize::from(len) % (total - from + 1);
            let (_, writing) = world.tree.open_for_writing(&raw, way % 4 == 0, ROOT).unwrap();
            let written = writing.write_at(from as u64, &bytes[from..to]);
            assert_eq!(written.unwrap(), to - from);
            change(&mut world.file, &model.positions(Order::C)[from..to], &bytes[from..to]);
        }
        // The whole, replaced in pieces: with a header of either order, and padding of its own.
        2 => {
            let order = if salt % 2 == 0 { Order::C } else { Order::Fortran };
            let padding = 64 * usize::from(salt % 3);
            let stream = with_padding(
                &header::write(&dtype(model.dtype), &model.shape_in_header(), order),
                padding,
            );
            let stream = [stream, bytes.clone()].concat();
            let (_, writing) = world.tree.open_for_writing(&npy, false, ROOT).unwrap();
            writing.truncate();
            let mut at = 0;
            for piece in stream.chunks(usize::from(len) % 300 + 1) {
                assert_eq!(writing.write_at(at, piece).unwrap(), piece.len());
                at += piece.len() as u64;
            }
            assert!(writing.end(at).unwrap());
            change(&mut world.file, &model.positions(order), &bytes);
        }
        // What would be another array.
        _ => {
            let other = if model.shape.len() < 2 { vec![3, 3] } else { vec![2] };
            let stream = header::write(&dtype(model.dtype), &other, Order::C);
            let (_, writing) = world.tree.open_for_writing(&npy, false, ROOT).unwrap();
            assert_eq!(writing.write_at(0, &stream).unwrap_err().errno(), libc::EINVAL);
            let (_, writing) = world.tree.open_for_writing(&raw, false, ROOT).unwrap();
            let too_far = writing.write_at(total as u64, &[1]).unwrap_err();
            assert_eq!(too_far.errno(), libc::EFBIG);
        }
    }
}

/// The same header with more blanks before the line end.
fn with_padding(header: &[u8], padding: usize) -> Vec<u8> {
    let mut header = header.to_vec();
    let len = u16::from_le_bytes([header[8], header[9]]) + padding as u16;
    header[8..10].copy_from_slice(&len.to_le_bytes());
    let end = header.len() - 1;
    header.splice(end..end, std::iter::repeat_n(b' ', padding));
    header
}
