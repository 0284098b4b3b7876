//! `npyfs demo`: sample arrays, mounted, with things to try.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use npyfs::escape::shown;
use npyfs::mount::{End, Options};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{self, Order};
use npyfs::npy::literal;

use super::mount::{ask_on_signal, say_in_use};
use super::{Outcome, unless_closed};
use crate::cli::LogFormat;
use crate::logging;

pub(crate) fn run() -> Outcome {
    logging::start(false, LogFormat::Text, None)?;
    let own = Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new().prefix("npyfs-demo-").permissions(own).tempdir()?;
    let (data, mountpoint) = (directory.path().join("data"), directory.path().join("mnt"));
    std::fs::create_dir(&data)?;
    make_samples(&data)?;
    let prepared = npyfs::mount::prepare(&data, &mountpoint, &Options::default())?;
    let (asked, end) = mpsc::channel();
    ask_on_signal(asked.clone())?;
    let mount = prepared.mount()?;
    let toured = mountpoint.clone();
    // The mount answers only while `serve` runs.
    let failed = asked.clone();
    let tour = thread::spawn(move || {
        show(&toured).inspect_err(|_| {
            // Nobody listens any more when the end has come already.
            let _ = failed.send(End::Asked);
        })
    });
    mount.serve(asked, &end, |users| say_in_use(&mountpoint, users))?;
    match tour.join() {
        Ok(Err(err)) if err.kind() != io::ErrorKind::BrokenPipe => {
            return Err(format!("{}: {err}", shown(&mountpoint)).into());
        }
        _ => {}
    }
    let farewell = format!("\nUnmounted; {} is removed.\n", shown(directory.path()));
    directory.close()?;
    unless_closed(io::stdout().write_all(farewell.as_bytes()))
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
    let at = shown(mountpoint);
    let header = std::fs::read_to_string(mountpoint.join("big/rows/0-50/header.json"))?;
    let value = std::fs::read(mountpoint.join("big/slice/500,25.raw"))?;
    let value = <[u8; 8]>::try_from(value).map_or(f64::NAN, f64::from_le_bytes);
    let (all, big) = (names(mountpoint)?, names(&mountpoint.join("big"))?);
    let text = format!(
        "Four arrays are mounted on {at}

$ ls {at}
{all}

$ ls {at}/big
{big}

$ cat {at}/big/rows/0-50/header.json
{header}
big[500, 25] is {value}, read from big/slice/500,25.raw

Now try, in another terminal:

    cp {at}/big/rows/0-50.npy /tmp/         # big[0:50], an array of its own
    cat {at}/big/USAGE.txt                  # how any other slice is named
    ls -l {at}/iq/fields                    # the fields of the records
    ls -l {at}/tera/rows/0-1000000.npy      # a gigabyte of a terabyte
    cmp {at}/fortran/T/T.raw {at}/fortran.raw && echo the same

or in Python:

    import numpy as np
    np.load('{at}/big/slice/0:50,50:100.npy')         # the top-right 50x50
    np.load('{at}/iq/fields/r.npy')                   # one field of the records
    np.load('{at}/big/parts/4/1.npy', mmap_mode='r')  # part 1 of 4

Ctrl-C unmounts and removes everything.
"
    );
    io::stdout().write_all(text.as_bytes())
}

fn names(directory: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(shown(&entry?.file_name()).to_string());
    }
    names.sort();
    Ok(names.join("  "))
}
