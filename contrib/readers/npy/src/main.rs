//! Reads .npy files with the crate that the argument names, npyz or ndarray-npy, for `contrib/readers/run`.
//!
//! For each path on standard input, a line of JSON on standard output: the array's shape, its dtype and its elements in C
//! order, as hexadecimal; or an error. The first line says which version of the crate it is.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Write};

use ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, ReadableElement};
use npyz::{Deserialize, NpyFile, Order};
use num_complex::Complex;
use serde_json::{Value, json};

const LOCKED: &str = include_str!("../Cargo.lock");

type Answer = Result<Value, Box<dyn Error>>;

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let read = if name == "npyz" { by_npyz } else { by_ndarray };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", version(&name).unwrap_or("of unknown version"))?;
    for path in io::stdin().lines() {
        let answer = read(&path?).unwrap_or_else(|err| json!({ "error": err.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// The version that the lock file names.
fn version(name: &str) -> Option<&'static str> {
    let (_, package) = LOCKED.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(package.split_once('"')?.0)
}

/// An element that both crates read: NumPy's name for it, and its bytes.
trait Element: Clone + Deserialize + ReadableElement {
    const DTYPE: &'static str;
    fn bytes(&self) -> Vec<u8>;
}

macro_rules! elements {
    ($($element:ty: $dtype:literal, $self:ident => $bytes:expr;)*) => {
        $(impl Element for $element {
            const DTYPE: &'static str = $dtype;
            fn bytes(&$self) -> Vec<u8> { $bytes }
        })*

        /// By whichever of the types does it.
        fn by_npyz(path: &str) -> Answer {
            let open = || -> io::Result<_> { NpyFile::new(BufReader::new(File::open(path)?)) };
            let (shape, order) = (open()?.shape().to_vec(), open()?.order());
            $(if let Ok(data) = open()?.try_data::<$element>() {
                return Ok(in_c_order(&shape, order, &data.collect::<io::Result<Vec<_>>>()?));
            })*
            Err(format!("none of the types reads {:?}", open()?.dtype().descr()).into())
        }

        /// By whichever of the types does it.
        fn by_ndarray(path: &str) -> Answer {
            $(if let Ok(array) = ArrayD::<$element>::read_npy(File::open(path)?) {
                let bytes: Vec<u8> = array.iter().flat_map(Element::bytes).collect();
                let (shape, dtype) = (array.shape(), <$element>::DTYPE);
                return Ok(json!({ "shape": shape, "dtype": dtype, "bytes": hex::encode(bytes) }));
            })*
            Err("none of the types reads it".into())
        }
    };
}

elements! {
    bool: "|b1", self => vec![u8::from(*self)];
    i8: "|i1", self => self.to_le_bytes().into();
    u8: "|u1", self => self.to_le_bytes().into();
    i16: "<i2", self => self.to_le_bytes().into();
    u16: "<u2", self => self.to_le_bytes().into();
    i32: "<i4", self => self.to_le_bytes().into();
    u32: "<u4", self => self.to_le_bytes().into();
    i64: "<i8", self => self.to_le_bytes().into();
    u64: "<u8", self => self.to_le_bytes().into();
    f32: "<f4", self => self.to_le_bytes().into();
    f64: "<f8", self => self.to_le_bytes().into();
    Complex<f32>: "<c8", self => [self.re.to_le_bytes(), self.im.to_le_bytes()].concat();
    Complex<f64>: "<c16", self => [self.re.to_le_bytes(), self.im.to_le_bytes()].concat();
}

/// npyz gives the elements as they lie in the file, and says in which order that is.
fn in_c_order<T: Element>(shape: &[u64], order: Order, elements: &[T]) -> Value {
    let strides: Vec<u64> =
        shape.iter().scan(1, |step, n| Some(std::mem::replace(step, *step * n))).collect();
    let place = |mut rest: u64| {
        let mut at = 0;
        for (n, stride) in shape.iter().zip(&strides).rev() {
            at += rest % n * stride;
            rest /= n;
        }
        at as usize
    };
    let places = 0..elements.len() as u64;
    let bytes: Vec<u8> = match order {
        Order::C => elements.iter().flat_map(Element::bytes).collect(),
        Order::Fortran => places.flat_map(|rest| elements[place(rest)].bytes()).collect(),
    };
    json!({ "shape": shape, "dtype": T::DTYPE, "bytes": hex::encode(bytes) })
}
