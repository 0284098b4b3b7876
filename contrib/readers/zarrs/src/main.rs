//! Reads Zarr arrays with the crate zarrs, for `contrib/readers/run`.
//!
//! For each path on standard input, a line of JSON on standard output: the array's shape, its dtype by zarrs's name and
//! its elements in C order, as hexadecimal; or an error. The first line says which version of zarrs it is.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value, json};
use zarrs::array::{Array, ArrayBytes};
use zarrs::filesystem::FilesystemStore;

const LOCKED: &str = include_str!("../Cargo.lock");

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", version().unwrap_or("of unknown version"))?;
    for path in io::stdin().lines() {
        let answer = read(&path?).unwrap_or_else(|err| json!({ "error": err.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// The version that the lock file names.
fn version() -> Option<&'static str> {
    let (_, package) = LOCKED.split_once("name = \"zarrs\"\nversion = \"")?;
    Some(package.split_once('"')?.0)
}

fn read(path: &str) -> Result<Value, Box<dyn Error>> {
    let array = Array::open(Arc::new(FilesystemStore::new(path)?), "/")?;
    let elements = array.retrieve_array_subset::<ArrayBytes>(&array.subset_all())?.into_fixed()?;
    Ok(json!({
        "shape": array.shape(),
        "dtype": array.data_type().to_string(),
        "bytes": hex::encode(&*elements),
    }))
}
