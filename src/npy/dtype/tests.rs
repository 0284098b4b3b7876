use super::super::literal::parse;
use super::*;

fn descr(source: &str) -> String {
    match DType::from_descr(&parse(source, false).unwrap()) {
        Ok(dtype) => format!("{} {}", dtype.descr(), dtype.itemsize()),
        Err(err) => format!("error: {err}"),
    }
}

/// Every pair was printed by `dtype_to_descr(descr_to_dtype(…))` of NumPy 2.4.6.
#[test]
fn a_descr_comes_back_as_numpy_writes_it() {
    for (source, expected) in [
        ("'=f8'", "'<f8' 8"),
        ("[]", "[] 0"),
        ("[('', '|V3')]", "[('', '|V3')] 3"),
        ("[('a', '<f4', 1)]", "[('a', '<f4', (1,))] 4"),
        ("[('a', '<f4', ())]", "[('a', '<f4')] 4"),
        ("[('a', '<f4', [2])]", "[('a', '<f4', (2,))] 8"),
        ("[['a', '<f4']]", "[('a', '<f4')] 4"),
        ("[('a', ('<f4', (2,)), (3,))]", "[('a', ('<f4', (2,)), (3,))] 24"),
        ("[(('t', 'a'), '<f4')]", "[(('t', 'a'), '<f4')] 4"),
        ("[((None, 'a'), '<f4')]", "[('a', '<f4')] 4"),
        ("[((1, 'a'), '<f4')]", "[((1, 'a'), '<f4')] 4"),
        ("[('', '<f4')]", "[('', '<f4')] 4"),
        ("[('a', 'S0', 3), ('b', 'U', 2)]", "[('a', '|S3'), ('b', '<U2')] 11"),
        ("[('a', ('V0', 5), 2)]", "[('a', '|V5', (2,))] 10"),
        ("[('', '<f4', (2,)), ('x', 'i1')]", "[('', '|V8'), ('x', '|i1')] 9"),
        ("[((None, ''), 'V4')]", "[('', '|V4')] 4"),
        ("[('', '|V3'), ('', '|V2'), ('a', '|i1')]", "[('', '|V5'), ('a', '|i1')] 6"),
        ("[('', '|V0'), ('a', '|i1')]", "[('a', '|i1')] 1"),
        ("[('a', '|i1'), ('', '|V7')]", "[('a', '|i1'), ('', '|V7')] 8"),
        (
            "[('p', [('x', '<f4'), ('y', '>f4')]), ('q', '<i2')]",
            "[('p', [('x', '<f4'), ('y', '>f4')]), ('q', '<i2')] 10",
        ),
        ("[('\\ud800', 'i4')]", "[('\\ud800', '<i4')] 4"),
    ] {
        assert_eq!(descr(source), expected, "{source}");
    }
}

#[test]
fn what_is_no_dtype_says_why() {
    for (source, message) in [
        ("3", "descr must be a str, a tuple or a list, not an int"),
        ("('<f4',)", "('<f4',) is not (dtype, shape)"),
        ("[('a',)]", "('a',) is not a field: (name, dtype[, shape])"),
        ("['ab']", "a field must be a tuple, not a str"),
        ("[(3, 'i4')]", "a field's name must be a str, not an int"),
        ("[(b'a', 'i4')]", "a field's name must be a str, not bytes"),
        ("[('a', 'i4'), ('a', 'i4')]", "the field name or title 'a' is there twice"),
        ("[(('a', 'a'), 'i4')]", "the field name or title 'a' is there twice"),
        ("[(('t', 'a'), 'i4'), ('t', 'i4')]", "the field name or title 't' is there twice"),
        ("[('', 'i4'), ('', 'i4')]", "the field name or title '' is there twice"),
        ("[('a', '<f4', -1)]", "-1 is not the shape of a sub-array"),
        ("[('a', 'S0', (3,))]", "a sub-array (3,) of |S0, which has no length"),
        ("[('a', 'U0', 536870912)]", "536870912 is not the length of <U0"),
        ("[('a', ('<f4', (0,)), 3)]", "a sub-array 3 of empty sub-arrays"),
        ("[('a', '<f4', True)]", "True is not the shape of a sub-array"),
        ("[('a', 'i4', (70000, 70000))]", "a sub-array (70000, 70000) of 2147483647 bytes or more"),
        ("[('a', 'S2000000000'), ('b', 'S2000000000')]", "a record of more than 2147483647 bytes"),
        ("[('a', None)]", "descr must be a str, a tuple or a list, not None"),
    ] {
        assert_eq!(descr(source), format!("error: {message}"), "{source}");
    }
}

#[test]
fn fields_are_found_by_name() {
    let descr = "[('b', '|i1'), ('a', '|i1'), ('', '|i1'), ('\\ud800', '|i1'), ('é', '|i1')]";
    let dtype = DType::from_descr(&parse(descr, false).unwrap()).unwrap();
    let record = dtype.as_record().unwrap();
    for field in record.fields() {
        assert_eq!(record.field(&field.name), Some(field));
    }
    assert_eq!(record.field(&Text::new("c")), None);
}

#[test]
fn objects_are_found_however_deep() {
    let has_objects =
        |source| DType::from_descr(&parse(source, false).unwrap()).unwrap().has_objects();
    assert!(has_objects("'|O'"));
    assert!(has_objects("[('a', [('b', '|O', (2,))])]"));
    assert!(!has_objects("[('a', [('b', '<f4', (2,))])]"));
}
