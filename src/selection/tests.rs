use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::npy::dtype::DType;
use crate::npy::header::{Header, Order};
use crate::npy::literal;

pub(super) fn view(descr: &str, shape: &[u64]) -> View {
    let dtype = DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap();
    View::of_header(&Header {
        version: (1, 0),
        dtype: Arc::new(dtype),
        order: Order::C,
        shape: shape.to_vec(),
        data_offset: 0,
    })
    .unwrap()
}

/// The shape, offset and expression that `path` selects of `view`, or why it selects nothing.
fn select(view: &View, path: &str) -> Result<(Vec<u64>, u64, String), String> {
    let (groups, name) = path.rsplit_once('/').unwrap_or(("", path));
    let found = (|| {
        let mut parts = groups.split('/').filter(|part| !part.is_empty());
        let Some(first) = parts.next() else { return Selector::named(name) };
        let mut group = Group::named(first, view)?;
        for part in parts {
            group = group.enter(part, view)?;
        }
        group.select(name, view)
    })();
    let selected = found.and_then(|selector| {
        let selected = selector.apply(view)?;
        Ok((
            selected.shape().to_vec(),
            selected.offset(),
            format!("a{}", selector.expression(view)),
        ))
    });
    selected.map_err(|refusal| refusal.to_string())
}

#[test]
fn every_selector_finds_its_elements_and_says_how_python_would() {
    let a = view("'|u1'", &[10, 4]);
    for (path, shape, offset, expression) in [
        ("rows/3", &[4][..], 12, "a[3]"),
        ("rows/2-5", &[3, 4], 8, "a[2:5]"),
        ("rows/10-10", &[0, 4], 0, "a[10:10]"),
        ("cols/1", &[10], 1, "a[:, 1]"),
        ("axis-1/1-3", &[10, 2], 1, "a[:, 1:3]"),
        ("axis0/9", &[4], 36, "a[9]"),
        ("slice/-1", &[4], 36, "a[-1]"),
        ("slice/::-1,1", &[10], 37, "a[::-1,1]"),
        ("slice/...,None", &[10, 4, 1], 0, "a[...,None]"),
        ("slice/2,3", &[], 11, "a[2,3, ...]"),
        ("slice/2,...,3", &[], 11, "a[2,...,3]"),
        ("parts/4/0", &[3, 4], 0, "a[0:3]"),
        ("parts/4/3", &[2, 4], 32, "a[8:10]"),
        ("parts/4294967296/4294967295", &[0, 4], 0, "a[10:10]"),
        ("windows/3,2/3", &[3, 4], 24, "a[6:9]"),
        ("T", &[4, 10], 0, "a.T"),
    ] {
        assert_eq!(select(&a, path), Ok((shape.to_vec(), offset, expression.to_owned())), "{path}");
    }
    let one = view("'|u1'", &[5]);
    assert_eq!(select(&one, "rows/3"), Ok((vec![], 3, "a[3, ...]".to_owned())));
}

#[test]
fn what_selects_nothing_says_why() {
    let a = view("'<f8'", &[10, 4]);
    for (path, why) in [
        ("rows/0-5000000", "the array has 10 rows"),
        ("rows/10", "the array has 10 rows"),
        ("rows/99999999999999999999", "the array has 10 rows"),
        ("cols/0-5", "the array has 4 columns"),
        ("rows/5-2", "the range starts at 5, after its end 2"),
        (
            "rows/001",
            "\"001\" is neither an index such as 7 nor a range such as 0-50, in plain decimal or padded with zeros to 2 digits",
        ),
        (
            "rows/0:5",
            "\"0:5\" is neither an index such as 7 nor a range such as 0-50, in plain decimal; \
             write rows/0-5, or slice/0:5",
        ),
        (
            "cols/-1",
            "\"-1\" is neither an index such as 7 nor a range such as 0-50, in plain decimal; \
             write slice/:,-1",
        ),
        (
            "rows/::2",
            "\"::2\" is neither an index such as 7 nor a range such as 0-50, in plain decimal; \
             write slice/::2",
        ),
        ("axis2/0", "the array has 2 axes"),
        ("axis-3/0", "the array has 2 axes"),
        ("axis-0/0", "-0 is not an axis"),
        ("axis01/0", "\"01\" is not the number of an axis"),
        ("slice/10", "index 10 is out of bounds for an axis of length 10"),
        ("slice/-11", "index -11 is out of bounds for an axis of length 10"),
        ("slice/0,0,0", "too many indices: the array has 2 axes"),
        ("slice/...,...", "an index can only have a single ellipsis"),
        ("slice/::0", "a slice step cannot be zero"),
        (
            "slice/+1",
            "\"+1\" is none of 3, -1, 2:5, ::2, ... and None (with no blanks, plus signs, leading zeros or brackets)",
        ),
        ("parts/0/0", "\"0\" is not a number of parts from 1 to 4294967296"),
        ("parts/4", "\"4\" is one level too high: write parts/<n>/<i>"),
        ("parts/4/4", "the parts are 0 to 3"),
        ("windows/3,2/4", "there are 4 whole windows of 3 rows every 2 rows"),
        ("windows/11,1/0", "the array has 10 rows"),
        ("windows/0,1/0", "\"0,1\" is not <size>,<step>, two numbers from 1 on, such as 10,1"),
        ("fields/r", "the dtype '<f8' has no fields"),
        ("t", NO_ENTRY),
    ] {
        assert_eq!(select(&a, path), Err(why.to_owned()), "{path}");
    }
    let record = view("[('r', '<f4'), ('i', '<f4')]", &[3]);
    assert_eq!(
        select(&record, "fields/x"),
        Err("there is no such field; there are r, i".to_owned())
    );
}

#[test]
fn slices_clamp_as_python_does() {
    let a = view("'|u1'", &[5]);
    let huge = "9".repeat(60);
    for (expr, len, offset) in [
        ("1:100".to_owned(), 4, 1),
        ("-100:2".to_owned(), 2, 0),
        ("4:1:-1".to_owned(), 3, 4),
        ("::-2".to_owned(), 3, 4),
        ("3:1".to_owned(), 0, 0),
        (format!("-{huge}:{huge}"), 5, 0),
        (format!("{huge}:-{huge}:-{huge}"), 1, 4),
        (format!("::{huge}"), 1, 0),
        ("1:2:".to_owned(), 1, 1),
    ] {
        let (shape, at, _) = select(&a, &format!("slice/{expr}")).unwrap();
        assert_eq!((shape[0], at), (len, offset), "{expr}");
    }
}

#[test]
fn misspelt_slices_do_not_exist() {
    let a = view("'|u1'", &[5, 5]);
    let misspelt = "|,|0,|,0| 0|0 |+1|01|-0|-01|0x1|1_0|1.0|none|True|[0]|0;1|....|..|1:2:3:4|--1|1-2|٣|0, 1|:+1|:-0";
    for expr in misspelt.split('|') {
        assert!(select(&a, &format!("slice/{expr}")).is_err(), "{expr:?}");
    }
}

#[test]
fn new_axes_go_up_to_numpys_limit() {
    let a = view("'|u1'", &[1; 40]);
    let axes = |new: usize, indexed: usize| {
        let items: Vec<&str> =
            std::iter::repeat_n("None", new).chain(std::iter::repeat_n("0", indexed)).collect();
        select(&a, &format!("slice/{}", items.join(","))).map(|(shape, ..)| shape.len())
    };
    assert_eq!(axes(24, 0), Ok(64));
    assert_eq!(axes(25, 0), Err("the result would have more than 64 axes".to_owned()));
    assert_eq!(axes(30, 30), Ok(40));
}

#[test]
fn fields_are_found_by_their_escaped_names_only() {
    let record = view(
        "[('a.b', 'u1'), ('c/d', 'u1'), ('50%', 'u1'), ('', 'u1'), ('x\\0', 'u1'), ('é', 'u1')]",
        &[2],
    );
    let listed: Vec<String> = (0..Group::Fields.places(&record, 1))
        .filter_map(|i| Group::Fields.listed_at(i, &record, 1))
        .collect();
    assert_eq!(listed, ["a%2Eb", "c%2Fd", "50%25", "%", "x%00", "é"]);
    for (i, name) in listed.iter().enumerate() {
        assert_eq!(select(&record, &format!("fields/{name}")).unwrap().1, i as u64, "{name}");
    }
    for name in ["a.b", "a%2eb", "50%", "", "%25", "%C3%A9", "%2E", "%2", "x%"] {
        assert!(Group::Fields.select(name, &record).is_err(), "{name:?}");
    }
    assert_eq!(select(&record, "fields/%").unwrap().2, "a['']");
}

#[test]
fn complex_numbers_have_two_parts() {
    let a = view("'>c16'", &[2]);
    assert_eq!(select(&a, "fields/imag"), Ok((vec![2], 8, "a.imag".to_owned())));
    assert!(select(&a, "fields/x").is_err());
    assert_eq!(Group::Fields.listed_at(0, &a, 1).as_deref(), Some("real"));
}

#[test]
fn tiles_cover_the_rows() {
    for (shape, tile_bytes, names) in [
        (&[10, 4][..], 12, &["00-03", "03-06", "06-09", "09-10"][..]),
        (&[3, 4], 1, &["0-1", "1-2", "2-3"]),
        (&[3, 4], u64::MAX, &["0-3"]),
        (&[3, 0], 1, &["0-3"]),
        (&[0, 4], 1, &["0-0"]),
    ] {
        let a = view("'|u1'", shape);
        let group = Group::Axis(0);
        let listed: Vec<String> = (0..group.places(&a, tile_bytes))
            .filter_map(|place| group.listed_at(place, &a, tile_bytes))
            .collect();
        assert_eq!(listed, names, "{shape:?}");
    }
}

#[test]
fn what_usage_shows_works() {
    for shape in [&[][..], &[0], &[1], &[7], &[1, 1], &[5, 0, 3], &[9, 8, 7, 6]] {
        let a = view("'<f8'", shape);
        for name in Group::listed(&a) {
            let Some(usage) = Group::named(&name, &a).unwrap().usage(&a) else { continue };
            let examples = usage.lines().filter_map(|line| line.strip_prefix("    "));
            let mut found = 0;
            for example in examples {
                let path = example.split_whitespace().next().unwrap();
                if path.ends_with("/T.npy") {
                    continue;
                }
                let path = path.strip_suffix(".npy").or(path.strip_suffix(".raw")).unwrap();
                assert!(select(&a, &format!("{name}/{path}")).is_ok(), "{shape:?} {name}/{path}");
                found += 1;
            }
            assert!(found > 0, "{usage}");
        }
        let of_array = Group::usage_of_array(&a);
        let examples = of_array.lines().filter(|line| line.starts_with("    ")).count();
        assert!(examples >= 5, "{of_array}");
    }
}

#[test]
fn usage_of_an_array_with_very_many_fields_is_short() {
    let fields: Vec<String> = (0..4000).map(|i| format!("('field {i}', '<i2')")).collect();
    let a = view(&format!("[{}]", fields.join(", ")), &[3]);
    for text in [Group::usage_of_array(&a), Group::Fields.usage(&a).unwrap()] {
        assert!(text.len() < 2000, "{text}");
        assert!(text.contains("field 0.npy"), "{text}");
    }
}

#[test]
fn usage_shows_no_name_that_does_not_fit_in_a_line() {
    let a =
        view("[('a\\nb', '<i2'), ('\\x1b[2J', '<i2'), ('x  y', '<i2'), ('plain', '<i2')]", &[3]);
    let text = Group::Fields.usage(&a).unwrap();
    assert!(!text.contains('\x1b') && !text.contains("x  y"), "{text:?}");
    assert!(text.contains("\n    plain.npy "), "{text}");
}

#[test]
fn a_directory_lists_the_groups_that_apply() {
    assert_eq!(Group::listed(&view("'<f8'", &[])), ["slice"]);
    assert_eq!(Group::listed(&view("'<f8'", &[0])), ["rows", "slice", "parts"]);
    assert_eq!(
        Group::listed(&view("[('r', '<f8')]", &[2, 3, 4, 5])),
        ["rows", "cols", "axis2", "axis3", "slice", "parts", "windows", "chunks", "fields"]
    );
}

/// The names that a group lists at its first places, its last ones, and some between.
fn listed(group: &Group, view: &View, tile_bytes: u64) -> Vec<String> {
    let places = group.places(view, tile_bytes);
    let some = (0..places.min(12)).chain((1..8).map(|eighth| places / 8 * eighth));
    let mut some: Vec<u64> = some.chain(places.saturating_sub(12)..places).collect();
    some.sort();
    some.dedup();
    some.into_iter().filter_map(|place| group.listed_at(place, view, tile_bytes)).collect()
}

proptest! {
    /// Names sorted as text are in the order of the array, and mean what the plain ones do.
    #[test]
    fn listed_chunks_sort_as_the_array_does(
        rows in 1u64..2000,
        columns in 1u64..200,
        chunk in (1u64..300, 1u64..300),
    ) {
        let array = view("'|u1'", &[rows, columns]);
        let group = Group::Chunks.enter(&format!("{},{}", chunk.0, chunk.1), &array).unwrap();
        let names = listed(&group, &array, 1);
        prop_assert!(names.is_sorted(), "{:?}", names);
        prop_assert!(names.windows(2).all(|two| two[0].len() == two[1].len()), "{:?}", names);
        let offsets: Vec<(u64, u64)> = names.iter().map(|name| {
            let selected = group.select(name, &array).unwrap().apply(&array).unwrap();
            let at = selected.offset() - array.offset();
            (at / columns, at % columns)
        }).collect();
        prop_assert!(offsets.is_sorted(), "{:?}", offsets);
        let places = group.places(&array, 1);
        prop_assert_eq!(places, rows.div_ceil(chunk.0) * columns.div_ceil(chunk.1));
    }

    /// Names sorted as text are in the order of the array, and mean what the plain ones do.
    #[test]
    fn listed_names_sort_as_the_array_does(
        rows in prop_oneof![0u64..2000, any::<u64>().prop_map(|n| n >> 2)],
        tile_bytes in prop_oneof![1u64..50, any::<u64>().prop_map(|n| n.max(1))],
        parts in prop_oneof![1u64..2000, 1..=1u64 << 32],
        size in 1u64..50,
        step in prop_oneof![1u64..50, any::<u64>().prop_map(|n| n.max(1))],
    ) {
        let array = view("'|u1'", &[rows]);
        let windows = Group::Windows.enter(&format!("{size},{step}"), &array).ok();
        for group in [Some(Group::Axis(0)), Some(Group::PartsOf(parts)), windows].into_iter().flatten() {
            let names = listed(&group, &array, tile_bytes);
            let mut starts = Vec::new();
            for name in &names {
                let selector = group.select(name, &array).unwrap();
                prop_assert_eq!(group.select(&selector.name(), &array), Ok(selector.clone()));
                let expression = selector.expression(&array);
                let (start, _) = expression.trim_start_matches('[').split_once(':').unwrap();
                starts.push(start.parse::<u64>().unwrap());
            }
            prop_assert!(starts.is_sorted(), "{:?}", starts);
            prop_assert!(names.is_sorted(), "{:?}", names);
            prop_assert!(names.windows(2).all(|two| two[0].len() == two[1].len()), "{:?}", names);
        }
    }

    /// Whatever name selects something is the plain one, or the one with its numbers padded to the
    /// width of the listing: nothing is another spelling of what has one already. Of slices the text
    /// is kept, so there it is the items that must not have two spellings of one number.
    #[test]
    fn a_name_that_is_understood_is_spelt_in_the_only_way(
        group in 0usize..7,
        name in prop_oneof![
            "[0-9+. -]{1,5}",
            "(0|[1-9][0-9]{0,2})-(0|[1-9][0-9]{0,2})",
            "[0-9]{1,4}(-[0-9]{1,4})?",
            "[0-9]{1,3},[0-9]{1,3}",
            "-?[0-9]{1,3}(:-?[0-9]{0,3}){0,2}(,(None|\\.\\.\\.|-?[0-9]{1,2})){0,2}",
            "[a-b%.]{0,4}",
            "(real|imag|%|a%2Eb|a%2eb|%25)",
        ],
    ) {
        let array = match group {
            5 => view("[('a.b', '<f4'), ('', '<f4'), ('%', '<f4'), ('a', '<c8')]", &[100]),
            _ => view("'<c8'", &[100, 50]),
        };
        // The widest numbers that these listings have.
        let width = [3, 2, 0, 1, 2, 0, 2][group];
        let group = match group {
            0 => Group::Axis(0),
            1 => Group::Axis(1),
            2 => Group::Slice,
            3 => Group::PartsOf(7),
            4 => Group::Windows.enter("10,3", &array).unwrap(),
            6 => Group::Chunks.enter("7,3", &array).unwrap(),
            _ => Group::Fields,
        };
        if let Ok(selector) = group.select(&name, &array) {
            let plain = selector.name();
            prop_assert_eq!(group.select(&plain, &array), Ok(selector));
            let is_wide = |number: &str| width > 0 && number.len() == width;
            let between = if matches!(group, Group::Axis(_)) { &['-'][..] } else { &[',', ':'] };
            for number in name.split(between) {
                let digits = number.strip_prefix('-').unwrap_or(number);
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let canonical = !digits.starts_with('0') || number == "0";
                prop_assert!(!is_number || canonical || is_wide(number), "{}", name);
            }
            let zeros_off = |number: &str| match number.trim_start_matches('0') {
                "" => "0".to_owned(),
                digits => digits.to_owned(),
            };
            let separator = if matches!(group, Group::ChunksOf(_)) { "," } else { "-" };
            let without: Vec<String> = name.split(separator).map(zeros_off).collect();
            prop_assert_eq!(plain, if width > 0 { without.join(separator) } else { name });
        }
    }
}
