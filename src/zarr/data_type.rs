//! Which dtypes Zarr can hold, and what it calls them.
//!
//! The names are those that readers know. A type that one of them reads wrong without a word is refused.

use serde_json::{Value, json};

use crate::npy::dtype::{ByteOrder, DType, Field, Kind, Record, Scalar};
use crate::selection::Refusal;

/// What Zarr v3 says of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct DataType {
    /// The member `data_type`.
    pub name: Value,
    /// The member `fill_value`, the value of chunks that are missing. None is; but the member must be
    /// there. It is zero, and for dates `NaT`, which readers take whatever the unit.
    pub fill_value: Value,
    /// In which order the bytes of a value lie.
    pub byte_order: ByteOrder,
}

/// The largest item whose fill value is written byte by byte.
const MAX_OPAQUE: u64 = 1 << 16;

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(why.into()))
}

impl DataType {
    /// The type in Zarr v3.
    pub fn v3(dtype: &DType) -> Result<DataType, Refusal> {
        match dtype {
            DType::Scalar(scalar) => DataType::of_scalar(scalar),
            DType::SubArray(_) => refuse("Zarr v3 has no type for sub-arrays"),
            DType::Record(record) => DataType::of_record(record),
        }
    }

    fn of_scalar(scalar: &Scalar) -> Result<DataType, Refusal> {
        let itemsize = scalar.itemsize();
        let number = |kind: &str| json!(format!("{kind}{}", itemsize * 8));
        let bytes = |name: &str| json!({"name": name, "configuration": {"length_bytes": itemsize}});
        let time = |name: &str| {
            let (count, unit) = scalar.unit().unwrap_or((1, "generic"));
            json!({"name": name, "configuration": {"unit": unit, "scale_factor": count}})
        };
        check(scalar)?;
        let (name, fill_value) = match scalar.kind() {
            Kind::Bool => (json!("bool"), json!(false)),
            Kind::Int => (number("int"), json!(0)),
            Kind::UInt => (number("uint"), json!(0)),
            Kind::Float if itemsize <= 8 => (number("float"), json!(0.0)),
            Kind::Complex if itemsize <= 16 => (number("complex"), json!([0.0, 0.0])),
            Kind::Bytes => (bytes("null_terminated_bytes"), json!("")),
            Kind::Str => (bytes("fixed_length_utf32"), json!("")),
            Kind::Void => (bytes("raw_bytes"), zeros_in_base64(itemsize)?),
            Kind::DateTime => (time("numpy.datetime64"), json!("NaT")),
            Kind::TimeDelta => (time("numpy.timedelta64"), json!("NaT")),
            Kind::Float | Kind::Complex | Kind::Object => {
                return refuse(format!("Zarr v3 has no type for {scalar}"));
            }
        };
        Ok(DataType { name, fill_value, byte_order: scalar.byte_order() })
    }

    /// `structured`, the one spelling that both zarr-python 3.1 and its successors read, and TensorStore.
    fn of_record(record: &Record) -> Result<DataType, Refusal> {
        let (mut fields, mut byte_order) = (Vec::new(), ByteOrder::None);
        for (name, field) in named_fields(record)? {
            let within = |why: Refusal| Refusal(format!("the field {name:?}: {why}"));
            let data_type = DataType::v3(&field.dtype).map_err(within)?;
            match data_type.byte_order {
                ByteOrder::None => {}
                ByteOrder::Little => byte_order = ByteOrder::Little,
                // zarr-python 3.1 takes them for little-endian.
                ByteOrder::Big => {
                    return refuse(format!(
                        "the field {name:?} is big-endian, which readers of Zarr v3 get wrong in records"
                    ));
                }
            }
            fields.push(json!([name, data_type.name]));
        }
        let name = json!({"name": "structured", "configuration": {"fields": fields}});
        let fill_value = zeros_in_base64(record.itemsize())?;
        Ok(DataType { name, fill_value, byte_order })
    }
}

/// The member `dtype` of Zarr v2: NumPy's descr, with lists for tuples.
pub fn v2(dtype: &DType) -> Result<Value, Refusal> {
    match dtype {
        DType::Scalar(scalar) => {
            check(scalar)?;
            Ok(json!(scalar.to_string()))
        }
        DType::SubArray(_) => refuse("Zarr v2 has sub-arrays only in records"),
        DType::Record(record) => {
            let fields = named_fields(record)?.into_iter().map(|(name, field)| {
                let (mut base, mut shape) = (&field.dtype, Vec::new());
                while let DType::SubArray(sub) = &**base {
                    shape.extend_from_slice(sub.shape());
                    base = sub.base();
                }
                Ok(match &shape[..] {
                    [] => json!([name, v2(base)?]),
                    shape => json!([name, v2(base)?, shape]),
                })
            });
            fields.collect()
        }
    }
}

fn check(scalar: &Scalar) -> Result<(), Refusal> {
    match scalar.kind() {
        Kind::Object => refuse("Zarr cannot hold Python objects"),
        _ if scalar.itemsize() == 0 => refuse(format!("Zarr has no items of 0 bytes ({scalar})")),
        _ => Ok(()),
    }
}

/// The fields of a record by name, if Zarr can hold it: each has a name, and they follow one another.
fn named_fields(record: &Record) -> Result<Vec<(&str, &Field)>, Refusal> {
    const PADDED: &str = "Zarr has no records with padding between the fields or after the last";
    let (mut fields, mut end) = (Vec::new(), 0);
    for field in record.fields() {
        match field.name.as_str() {
            None => {
                return refuse(format!("the field's name {} is not Unicode", field.name.repr()));
            }
            Some("") => return refuse("Zarr has no fields without a name"),
            Some(_) if field.offset != end => return refuse(PADDED),
            Some(name) if field.dtype.itemsize() == 0 => {
                return refuse(format!(
                    "the field {name:?} has 0 bytes, which no field has in Zarr"
                ));
            }
            Some(name) => fields.push((name, field)),
        }
        end += field.dtype.itemsize();
    }
    match fields[..] {
        _ if end != record.itemsize() => refuse(PADDED),
        [] => refuse("Zarr has no records without fields"),
        _ => Ok(fields),
    }
}

/// `len` bytes of zeros, as the fill value of an item that Zarr does not look into.
fn zeros_in_base64(len: u64) -> Result<Value, Refusal> {
    if len > MAX_OPAQUE {
        return refuse(format!(
            "an item of {len} bytes, all of which zarr.json would have to spell out"
        ));
    }
    let rest = ["", "AA==", "AAA="][(len % 3) as usize];
    Ok(json!("AAAA".repeat((len / 3) as usize) + rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::literal;

    fn dtype(descr: &str) -> DType {
        DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap()
    }

    #[test]
    fn v3_has_a_name_for_every_plain_type() {
        for (descr, name, fill, byte_order) in [
            ("'|b1'", json!("bool"), json!(false), ByteOrder::None),
            ("'|u1'", json!("uint8"), json!(0), ByteOrder::None),
            ("'>i8'", json!("int64"), json!(0), ByteOrder::Big),
            ("'<f2'", json!("float16"), json!(0.0), ByteOrder::Little),
            ("'<c16'", json!("complex128"), json!([0.0, 0.0]), ByteOrder::Little),
            (
                "'>U5'",
                json!({"name": "fixed_length_utf32", "configuration": {"length_bytes": 20}}),
                json!(""),
                ByteOrder::Big,
            ),
            (
                "'|S7'",
                json!({"name": "null_terminated_bytes", "configuration": {"length_bytes": 7}}),
                json!(""),
                ByteOrder::None,
            ),
            (
                "'|V4'",
                json!({"name": "raw_bytes", "configuration": {"length_bytes": 4}}),
                json!("AAAAAA=="),
                ByteOrder::None,
            ),
            (
                "'<M8[25us]'",
                json!({"name": "numpy.datetime64", "configuration": {"unit": "us", "scale_factor": 25}}),
                json!("NaT"),
                ByteOrder::Little,
            ),
            (
                "'>m8'",
                json!({"name": "numpy.timedelta64", "configuration": {"unit": "generic", "scale_factor": 1}}),
                json!("NaT"),
                ByteOrder::Big,
            ),
        ] {
            let expected = DataType { name, fill_value: fill, byte_order };
            assert_eq!(DataType::v3(&dtype(descr)), Ok(expected), "{descr}");
        }
    }

    #[test]
    fn records_nest() {
        let record = dtype("[('a', [('x', '<i2'), ('y', '|u1')]), (('Title', 'é'), '|S2')]");
        let inner = json!({"name": "structured", "configuration": {"fields": [["x", "int16"], ["y", "uint8"]]}});
        let bytes = json!({"name": "null_terminated_bytes", "configuration": {"length_bytes": 2}});
        let expected = DataType {
            name: json!({"name": "structured", "configuration": {"fields": [["a", inner], ["é", bytes]]}}),
            fill_value: json!("AAAAAAA="),
            byte_order: ByteOrder::Little,
        };
        assert_eq!(DataType::v3(&record), Ok(expected));
        assert_eq!(v2(&record), Ok(json!([["a", [["x", "<i2"], ["y", "|u1"]]], ["é", "|S2"]])));
    }

    #[test]
    fn what_zarr_cannot_hold_is_refused_with_the_reason() {
        let both = |descr: &str| {
            let refused = DataType::v3(&dtype(descr)).unwrap_err().0;
            assert!(v2(&dtype(descr)).is_err(), "{descr}");
            refused
        };
        assert_eq!(both("'|O'"), "Zarr cannot hold Python objects");
        assert_eq!(both("'|S0'"), "Zarr has no items of 0 bytes (|S0)");
        assert_eq!(
            both("[('a', '|u1'), ('', '|V3'), ('b', '<i4')]"),
            "Zarr has no records with padding between the fields or after the last"
        );
        for descr in [
            "[('a', '|u1'), ('', '|V3')]",
            "[('', '<i2'), ('x', '<i2')]",
            r"[('\ud800', '<i2')]",
            "[('a', '<U0'), ('b', '<i2')]",
            "[('b', '<i2', (0,))]",
            "[('a', '<i2'), ('b', [('c', '|O')])]",
            "[]",
        ] {
            both(descr);
        }
    }

    #[test]
    fn v3_refuses_what_its_readers_do_not_know_and_v2_does_not() {
        for (descr, in_v2, why) in [
            ("'<f16'", json!("<f16"), "Zarr v3 has no type for <f16"),
            ("'>c32'", json!(">c32"), "Zarr v3 has no type for >c32"),
            (
                "[('a', '>i2'), ('b', ('<f4', (3,)), (2,))]",
                json!([["a", ">i2"], ["b", "<f4", [2, 3]]]),
                "the field \"a\" is big-endian, which readers of Zarr v3 get wrong in records",
            ),
            (
                "[('b', '<f4', (3,))]",
                json!([["b", "<f4", [3]]]),
                "the field \"b\": Zarr v3 has no type for sub-arrays",
            ),
            (
                "'|V65537'",
                json!("|V65537"),
                "an item of 65537 bytes, all of which zarr.json would have to spell out",
            ),
        ] {
            assert_eq!(DataType::v3(&dtype(descr)).unwrap_err().0, why, "{descr}");
            assert_eq!(v2(&dtype(descr)), Ok(in_v2), "{descr}");
        }
    }

    #[test]
    fn zeros_are_as_base64_has_them() {
        let text = |len| zeros_in_base64(len).unwrap();
        assert_eq!([text(1), text(2), text(3), text(4)], ["AA==", "AAA=", "AAAA", "AAAAAA=="]);
    }
}
