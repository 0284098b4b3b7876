//! The commands that need no mount: `info`, `ls`, `cat`.

mod common;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use common::{TestEnv, counting, npyfs, program, run, stderr};

/// Runs a command on a path beneath the data directory.
fn on(env: &TestEnv, command: &str, path: &str) -> std::process::Output {
    npyfs([OsString::from(command), env.path(path).into_os_string()])
}

#[test]
fn cat_writes_what_a_mount_would_hold() {
    let env = TestEnv::new();
    let whole = std::fs::read(env.data().join("big.npy")).unwrap();
    assert_eq!(on(&env, "cat", "data/big.npy").stdout, whole);
    assert_eq!(on(&env, "cat", "data/big.raw").stdout, whole[128..]);
    assert_eq!(on(&env, "cat", "data/big/rows/2-4.raw").stdout, whole[288..448]);
    assert_eq!(on(&env, "cat", "data/big/rows/0-1000.npy").stdout, whole);
    let json = on(&env, "cat", "data/big/cols/3/header.json").stdout;
    assert_eq!(on(&env, "info", "data/big/cols/3").stdout, json);
    // Paths are also found from inside of the source.
    let inside =
        run(Command::new(program()).args(["cat", "big/rows/2-4.raw"]).current_dir(env.data()));
    assert_eq!(inside.stdout, whole[288..448]);
}

#[test]
fn cat_of_a_directory_names_the_file_beside_it() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("bad.npy"), "no array").unwrap();
    for (path, why) in [
        ("big", "the array is "),
        ("big/rows/2-4", "the array is "),
        ("big/rows", "a directory"),
        ("bad", "a directory"),
        ("", "a directory"),
    ] {
        let cat = on(&env, "cat", &format!("data/{path}"));
        assert_eq!(cat.status.code(), Some(1), "{path}");
        let file = match why {
            "a directory" => String::new(),
            _ => env.path(&format!("data/{path}.npy")).display().to_string(),
        };
        assert!(stderr(&cat).ends_with(&format!("{why}{file}\n")), "{path}: {}", stderr(&cat));
    }
}

#[test]
fn ls_lists_what_a_mount_would_list() {
    let env = TestEnv::new();
    std::fs::create_dir(env.data().join("sub")).unwrap();
    let ls = |path| String::from_utf8(on(&env, "ls", path).stdout).unwrap();
    assert_eq!(ls("data"), "big/\nbig.npy\nsub/\n");
    assert_eq!(
        ls("data/big"),
        "header.json\nUSAGE.txt\nrows/\ncols/\nslice/\nparts/\nwindows/\nchunks/\n"
    );
    assert_eq!(ls("data/big/chunks/500,10"), "0,0.npy\n1,0.npy\n");
    assert_eq!(ls("data/big/parts/3"), "0.npy\n1.npy\n2.npy\n");
    assert_eq!(ls("data/big/slice"), "USAGE.txt\n");
    assert_eq!(ls("data/sub"), "");
}

#[test]
fn ls_lists_a_directory_of_a_mount_as_it_is() {
    let env = TestEnv::new();
    std::fs::create_dir(env.data().join("sub")).unwrap();
    let mounted = env.mount(&[]);
    for path in ["", "big", "big/rows", "big/rows/2-4", "big/parts", "big/parts/3", "sub"] {
        let listed = npyfs(["ls".as_ref(), mounted.path(path).as_os_str()]).stdout;
        let listed = String::from_utf8(listed).unwrap();
        let expected = String::from_utf8(on(&env, "ls", &format!("data/{path}")).stdout).unwrap();
        let lines = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&listed), lines(&expected), "{path}");
    }
    let file = mounted.path("big/rows/2-4.npy");
    let listed = npyfs(["ls".as_ref(), file.as_os_str()]).stdout;
    assert_eq!(listed, format!("{}\n", file.display()).into_bytes());
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let env = TestEnv::new();
    let script = r#"set -o pipefail; "$0" ls "$1/big/parts/1000000" | head -n 1; "$0" cat "$1/big.npy" | head -c 3; "$0" refs --chunk-bytes 8 "$1" | head -c 3"#;
    let ran = run(Command::new("bash").args(["-c", script, program()]).arg(env.data()));
    assert!(ran.status.success(), "{}", stderr(&ran));
    assert_eq!(ran.stdout, b"000000.npy\n\x93NU{\"v");
}

#[test]
fn refs_say_where_the_chunks_lie() {
    let env = TestEnv::new();
    let refs = npyfs([
        "refs".as_ref(),
        env.path("data/big.npy").as_os_str(),
        "--url=https://example.org/a b/".as_ref(),
        "--chunk-bytes=40000".as_ref(),
    ]);
    let json: serde_json::Value = serde_json::from_slice(&refs.stdout).unwrap();
    assert_eq!(json["version"], 1);
    let url = "https://example.org/a b/big.npy";
    assert_eq!(json["refs"]["c/0/0"], serde_json::json!([url, 128, 40000]));
    assert_eq!(json["refs"]["c/1/0"], serde_json::json!([url, 40128, 40000]));
    assert_eq!(json["refs"].as_object().unwrap().len(), 3);
    let directory = std::fs::canonicalize(env.data()).unwrap();
    let local = String::from_utf8(on(&env, "refs", "data").stdout).unwrap();
    assert!(local.contains(&format!("[\"file://{}/big.npy\", 128, ", directory.to_str().unwrap())));
}

#[test]
fn refs_of_a_mount_are_those_of_its_source() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    for path in ["", "big.npy", "big", "big/cols/2-4"] {
        let of_mount = npyfs(["refs".into(), mounted.path(path).into_os_string()]);
        let of_source = on(&env, "refs", &format!("data/{path}"));
        assert_eq!(of_mount.stdout, of_source.stdout, "{path}: {}", stderr(&of_mount));
        assert!(of_source.status.success());
    }
}

#[test]
fn refs_of_what_is_no_array_are_none_and_the_reason_is_said() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("bad.npy"), "no array").unwrap();
    for (path, why) in [
        ("data/bad.npy", "not a .npy file: it does not start with \\x93NUMPY"),
        ("data/big/rows/0-5000000", "big/rows/0-5000000: the array has 1000 rows"),
        ("data/big/rows", "a directory of selections"),
        ("data/nowhere", "no such file or directory"),
        ("data", "1 file or directory is left out"),
    ] {
        let refs = on(&env, "refs", path);
        assert_eq!(refs.status.code(), Some(1), "{path}");
        assert!(stderr(&refs).contains(why), "{path}: {}", stderr(&refs));
        assert_eq!(refs.stdout.is_empty(), path != "data", "{path}");
    }
}

#[test]
fn info_says_why_a_path_does_not_exist() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("bad.npy"), "no array").unwrap();
    std::fs::write(env.data().join("notes.txt"), "no array").unwrap();
    std::fs::write(env.data().join("ONE.NPY"), counting(&[3])).unwrap();
    let beside = |path: &str| {
        let (directory, name) = path.rsplit_once('/').unwrap();
        let (file, meant) = (format!("data/{directory}.npy"), format!("data/{directory}/{name}"));
        format!("{} is a file; write {}", env.path(&file).display(), env.path(&meant).display())
    };
    let listed = |what: &str, path: &str| {
        format!("{what}; npyfs ls {} lists it", env.data().join(path).display())
    };
    for (path, why) in [
        ("big/rows/0-5000000", "the array has 1000 rows"),
        ("big/rows/0-5000000.npy", "the array has 1000 rows"),
        (
            "big/rows/0:50.npy",
            "\"0:50\" is neither an index such as 7 nor a range such as 0-50, in plain decimal; write \
             rows/0-50, or slice/0:50",
        ),
        ("ONE.NPY", "the suffix of an array's file is .npy, in lower case; rename it to ONE.npy"),
        ("ONE", "the suffix of an array's file is .npy, in lower case; rename it to ONE.npy"),
        ("big/cols/10", "the array has 10 columns"),
        ("big/axis2", "the array has 2 axes"),
        ("big/fields", "the dtype '<i8' has no fields"),
        ("big/slice/0,0,0", "too many indices: the array has 2 axes"),
        (
            "big/nonsense",
            "an array's directory has no such entry: it has header.json, USAGE.txt, rows, cols, \
             axis<k>, slice, parts, windows, chunks, fields, T, as they apply",
        ),
        ("big/chunks/10,10/0,1", "the array has (100, 1) chunks of that shape"),
        (
            "big.zarr/c/0/1",
            "big.npy: the array has no such chunk (if it was replaced, open it again)",
        ),
        ("bad.zarr", "bad.npy: not a .npy file: it does not start with \\x93NUMPY"),
        ("big.zarr/zarr.json", "a text about a Zarr array"),
        ("big.ome.zarr/9", "the image has no such level"),
        (".zarr", &*listed("a directory of arrays, as a Zarr group", ".zarr")),
        (".zarr/__init__", "Zarr has no member of that name"),
        ("nowhere.zarr", "no such file or directory"),
        ("big/rows", &*listed("a directory of selections", "big/rows")),
        ("bad", "not a .npy file: it does not start with \\x93NUMPY"),
        ("bad/rows/3", "not a .npy file: it does not start with \\x93NUMPY"),
        ("notes.txt", "not an array: its name does not end in .npy"),
        ("big.npy/rows/0-5", &*beside("big/rows")),
        ("big/rows/0-5.npy/cols", &*beside("big/rows/0-5/cols")),
        ("notes.txt/rows", "not a directory"),
        ("missing", "no such file or directory"),
    ] {
        let info = on(&env, "info", &format!("data/{path}"));
        assert_eq!(info.status.code(), Some(1), "{path}");
        let said = stderr(&info);
        assert!(said.ends_with(&format!(": {why}\n")), "{path}: {said}");
        assert!(said.starts_with(&format!("npyfs: {}", env.path("data").display())), "{said}");
        assert_eq!(said.lines().count(), 1, "{path}: {said}");
        assert!(info.stdout.is_empty(), "{path}");
    }
    let deep = stderr(&on(&env, "info", "data/big/rows/2000-3000/cols/3"));
    assert!(deep.contains("big/rows/2000-3000: the array has 1000 rows"), "{deep}");
}

#[test]
fn a_zarr_directory_is_there_without_a_mount() {
    let env = TestEnv::new();
    let array = std::fs::read(env.data().join("big.npy")).unwrap();
    std::fs::create_dir_all(env.data().join("sub/deep")).unwrap();
    std::fs::write(env.data().join("sub/deep/x.npy"), &array).unwrap();
    let ls = |path| String::from_utf8(on(&env, "ls", path).stdout).unwrap();
    assert_eq!(ls("data/big.zarr"), "zarr.json\nc/\n");
    assert_eq!(ls("data/big/chunks/500,10.zarr/c"), "0/\n1/\n");
    assert_eq!(ls("data/.zarr"), "zarr.json\nbig/\nsub/\n");
    assert_eq!(ls("data/sub.zarr/deep"), "zarr.json\nx/\n");
    assert_eq!(ls("data/big.ome.zarr"), "zarr.json\n0/\n1/\n2/\n");
    let cat = |path| on(&env, "cat", path).stdout;
    assert_eq!(cat("data/big/chunks/500,10.zarr/c/1/0"), array[128 + 500 * 80..]);
    assert_eq!(cat("data/.zarr/sub/deep/x/c/0/0"), array[128..]);
    assert_eq!(cat("data/sub.zarr/.zgroup"), b"{\n  \"zarr_format\": 2\n}\n");
    let info = on(&env, "info", "data/big/rows/0-5.zarr");
    assert_eq!(info.stdout, cat("data/big/rows/0-5/header.json"));
}

#[test]
fn info_says_which_forms_an_array_lacks_and_why() {
    let env = TestEnv::new();
    let notes = |path: &str| {
        let info = on(&env, "info", path);
        assert!(info.status.success() && !info.stdout.is_empty(), "{path}");
        stderr(&info)
    };
    assert_eq!(notes("data/big"), "");
    assert_eq!(notes("data/big/rows/0"), "", "most arrays are no images");
    let image = on(&env, "info", "data/big/rows/0.ome.zarr");
    let path = env.path("data/big/rows/0.ome.zarr").display().to_string();
    assert_eq!(
        stderr(&image),
        format!(
            "npyfs: {path}: an image has 2 to 5 axes (tczyx, or the last of them); the array has 1\n"
        )
    );
    let header = "{'descr': '<f16', 'fortran_order': False, 'shape': (2,)}".to_owned();
    let mut long = b"\x93NUMPY\x01\0\x76\0".to_vec();
    long.extend(format!("{header:117}\n").bytes());
    long.extend([0; 32]);
    std::fs::write(env.data().join("long.npy"), long).unwrap();
    let said = notes("data/long");
    assert!(said.ends_with("there is no .zarr of it: Zarr v3 has no type for <f16\n"), "{said}");
    let refused = on(&env, "ls", "data/long.zarr");
    let path = env.path("data/long.zarr").display().to_string();
    assert_eq!(stderr(&refused), format!("npyfs: {path}: Zarr v3 has no type for <f16\n"));
}

#[test]
fn one_path_without_an_answer_keeps_no_other_from_having_one() {
    let env = TestEnv::new();
    let paths = ["info", "data/nowhere", "data/big", "data/nothing"].map(|path| match path {
        "info" => "info".into(),
        path => env.path(path).into_os_string(),
    });
    let info = npyfs(paths);
    assert_eq!(info.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&info.stdout).contains("\"expression\": \"a\""));
    assert_eq!(stderr(&info).lines().count(), 2);
}

#[test]
fn info_tells_of_an_array_that_has_no_directory() {
    let env = TestEnv::new();
    for taken in ["big", "big.npy.d"] {
        std::fs::write(env.data().join(taken), "").unwrap();
    }
    let info = on(&env, "info", "data/big.npy");
    assert!(info.status.success());
    assert!(String::from_utf8_lossy(&info.stdout).contains("\"shape\": [1000, 10]"));
    assert!(stderr(&info).contains("it has no directory"), "{}", stderr(&info));
}

#[test]
fn info_works_on_a_mount_too() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("bad.npy"), "no array").unwrap();
    std::fs::write(env.data().join("big.txt"), "no array, though one has its stem").unwrap();
    std::fs::write(env.data().join("error.txt"), "mine").unwrap();
    std::fs::create_dir(env.data().join("sub")).unwrap();
    std::fs::write(env.path("other.npy"), counting(&[9])).unwrap();
    for link in ["out.npy", "sub/out.npy"] {
        std::os::unix::fs::symlink(env.path("other.npy"), env.data().join(link)).unwrap();
    }
    let mounted = env.mount(&[]);
    let info = |path: &Path| npyfs(["info".as_ref(), path.as_os_str()]);
    let of_directory = info(&mounted.path("big/rows/3-5"));
    assert!(String::from_utf8_lossy(&of_directory.stdout).contains("\"expression\": \"a[3:5]\""));
    let of_file = info(&mounted.path("big/rows/3-5.npy"));
    assert_eq!(of_file.stdout, of_directory.stdout);
    for (path, why) in [("bad", "not a .npy file"), ("big.txt", "not an array: its name")] {
        let refused = info(&mounted.path(path));
        assert!(stderr(&refused).contains(why), "{path}: {}", stderr(&refused));
        assert!(refused.stdout.is_empty(), "{path}");
    }
    // What the source would have, and the mount has not.
    for path in ["out/rows/3-5", "out/rows/3-5.npy"] {
        let why = stderr(&info(&mounted.path(path)));
        assert!(why.contains("the symlink is absolute, or leads out of the source"), "{why}");
        assert!(!why.contains("mine"), "{why}");
    }
    let why = stderr(&info(&mounted.path("sub/out/rows/3-5")));
    assert!(why.contains("the symlink is absolute"), "{why}");
    let cat = npyfs(["cat".as_ref(), mounted.path("big/rows/3-5.raw").as_os_str()]);
    assert_eq!(cat.stdout.len(), 160);
    let why = stderr(&info(&mounted.path("big/rows/0-5000000")));
    assert!(why.ends_with("data/big/rows/0-5000000: the array has 1000 rows\n"), "{why}");
}

#[test]
fn symlinks_are_followed_as_by_any_program() {
    let env = TestEnv::new();
    std::fs::write(env.path("other.npy"), counting(&[3])).unwrap();
    std::fs::create_dir(env.data().join("sub")).unwrap();
    for (target, link) in [("../other.npy", "out.npy"), ("../big.npy", "sub/up.npy")] {
        std::os::unix::fs::symlink(target, env.data().join(link)).unwrap();
    }
    assert_eq!(on(&env, "cat", "data/out.npy").stdout, counting(&[3]));
    assert_eq!(on(&env, "cat", "data/out/rows/1-3.raw").stdout.len(), 16);
    assert_eq!(on(&env, "cat", "data/sub/up/rows/3.raw").stdout.len(), 80);
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let env = TestEnv::new();
    for command in ["info \"$1/big\"", "ls \"$1/big.npy\"", "cat \"$1/big.npy\"", "ls \"$1\""] {
        // The reader is gone before anything is written.
        let script = format!("(sleep 0.2; \"$0\" {command}; echo $? >&2) | true");
        let ran = run(Command::new("bash").args(["-c", &script, program()]).arg(env.data()));
        assert_eq!(stderr(&ran), "0\n", "{command}");
    }
}
