//! Zarr v2, for readers that do not know v3: the texts `.zarray`, `.zattrs` and `.zgroup`, and the names
//! of chunks: `1.23`.

use serde_json::{Map, Value, json};

use super::{Array, data_type};
use crate::npy::header::Order;
use crate::selection::{Grid, Refusal, number};

/// The file that describes an array.
pub const ARRAY: &str = ".zarray";
/// The file of attributes, of arrays and of groups.
pub const ATTRIBUTES: &str = ".zattrs";
/// The file that makes a directory a group.
pub const GROUP: &str = ".zgroup";

/// `.zarray` of an array.
pub fn array(array: &Array) -> Result<Value, Refusal> {
    let view = array.view();
    Ok(json!({
        "zarr_format": 2,
        "shape": view.shape(),
        "chunks": array.grid().chunk_shape(),
        "dtype": data_type::v2(view.dtype())?,
        "order": match array.order() { Order::C => "C", Order::Fortran => "F" },
        "dimension_separator": ".",
        "compressor": null,
        "filters": null,
        // No chunk is missing. Of 0, xarray would make that all zeros are missing values.
        "fill_value": null,
    }))
}

/// `.zattrs` of an array. xarray looks for the names of its axes there.
pub fn attributes(dimension_names: &[String], mut attributes: Map<String, Value>) -> Value {
    attributes.insert("_ARRAY_DIMENSIONS".to_owned(), json!(dimension_names));
    Value::Object(attributes)
}

/// `.zgroup` of a group.
pub fn group() -> Value {
    json!({"zarr_format": 2})
}

/// The chunk that a name stands for. `None` if the array has no such chunk.
pub fn index(name: &str, grid: &Grid) -> Option<Vec<u64>> {
    let counts = grid.counts();
    if counts.is_empty() {
        return (name == key(&[])).then(Vec::new);
    }
    let index: Vec<u64> = name.split('.').map(number::parse).collect::<Option<_>>()?;
    let is_inside = index.len() == counts.len() && index.iter().zip(counts).all(|(&i, n)| i < n);
    is_inside.then_some(index)
}

/// The name of a chunk.
pub fn key(index: &[u64]) -> String {
    match index {
        [] => "0".to_owned(),
        _ => index.iter().map(u64::to_string).collect::<Vec<_>>().join("."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn an_array_is_described_to_the_letter() {
        let array =
            tests::array("[('a', '>i2'), ('b', '<f4', (3,))]", &[10, 20], Order::Fortran, "4,20");
        let expected = r#"{
  "chunks": [4, 20],
  "compressor": null,
  "dimension_separator": ".",
  "dtype": [["a", ">i2"], ["b", "<f4", [3]]],
  "fill_value": null,
  "filters": null,
  "order": "F",
  "shape": [10, 20],
  "zarr_format": 2
}
"#;
        assert_eq!(super::super::json::text(&super::array(&array).unwrap()), expected);
    }

    #[test]
    fn attributes_hold_the_names_of_axes() {
        let given = Map::from_iter([("a".to_owned(), json!(1))]);
        assert_eq!(
            attributes(&["x_0".to_owned()], given),
            json!({"a": 1, "_ARRAY_DIMENSIONS": ["x_0"]})
        );
    }

    #[test]
    fn chunks_are_named_by_plain_numbers() {
        let array = tests::array("'|u1'", &[100, 7], Order::C, "10,1");
        for chunk in [[0, 0], [9, 6]] {
            assert_eq!(index(&key(&chunk), array.grid()), Some(chunk.to_vec()));
        }
        for name in ["10.0", "0.7", "0", "0.0.0", "00.0", "0.", ".0", "", "+0.0", "0/0"] {
            assert_eq!(index(name, array.grid()), None, "{name:?}");
        }
        let point = tests::view("'|u1'", &[], Order::C);
        let grid = Grid::blocks(&point, 1);
        assert_eq!((index("0", &grid), index("", &grid)), (Some(vec![]), None));
    }
}
