//! Any text as a path beneath an array: what it selects lies inside the array, is the same by its plain
//! name, and is what its expression says; what is listed can be selected.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use npyfs::encoding::{Encoding, FileEncoding};
use npyfs::npy::header::{Header, Order};
use npyfs::selection::{Group, Selector};
use npyfs::view::View;
use npyfs_fuzz::{assert_bounds, dtype};

const RECORD: &str = "[('r', '<f4'), ('', '|V3'), ('a.b/%', '>c16'), ('', '<i2'), ('é', [('x', '|i1'), \
                      (('t', 'y'), '|S17', (3, 2)), ('z', '|S0')])]";

/// Arrays to select from: the first byte of an input says which.
const ROOTS: [(&str, &[u64], Order); 12] = [
    ("'<f8'", &[], Order::C),
    ("'|u1'", &[10], Order::C),
    ("'>c16'", &[7, 5], Order::C),
    ("'<f8'", &[3, 4, 5], Order::Fortran),
    (RECORD, &[4, 3], Order::C),
    (RECORD, &[2, 3, 4], Order::Fortran),
    ("'<i4'", &[0, 3], Order::C),
    ("'<i4'", &[3, 0, 2], Order::Fortran),
    ("'|u1'", &[1 << 62], Order::C),
    ("'<f8'", &[1 << 31, 1 << 28], Order::Fortran),
    ("'|S0'", &[1 << 62, 1], Order::C),
    ("'<u2'", &[1; 63], Order::C),
];

const TILE_BYTES: u64 = 64;

fn root(number: u8) -> View {
    let (descr, shape, order) = ROOTS[usize::from(number) % ROOTS.len()];
    let dtype = Arc::new(dtype(descr));
    let header = Header { version: (1, 0), dtype, order, shape: shape.to_vec(), data_offset: 128 };
    View::of_header(&header).expect("the sizes fit")
}

/// What a selector that goes by this name in a group, or right in an array's directory, makes of an array.
fn apply(selector: &Selector, group: Option<&Group>, name: &str, view: &View) -> Option<View> {
    let plain = selector.name();
    let by_plain_name = match group {
        Some(group) => group.select(&plain, view),
        None => Selector::named(&plain),
    };
    assert_eq!(by_plain_name.as_ref(), Ok(selector));
    assert!(plain == name || plain.len() < name.len() && name.contains('0'), "{name}");
    let selected = selector.apply(view).ok()?;
    assert_bounds(&selected);
    assert_eq!(selected.data(), view.data());
    for encoding in [FileEncoding::Npy, FileEncoding::Raw] {
        assert!(encoding.layout(&selected).len() >= selected.nbytes());
    }
    for encoding in Encoding::ALL {
        let file_name = format!("{name}{}", encoding.extension());
        assert_eq!(Encoding::strip(&file_name), Some((name, encoding)));
    }
    let expression = selector.expression(view);
    match selector {
        Selector::Field(_) | Selector::Component(_) | Selector::Transpose => {}
        _ => {
            let index = expression.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let index = index.expect("an index in brackets").replace(' ', "");
            let slice = Group::Slice.select(&index, view).expect("a slice");
            assert_eq!(slice.apply(view), Ok(selected.clone()), "a{expression}");
        }
    }
    Some(selected)
}

/// What an array's directory says is there, a few of each kind.
fn check_listings(view: &View) {
    // One axis is like another, and there may be 64.
    let few = |name: &String| !name.starts_with("axis") || name.ends_with(['2', '3']);
    for name in Group::listed(view).into_iter().filter(few) {
        let group = Group::named(&name, view).expect("a group that is listed");
        check_listing(&group, view);
        for path in group.usage(view).iter().flat_map(|text| examples(text)) {
            assert!(leads_to_an_array(view, &format!("{name}/{path}")), "{name}/{path}");
        }
    }
    for path in examples(&Group::usage_of_array(view)) {
        assert!(leads_to_an_array(view, path), "{path}");
    }
}

/// The paths that a usage file shows, without their encodings.
fn examples(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.filter_map(|line| Some(Encoding::strip(line.split("  ").next()?)?.0))
}

/// Whether each name of a path is there, and the last one selects.
fn leads_to_an_array(view: &View, path: &str) -> bool {
    let (mut view, mut group) = (view.clone(), None::<Group>);
    for name in path.split('/') {
        let inner = match &group {
            None => Group::named(name, &view),
            Some(group) => group.enter(name, &view),
        };
        if let Ok(inner) = inner {
            group = Some(inner);
            continue;
        }
        let selector = match &group {
            None => Selector::named(name),
            Some(group) => group.select(name, &view),
        };
        let Ok(selector) = selector else { return false };
        let Some(selected) = apply(&selector, group.as_ref(), name, &view) else { return false };
        (view, group) = (selected, None);
    }
    group.is_none()
}

/// The rows of an expression `[start:stop]`.
fn rows(expression: &str) -> Option<(u64, u64)> {
    let (start, stop) = expression.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    Some((start.parse().ok()?, stop.parse().ok()?))
}

fn check_listing(group: &Group, view: &View) {
    let places = group.places(view, TILE_BYTES);
    // Tiles and parts cover the array: each begins where the one before it ended.
    let covers = matches!(group, Group::Axis(0) | Group::PartsOf(_));
    let (mut next, mut covered) = (0, 0);
    for place in (0..places.min(3)).chain(places.saturating_sub(3)..places) {
        let Some(name) = group.listed_at(place, view, TILE_BYTES) else { continue };
        let selector = group.select(&name, view).expect("what is listed");
        apply(&selector, Some(group), &name, view).expect("what is listed");
        if covers {
            let (start, stop) = rows(&selector.expression(view)).expect("rows");
            assert!(place != next || start == covered, "{name} begins at {start}, not {covered}");
            (next, covered) = (place + 1, stop);
            assert!(place + 1 < places || stop == view.shape()[0], "{name}");
        }
    }
}

/// Follows a path as far as it goes: the view there, and the group if it ends in one.
fn walk(mut view: View, path: &str) -> (View, Option<Group>) {
    let mut group: Option<Group> = None;
    for name in path.split('/') {
        let (inner, selector) = match &group {
            None => (Group::named(name, &view), Selector::named(name)),
            Some(group) => (group.enter(name, &view), group.select(name, &view)),
        };
        match (inner, selector) {
            (Ok(_), Ok(_)) => panic!("{name} is two things"),
            (Ok(inner), Err(_)) => group = Some(inner),
            (Err(_), Ok(selector)) => match apply(&selector, group.as_ref(), name, &view) {
                Some(selected) => (view, group) = (selected, None),
                None => break,
            },
            (Err(_), Err(_)) => break,
        }
    }
    (view, group)
}

fuzz_target!(|input: &[u8]| {
    let Some((&number, path)) = input.split_first() else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    let (view, group) = walk(root(number), path);
    match group {
        Some(group) => check_listing(&group, &view),
        None => check_listings(&view),
    }
});
