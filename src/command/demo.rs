//! `npyfs demo`: sample arrays, mounted, with things to try.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use npyfs::fs::Fs;
use npyfs::mount::{Mount, Options};
use npyfs::node::{self, Tree};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{self, Order};
use npyfs::npy::literal;
use npyfs::source::Source;

use super::Outcome;
use super::mount::ask_on_signal;
use crate::logging;

pub(crate) fn run() -> Outcome {
    logging::start(false, None)?;
    let directory = tempfile::Builder::new().prefix("npyfs-demo-").tempdir()?;
    let (data, mountpoint) = (directory.path().join("data"), directory.path().join("mnt"));
    std::fs::create_dir(&data)?;
    make_samples(&data)?;
    let mountpoint = npyfs::mount::prepare(&data, &mountpoint)?;
    let (asked, end) = mpsc::channel();
    ask_on_signal(asked.clone())?;
    npyfs::backing::ignore_lease_signal();
    let tree = Tree::new(Source::open(&data, false)?, node::Options::default());
    let options = Options { allow_other: false, ttl: Duration::from_secs(1), threads: 2 };
    let mount = Mount::new(Fs::new(tree), &mountpoint, &options)?;
    let shown = mountpoint.clone();
    // The mount answers only while `serve` runs.
    let tour = thread::spawn(move || show(&shown));
    mount.serve(asked, &end)?;
    if let Ok(Err(err)) = tour.join() {
        return Err(format!("{}: {err}", mountpoint.display()).into());
    }
    println!("\nUnmounted; {} is removed.", directory.path().display());
    Ok(directory.close()?)
}

/// Writes a sample: its header, then bytes made by `write`.
fn sample(
    path: &Path,
    descr: &str,
    shape: &[u64],
    order: Order,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let parsed = literal::parse(descr, false).ok();
    let dtype = parsed.and_then(|descr| DType::from_descr(&descr).ok());
    let dtype = dtype.ok_or_else(|| io::Error::other("a sample without a dtype"))?;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&header::write(&dtype, shape, order))?;
    write(&mut file)?;
    file.flush()
}

fn make_samples(data: &Path) -> io::Result<()> {
    // big[i, j] = i + j / 100
    sample(&data.join("big.npy"), "'<f8'", &[100_000, 100], Order::C, |file| {
        (0..100_000).try_for_each(|i| {
            (0..100).try_for_each(|j| {
                let value = f64::from(i) + f64::from(j) / 100.0;
                file.write_all(&value.to_le_bytes())
            })
        })
    })?;
    sample(&data.join("iq.npy"), "[('r', '<f4'), ('i', '<f4')]", &[100, 100], Order::C, |file| {
        (0..10_000u16).try_for_each(|i| {
            file.write_all(&f32::from(i).to_le_bytes())?;
            file.write_all(&(-f32::from(i)).to_le_bytes())
        })
    })?;
    sample(&data.join("fortran.npy"), "'>i2'", &[4, 6], Order::Fortran, |file| {
        (0..24i16).try_for_each(|i| file.write_all(&i.to_be_bytes()))
    })?;
    // A terabyte that takes no room: all of it is a hole.
    let rows: u64 = 1 << 30;
    sample(&data.join("tera.npy"), "'<f8'", &[rows, 128], Order::C, |file| {
        file.get_ref().set_len(128 + rows * 128 * 8)
    })
}

fn show(mountpoint: &Path) -> io::Result<()> {
    let at = mountpoint.display();
    println!("Four arrays are mounted on {at}\n");
    println!("$ ls {at}");
    println!("{}\n", names(mountpoint)?);
    println!("$ cat {at}/big/rows/0-50/header.json");
    print!("{}", std::fs::read_to_string(mountpoint.join("big/rows/0-50/header.json"))?);
    println!("\n$ ls {at}/big");
    println!("{}\n", names(&mountpoint.join("big"))?);
    let one = std::fs::read(mountpoint.join("big/slice/500,25.raw"))?;
    let value = <[u8; 8]>::try_from(one).map(f64::from_le_bytes).unwrap_or(f64::NAN);
    println!("big[500, 25] is {value}, read from big/slice/500,25.raw\n");
    println!("Now try, in another terminal:\n");
    for line in [
        format!("cp {at}/big/rows/0-50.npy /tmp/          # big[0:50], an array of its own"),
        format!("cat {at}/big/slice/USAGE.txt             # how to write any other slice"),
        format!("ls -l {at}/iq/fields                     # the fields of the records"),
        format!("ls -l {at}/tera/rows/0-1000000.npy       # a gigabyte of a terabyte"),
        format!("cmp {at}/fortran/T/T.raw {at}/fortran.raw && echo same"),
    ] {
        println!("    {line}");
    }
    println!("\nor in Python:\n");
    println!("    import numpy as np");
    println!("    np.load('{at}/big/slice/0:50,50:100.npy')        # the top-right 50x50");
    println!("    np.load('{at}/iq/fields/r.npy')                  # one field of the records");
    println!("    np.load('{at}/big/parts/4/1.npy', mmap_mode='r') # part 1 of 4");
    println!("\nCtrl-C unmounts and removes everything.");
    io::stdout().flush()
}

fn names(directory: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join("  "))
}
