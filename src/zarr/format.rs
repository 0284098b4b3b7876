//! The versions of the format: which files stand beside chunks, and how chunks are called.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{Array, v2, v3};
use crate::selection::Refusal;

/// A version of the Zarr format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.zarray`, `.zattrs`, `.zgroup`, and chunks such as `1.23`
    V2,
    /// `zarr.json`, and chunks such as `c/1/23`
    V3,
}

impl Format {
    /// The files that describe an array, by name. There is a name for each axis.
    pub fn array(
        self,
        array: &Array,
        dimension_names: &[String],
    ) -> Result<Vec<(&'static str, Value)>, Refusal> {
        Ok(match self {
            Format::V2 => vec![
                (v2::ARRAY, v2::array(array)?),
                (v2::ATTRIBUTES, v2::attributes(dimension_names, Map::new())),
            ],
            Format::V3 => vec![(v3::METADATA, v3::array(array, dimension_names, Map::new())?)],
        })
    }

    /// The file that makes a directory a group.
    pub fn group(self) -> (&'static str, Value) {
        match self {
            Format::V2 => (v2::GROUP, v2::group()),
            Format::V3 => (v3::METADATA, v3::group(Map::new(), None)),
        }
    }

    /// The path of a chunk.
    pub fn key(self, index: &[u64]) -> String {
        match self {
            Format::V2 => v2::key(index),
            Format::V3 => v3::key(index),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::V2 => "2",
            Format::V3 => "3",
        })
    }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Format, Self::Err> {
        match text {
            "2" => Ok(Format::V2),
            "3" => Ok(Format::V3),
            _ => Err("neither 2 nor 3"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use crate::npy::header::Order;

    fn names(format: Format, descr: &str) -> Result<Vec<&'static str>, String> {
        let array = tests::array(descr, &[10, 20], Order::C, "4,20");
        let files = format.array(&array, &["x_0".to_owned(), "x_1".to_owned()]);
        Ok(files.map_err(|refusal| refusal.0)?.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn each_version_has_its_own_files_and_names() {
        assert_eq!(names(Format::V2, "'<f8'"), Ok(vec![".zarray", ".zattrs"]));
        assert_eq!(names(Format::V3, "'<f8'"), Ok(vec!["zarr.json"]));
        assert_eq!(
            [Format::V2, Format::V3].map(|format| format.group().0),
            [".zgroup", "zarr.json"]
        );
        assert_eq!([Format::V2, Format::V3].map(|format| format.key(&[1, 23])), ["1.23", "c/1/23"]);
    }

    #[test]
    fn what_one_version_cannot_hold_the_other_may() {
        assert!(names(Format::V3, "'<f16'").is_err());
        assert!(names(Format::V2, "'<f16'").is_ok());
    }

    #[test]
    fn a_version_is_written_as_it_is_read() {
        for format in [Format::V2, Format::V3] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("1".parse::<Format>().is_err());
    }
}
