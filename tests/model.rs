//! The tree against a naive model: arrays as lists of items, selections as loops over them.

use std::path::Path;

use npyfs::node::{Node, Options, Tree};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{self, Header, Order};
use npyfs::npy::literal;
use npyfs::source::{self, Source};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// An array with its items in C order, each as its bytes.
#[derive(Clone, Debug)]
struct Model {
    shape: Vec<usize>,
    items: Vec<Vec<u8>>,
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

fn dtype(descr: &str) -> DType {
    DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap()
}

/// Every index of a shape, in C order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &len| {
        all.iter()
            .flat_map(|head| (0..len).map(|i| [&head[..], &[i]].concat()).collect::<Vec<_>>())
            .collect()
    })
}

impl Model {
    fn item(&self, index: &[usize]) -> &Vec<u8> {
        let flat = index.iter().zip(&self.shape).fold(0, |flat, (i, len)| flat * len + i);
        &self.items[flat]
    }

    /// The array of the given shape whose item at an index is that of `self` at `source(index)`.
    fn rearranged(&self, shape: Vec<usize>, source: impl Fn(&[usize]) -> Vec<usize>) -> Model {
        let items = indices(&shape).iter().map(|index| self.item(&source(index)).clone()).collect();
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

    fn bytes(&self, order: Order) -> Vec<u8> {
        match order {
            Order::C => self.items.concat(),
            Order::Fortran => self.transposed().items.concat(),
        }
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
    match kind % 8 {
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
        _ => Some(("T".to_owned(), model.transposed())),
    }
}

fn write_array(path: &Path, model: &Model, order: Order) {
    let shape: Vec<u64> = model.shape.iter().map(|&len| len as u64).collect();
    let mut bytes = header::write(&dtype(model.dtype), &shape, order);
    bytes.extend(model.bytes(order));
    std::fs::write(path, bytes).unwrap();
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
    let content = tree.open(&node).unwrap();
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

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_chain_of_selections_reads_as_the_model_says(
        shape in prop::collection::vec(0usize..6, 0..5),
        which in 0..DTYPES.len(),
        fortran: bool,
        choices in prop::collection::vec(any::<Choice>(), 0..5),
        ranges in prop::collection::vec((0u64..4000, 0usize..500), 6),
        salt: u8,
    ) {
        let (descr, _) = DTYPES[which];
        let itemsize = dtype(descr).itemsize() as usize;
        let mut next = salt;
        let items = indices(&shape).iter().map(|_| (0..itemsize).map(|_| {
            next = next.wrapping_mul(5).wrapping_add(1);
            next
        }).collect()).collect();
        let mut model = Model { shape, items, dtype: descr };
        let order = if fortran { Order::Fortran } else { Order::C };

        let directory = tempfile::tempdir().unwrap();
        write_array(&directory.path().join("a.npy"), &model, order);
        let tree = Tree::new(Source::open(directory.path(), source::Options::default()).unwrap(), Options::default());

        let mut path = "a".to_owned();
        for choice in choices {
            if let Some((name, selected)) = step(&model, choice) {
                path = format!("{path}/{name}");
                model = selected;
            }
        }

        let raw_path = format!("{path}.raw");
        let (raw, parts) = read(&tree, &raw_path, &ranges);
        prop_assert_eq!(&raw, &model.bytes(Order::C), "{}", raw_path);
        check_parts(&raw_path, &raw, &ranges, &parts);

        let npy_path = format!("{path}.npy");
        let (npy, parts) = read(&tree, &npy_path, &ranges);
        check_parts(&npy_path, &npy, &ranges, &parts);
        let header = Header::read(npy.len() as u64, |at, buf| {
            buf.copy_from_slice(&npy[at as usize..at as usize + buf.len()]);
            Ok(())
        }).unwrap();
        let shape: Vec<u64> = model.shape.iter().map(|&len| len as u64).collect();
        prop_assert_eq!(&header.shape, &shape, "{}", npy_path);
        prop_assert_eq!(&*header.dtype, &dtype(model.dtype), "{}", npy_path);
        prop_assert_eq!(&npy[header.data_offset as usize..], &model.bytes(header.order)[..]);
    }
}
