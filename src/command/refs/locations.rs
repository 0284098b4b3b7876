//! Where readers find the files that references name.

use std::error::Error;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use npyfs::escape::shown;

/// Where readers find the files of a source.
pub(super) struct Locations {
    prefix: String,
    /// Names are escaped as in URLs of the web.
    is_escaped: bool,
    /// The name of the source, if it is a single file.
    pub(super) single: Option<PathBuf>,
}

impl Locations {
    /// Beneath a URL, or where the source is on this machine.
    pub(super) fn new(source: &Path, url: Option<&str>) -> Result<Locations, Box<dyn Error>> {
        let single = (!source.is_dir()).then(|| source.file_name().map(PathBuf::from)).flatten();
        let prefix = match url {
            Some(url) => url.strip_suffix('/').unwrap_or(url).to_owned(),
            None => {
                // A symlink to a file keeps its name.
                let directory = match &single {
                    Some(_) => source.parent().filter(|path| *path != Path::new("")),
                    None => Some(source),
                };
                let directory = directory.unwrap_or(Path::new("."));
                let directory = directory
                    .canonicalize()
                    .map_err(|err| format!("{}: {err}", shown(directory)))?;
                let directory = directory.to_str().ok_or_else(|| {
                    format!("{}: the path is not UTF-8, which JSON can hold", shown(&directory))
                })?;
                format!("file://{}", directory.strip_suffix('/').unwrap_or(directory))
            }
        };
        // Readers take the URLs of files and buckets as they are.
        let is_escaped = ["http://", "https://"].iter().any(|scheme| prefix.starts_with(scheme));
        Ok(Locations { prefix, is_escaped, single })
    }

    /// The place of a file of the source.
    pub(super) fn of(&self, path: &Path) -> Result<String, String> {
        let path = self.single.as_deref().unwrap_or(path).as_os_str();
        let path = match (self.is_escaped, path.to_str()) {
            (true, _) => escaped(path),
            (false, Some(path)) => path.to_owned(),
            (false, None) => return Err("its name is not UTF-8, which JSON can hold".to_owned()),
        };
        Ok(format!("{}/{path}", self.prefix))
    }
}

/// A path as it stands in a URL.
fn escaped(path: &OsStr) -> String {
    let escape = |&byte: &u8| match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.as_bytes().iter().map(escape).collect()
}
