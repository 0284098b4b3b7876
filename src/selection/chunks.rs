//! `chunks/<n>,<n>,…/<i>,<j>,…`: chunks of a shape that is named, by their place along each axis.

use super::number::Width;
use super::{Grid, Refusal, Usage, refuse};
use crate::npy::shape_text;
use crate::view::View;

/// The chunk of a grid at an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    grid: Grid,
    index: Box<[u64]>,
}

/// How long the numbers on each axis are in the listing of a grid.
fn widths(counts: &[u64]) -> impl Iterator<Item = Width> {
    counts.iter().map(|count| Width::of(count.saturating_sub(1)))
}

impl Chunk {
    pub(super) fn from_name(name: &str, grid: &Grid) -> Result<Chunk, Refusal> {
        let counts = grid.counts();
        let numbers: Vec<&str> = name.split(',').collect();
        let is_index = numbers.len() == counts.len()
            && widths(&counts).zip(&numbers).all(|(width, number)| width.is_number(number));
        if !is_index {
            return refuse(format!(
                "{name:?} is not the place of a chunk: its number along each axis, such as {}",
                vec!["0"; counts.len()].join(",")
            ));
        }
        let numbers = widths(&counts).zip(&numbers).map(|(width, number)| width.parse(number));
        match numbers.collect::<Option<Box<[u64]>>>() {
            Some(index) if index.iter().zip(&counts).all(|(i, count)| i < count) => {
                Ok(Chunk { grid: grid.clone(), index })
            }
            _ => refuse(format!("the array has {} chunks of that shape", shape_text(&counts))),
        }
    }

    pub(super) fn name(&self) -> String {
        self.index.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
    }

    pub(super) fn footprint(&self) -> usize {
        size_of_val(&*self.index) + self.grid.footprint()
    }

    pub(super) fn apply(&self, view: &View) -> Option<View> {
        self.grid.chunk(view, &self.index)
    }

    pub(super) fn expression(&self) -> String {
        let ranges =
            self.grid.ranges(&self.index).map(|range| format!("{}:{}", range.start, range.end));
        format!("[{}]", ranges.collect::<Vec<_>>().join(", "))
    }
}

/// How many chunks there are.
pub(super) fn count(grid: &Grid) -> u64 {
    let counts = grid.counts();
    if counts.contains(&0) {
        return 0;
    }
    counts.into_iter().fold(1, u64::saturating_mul)
}

/// The name that the listing has for a chunk: numbers of one width on each axis, the last axis fastest.
pub(super) fn listed_name(grid: &Grid, mut place: u64) -> Option<String> {
    let counts = grid.counts();
    let mut index = vec![0; counts.len()];
    for (i, count) in index.iter_mut().zip(&counts).rev() {
        (*i, place) = (place.checked_rem(*count)?, place / count);
    }
    let numbers: Vec<String> = widths(&counts).zip(index).map(|(width, i)| width.pad(i)).collect();
    Some(numbers.join(","))
}

pub(super) fn usage(view: &View) -> Usage {
    let title = format!(
        "Chunks of a shape that you name, shape/place: one number for each axis. (shape.zarr is the whole\n\
         array in Zarr, in these chunks.) The array has the shape {}.",
        shape_text(view.shape())
    );
    let halves: Vec<u64> = view.shape().iter().map(|len| len.div_ceil(2).max(1)).collect();
    let name = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let last = Grid::named(&name(&halves), view)
        .map(|grid| grid.counts().iter().map(|count| count.saturating_sub(1)).collect::<Vec<_>>());
    let first = vec![0; halves.len()];
    let places = [Some(first), last.ok()].into_iter().flatten();
    (title, places.map(|place| format!("{}/{}", name(&halves), name(&place))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::view;
    use super::*;

    fn chunk(name: &str, place: &str) -> Result<Chunk, Refusal> {
        Chunk::from_name(place, &Grid::named(name, &view("'<f8'", &[100, 10])).unwrap())
    }

    #[test]
    fn a_chunk_is_a_range_on_each_axis() {
        let (chunk, padded) = (chunk("30,4", "3,2").unwrap(), chunk("9,4", "03,2").unwrap());
        assert_eq!(chunk.expression(), "[90:100, 8:10]");
        assert_eq!(chunk.apply(&view("'<f8'", &[100, 10])).unwrap().shape(), [10, 2]);
        assert_eq!((chunk.name(), padded.name()), ("3,2".into(), "3,2".into()));
    }

    #[test]
    fn a_place_that_is_none_says_why() {
        assert_eq!(
            chunk("30,4", "4,0").unwrap_err().0,
            "the array has (4, 3) chunks of that shape"
        );
        for place in ["", "0", "0,", "0,0,0", "00,0", "+0,0", "0, 0", "0-0", "a,0"] {
            let why = chunk("30,4", place).unwrap_err().0;
            assert!(why.ends_with("its number along each axis, such as 0,0"), "{why}");
        }
        assert!(chunk("9,4", "003,0").is_err());
        assert!(chunk("9,4", "99999999999999999999,0").is_err());
    }

    #[test]
    fn an_array_of_any_size_has_a_listing() {
        let huge = view("'|u1'", &[1 << 31, (1 << 32) - 1]);
        let grid = Grid::named("1,1", &huge).unwrap();
        assert_eq!(count(&grid), (1 << 63) - (1 << 31));
        assert_eq!(listed_name(&grid, count(&grid) - 1).unwrap(), "2147483647,4294967294");
        let empty = view("'<f8'", &[3, 0]);
        let grid = Grid::named("1,1", &empty).unwrap();
        assert_eq!((count(&grid), listed_name(&grid, 0)), (0, None));
    }
}
