//! Writes a view of an array as a Zarr directory, for readers to try.
//!
//!     convert SOURCE.npy VIEW TARGET v3|v2|ome CHUNKS
//!
//! VIEW is a path as in a mount, below the array's directory: `rows/0-50/T`, or nothing for the whole
//! array. CHUNKS is the shape of a chunk (`512,512`), or the bytes of a block (`4096B`). Where Zarr cannot
//! hold the view it ends with status 1 and says why.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use npyfs::npy::header::Header;
use npyfs::selection::{Grid, Group, Refusal, Selector};
use npyfs::storage::{LocalFile, Storage};
use npyfs::view::View;
use npyfs::zarr::ome::Pyramid;
use npyfs::zarr::{Array, json, v2, v3};
use serde_json::{Map, Value};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match convert(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn convert(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [source, path, target, format, chunks] = args else {
        return Err("usage: convert SOURCE.npy VIEW TARGET v3|v2|ome CHUNKS".into());
    };
    let storage = LocalFile::new(File::open(source)?)?;
    let read = |at, out: &mut [u8]| Ok(storage.read_at(at, out)?);
    let header = Header::read(storage.size()?, read).map_err(|why| why.to_string())?;
    let whole = View::of_header(&header).ok_or("the array is too large")?;
    let view = select(whole, path).map_err(|why| why.to_string())?;
    let names: Vec<String> = (0..view.ndim()).map(|axis| format!("x_{axis}")).collect();
    let target = Path::new(target);
    match format.as_str() {
        "v3" => write_v3(&storage, target, &array(view, chunks)?, &names),
        "v2" => write_v2(&storage, target, &array(view, chunks)?, &names),
        _ => write_ome(&storage, target, view, chunks),
    }
}

fn select(whole: View, path: &str) -> Result<View, Refusal> {
    let (mut view, mut group) = (whole, None);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let selector = match group.take() {
            None if name == "T" => Selector::named(name)?,
            None => {
                group = Some(Group::named(name, &view)?);
                continue;
            }
            Some(outer @ (Group::Parts | Group::Windows)) => {
                group = Some(outer.enter(name, &view)?);
                continue;
            }
            Some(group) => group.select(name, &view)?,
        };
        view = selector.apply(&view)?;
    }
    Ok(view)
}

fn array(view: View, chunks: &str) -> Result<Array, Box<dyn Error>> {
    let grid = match chunks.strip_suffix('B') {
        Some(bytes) => Grid::blocks(&view, bytes.parse()?),
        None => Grid::named(chunks, &view).map_err(|why| why.to_string())?,
    };
    Ok(Array::new(view, grid))
}

fn write_v3(
    storage: &LocalFile,
    target: &Path,
    array: &Array,
    names: &[String],
) -> Result<(), Box<dyn Error>> {
    let metadata = v3::array(array, names, Map::new()).map_err(|why| why.to_string())?;
    write_text(&target.join(v3::METADATA), &metadata)?;
    write_chunks(storage, array, |index| target.join(v3::key(index)))
}

fn write_v2(
    storage: &LocalFile,
    target: &Path,
    array: &Array,
    names: &[String],
) -> Result<(), Box<dyn Error>> {
    let metadata = v2::array(array).map_err(|why| why.to_string())?;
    write_text(&target.join(v2::ARRAY), &metadata)?;
    write_text(&target.join(v2::ATTRIBUTES), &v2::attributes(names, Map::new()))?;
    write_chunks(storage, array, |index| target.join(v2::key(index)))
}

/// A pyramid, with the metadata of its levels in that of the group.
fn write_ome(
    storage: &LocalFile,
    target: &Path,
    view: View,
    chunks: &str,
) -> Result<(), Box<dyn Error>> {
    let pyramid = Pyramid::new(view).map_err(|why| why.to_string())?;
    let names = pyramid.dimension_names();
    let mut members = Map::new();
    for k in 0..pyramid.levels() {
        let level = array(pyramid.level(k).ok_or("there is no such level")?, chunks)?;
        let metadata = v3::array(&level, &names, Map::new()).map_err(|why| why.to_string())?;
        members.insert(k.to_string(), metadata);
        write_v3(storage, &target.join(k.to_string()), &level, &names)?;
    }
    let group = v3::group(pyramid.attributes("image"), Some(members));
    write_text(&target.join(v3::METADATA), &group)
}

fn write_text(path: &Path, text: &Value) -> Result<(), Box<dyn Error>> {
    write(path, json::text(text).as_bytes())
}

fn write_chunks(
    storage: &LocalFile,
    array: &Array,
    path: impl Fn(&[u64]) -> PathBuf,
) -> Result<(), Box<dyn Error>> {
    for index in every_index(&array.grid().counts()) {
        let layout = array.chunk(&index).ok_or("there is no such chunk")?;
        let len = array.chunk_len() as usize;
        layout
            .read_at(storage, 0, len, |bytes| write(&path(&index), bytes))
            .map_err(|err| err.to_string())??;
    }
    Ok(())
}

fn every_index(counts: &[u64]) -> Vec<Vec<u64>> {
    counts.iter().fold(vec![vec![]], |heads: Vec<Vec<u64>>, &count| {
        heads.iter().flat_map(|head| (0..count).map(|i| [&head[..], &[i]].concat())).collect()
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(path.parent().ok_or("a file in no directory")?)?;
    Ok(fs::write(path, bytes)?)
}
