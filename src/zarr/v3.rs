//! Zarr v3: the text `zarr.json`, and the names of chunks: `c/1/23`.

use serde_json::{Map, Value, json};

use super::Array;
use super::data_type::DataType;
use crate::npy::dtype::ByteOrder;
use crate::npy::header::Order;
use crate::selection::{Grid, Refusal, number};

/// The file that says what a directory is.
pub const METADATA: &str = "zarr.json";

/// The directory of chunks; the chunk itself of an array without axes.
pub const CHUNKS: &str = "c";

/// `zarr.json` of an array. There is a name for each axis.
pub fn array(
    array: &Array,
    dimension_names: &[String],
    attributes: Map<String, Value>,
) -> Result<Value, Refusal> {
    let view = array.view();
    let data_type = DataType::v3(view.dtype())?;
    Ok(json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": view.shape(),
        "data_type": data_type.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": array.grid().chunk_shape()},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": codecs(array, data_type.byte_order),
        "fill_value": data_type.fill_value,
        "dimension_names": dimension_names,
        "attributes": attributes,
    }))
}

/// How an array becomes the bytes of a chunk: with its axes reversed, if it is in Fortran order, and in
/// C order then.
fn codecs(array: &Array, byte_order: ByteOrder) -> Vec<Value> {
    let bytes = match byte_order {
        ByteOrder::Little => json!({"name": "bytes", "configuration": {"endian": "little"}}),
        ByteOrder::Big => json!({"name": "bytes", "configuration": {"endian": "big"}}),
        ByteOrder::None => json!({"name": "bytes"}),
    };
    match array.order() {
        Order::C => vec![bytes],
        Order::Fortran => {
            let reversed: Vec<usize> = (0..array.view().ndim()).rev().collect();
            vec![json!({"name": "transpose", "configuration": {"order": reversed}}), bytes]
        }
    }
}

/// `zarr.json` of a group. `members` are the `zarr.json` of all arrays and groups beneath by path, which
/// saves readers the search; without them they list directories.
pub fn group(attributes: Map<String, Value>, members: Option<Map<String, Value>>) -> Value {
    let mut group = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
    if let Some(members) = members {
        group["consolidated_metadata"] =
            json!({"kind": "inline", "must_understand": false, "metadata": members});
    }
    group
}

/// The position that a name in the directory of chunks stands for on an axis: `1` in `c/1/23` on axis 0.
/// `None` if the array has no chunk there.
pub fn position(name: &str, axis: usize, grid: &Grid) -> Option<u64> {
    let count = *grid.counts().get(axis)?;
    number::parse(name).filter(|&position| position < count)
}

/// The path of a chunk.
pub fn key(index: &[u64]) -> String {
    index.iter().fold(CHUNKS.to_owned(), |path, position| format!("{path}/{position}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn an_array_is_described_to_the_letter() {
        let array = tests::array("'>i4'", &[10, 20, 3], Order::Fortran, "4,20,1");
        let names = ["x_0", "x_1", "x_2"].map(String::from);
        let expected = r#"{
  "attributes": {"a": 1},
  "chunk_grid": {"configuration": {"chunk_shape": [4, 20, 1]}, "name": "regular"},
  "chunk_key_encoding": {"configuration": {"separator": "/"}, "name": "default"},
  "codecs": [
    {"configuration": {"order": [2, 1, 0]}, "name": "transpose"},
    {"configuration": {"endian": "big"}, "name": "bytes"}
  ],
  "data_type": "int32",
  "dimension_names": ["x_0", "x_1", "x_2"],
  "fill_value": 0,
  "node_type": "array",
  "shape": [10, 20, 3],
  "zarr_format": 3
}
"#;
        let attributes = Map::from_iter([("a".to_owned(), json!(1))]);
        let metadata = super::array(&array, &names, attributes).unwrap();
        assert_eq!(super::super::json::text(&metadata), expected);
    }

    #[test]
    fn a_group_may_hold_the_metadata_of_its_members() {
        let plain = group(Map::new(), None);
        assert_eq!(plain, json!({"zarr_format": 3, "node_type": "group", "attributes": {}}));
        let members = Map::from_iter([("sub".to_owned(), plain.clone())]);
        assert_eq!(
            group(Map::new(), Some(members))["consolidated_metadata"],
            json!({"kind": "inline", "must_understand": false, "metadata": {"sub": plain}})
        );
    }

    #[test]
    fn chunks_are_named_by_plain_numbers() {
        let array = tests::array("'|u1'", &[100, 7], Order::C, "10,7");
        assert_eq!(position("9", 0, array.grid()), Some(9));
        for name in ["10", "09", "+1", "", "1.0", "99999999999999999999"] {
            assert_eq!(position(name, 0, array.grid()), None, "{name:?}");
        }
        assert_eq!(
            (position("0", 1, array.grid()), position("0", 2, array.grid())),
            (Some(0), None)
        );
        assert_eq!((key(&[1, 23]), key(&[])), ("c/1/23".to_owned(), "c".to_owned()));
    }
}
