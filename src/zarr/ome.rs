//! OME-NGFF 0.5: an array as an image with a pyramid of smaller ones, for viewers of microscope images.
//!
//! The pyramid is a group with the arrays `0`, `1`, …. Level k is a view, every 2^k-th row and column: the
//! nearest pixel, with no average over the others, which would have to be computed. Planes keep their
//! number, as most writers of such images have it, so that a viewer steps through all of them whatever the
//! level.

use serde_json::{Map, Value, json};

use crate::npy::dtype::{DType, Kind};
use crate::selection::Refusal;
use crate::view::{Steps, View};

/// The axes of an image, by name and type. One of fewer axes has the last ones.
const AXES: [(&str, &str); 5] =
    [("t", "time"), ("c", "channel"), ("z", "space"), ("y", "space"), ("x", "space")];

/// The last level has no more rows and columns than this.
const SMALLEST: u64 = 256;

/// An array as an image.
#[derive(Clone, Debug)]
pub struct Pyramid {
    view: View,
}

impl Pyramid {
    /// The image that `view` is: an array of numbers with 2 to 5 axes.
    pub fn new(view: View) -> Result<Pyramid, Refusal> {
        let is_number = |kind| matches!(kind, Kind::Bool | Kind::Int | Kind::UInt | Kind::Float);
        match &**view.dtype() {
            _ if !(2..=AXES.len()).contains(&view.ndim()) => Err(Refusal(format!(
                "an image has 2 to 5 axes (tczyx, or the last of them); the array has {}",
                view.ndim()
            ))),
            DType::Scalar(scalar) if is_number(scalar.kind()) => Ok(Pyramid { view }),
            dtype => Err(Refusal(format!(
                "the pixels of an image are real numbers, not {}",
                dtype.descr()
            ))),
        }
    }

    /// How many levels there are.
    pub fn levels(&self) -> u32 {
        let longest = self.view.shape().iter().rev().take(2).max().copied().unwrap_or(0);
        // Every level has half the rows, rounded up, of the one before.
        let halved = longest.div_ceil(SMALLEST).max(1);
        halved.next_power_of_two().ilog2() + 1
    }

    /// A level, from 0, the image itself. `None` where there is none.
    pub fn level(&self, k: u32) -> Option<View> {
        if k >= self.levels() {
            return None;
        }
        let step = 1i64.checked_shl(k)?;
        let mut level = self.view.clone();
        for axis in level.ndim() - 2..level.ndim() {
            let len = level.shape()[axis].div_ceil(step.unsigned_abs());
            level = level.steps(axis, Steps { start: 0, step, len })?;
        }
        Some(level)
    }

    /// The level that a name in the group stands for.
    pub fn level_named(&self, name: &str) -> Option<View> {
        self.level(u32::try_from(crate::selection::number::parse(name)?).ok()?)
    }

    /// The names of the axes.
    pub fn dimension_names(&self) -> Vec<String> {
        self.axes().iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn axes(&self) -> &[(&str, &str)] {
        &AXES[AXES.len() - self.view.ndim()..]
    }

    /// The attributes of the group. `name` is what a viewer calls the image.
    pub fn attributes(&self, name: &str) -> Map<String, Value> {
        let axes = self.axes().iter().map(|(name, kind)| json!({"name": name, "type": kind}));
        let datasets = (0..self.levels()).map(|k| {
            // Pixel i of a level is pixel 2^k * i of the image, so there is nothing to shift.
            let step = 2f64.powi(k.cast_signed());
            let scale =
                |(name, _): &(&str, &str)| if matches!(*name, "y" | "x") { step } else { 1.0 };
            let scale: Vec<f64> = self.axes().iter().map(scale).collect();
            json!({
                "path": k.to_string(),
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            })
        });
        let multiscale = json!({
            "name": name,
            "type": "nearest",
            "axes": axes.collect::<Vec<_>>(),
            "datasets": datasets.collect::<Vec<_>>(),
        });
        Map::from_iter([("ome".to_owned(), json!({"version": "0.5", "multiscales": [multiscale]}))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use crate::npy::header::Order;

    fn pyramid(shape: &[u64]) -> Pyramid {
        Pyramid::new(tests::view("'<u2'", shape, Order::C)).unwrap()
    }

    #[test]
    fn the_last_level_is_small() {
        for (shape, levels) in [
            (&[256, 256][..], 1),
            (&[257, 1], 2),
            (&[1, 1025], 4),
            (&[0, 5], 1),
            (&[9000, 1, 10], 1),
            (&[1 << 30, 1 << 30], 23),
        ] {
            let pyramid = pyramid(shape);
            assert_eq!(pyramid.levels(), levels, "{shape:?}");
            let last = pyramid.level(levels - 1).unwrap();
            assert!(last.shape()[last.ndim() - 2..].iter().all(|&len| len <= SMALLEST));
            assert_eq!(pyramid.level(levels), None);
        }
    }

    #[test]
    fn a_level_is_every_second_row_and_column_of_the_one_before() {
        let level = pyramid(&[3, 1001, 800]).level_named("2").unwrap();
        assert_eq!(level.shape(), [3, 251, 200]);
        assert_eq!(level.strides(), [1001 * 800 * 2, 800 * 2 * 4, 2 * 4]);
        assert_eq!(pyramid(&[3, 1001, 800]).level_named("02"), None);
    }

    #[test]
    fn the_group_says_how_large_pixels_are() {
        let pyramid = pyramid(&[2, 3, 300, 10]);
        let scale = |scale: [f64; 4]| json!([{"type": "scale", "scale": scale}]);
        assert_eq!(
            Value::Object(pyramid.attributes("cells")),
            json!({"ome": {"version": "0.5", "multiscales": [{
                "name": "cells",
                "type": "nearest",
                "axes": [
                    {"name": "c", "type": "channel"}, {"name": "z", "type": "space"},
                    {"name": "y", "type": "space"}, {"name": "x", "type": "space"},
                ],
                "datasets": [
                    {"path": "0", "coordinateTransformations": scale([1.0, 1.0, 1.0, 1.0])},
                    {"path": "1", "coordinateTransformations": scale([1.0, 1.0, 2.0, 2.0])},
                ],
            }]}})
        );
        assert_eq!(pyramid.dimension_names(), ["c", "z", "y", "x"]);
    }

    #[test]
    fn only_numbers_make_an_image() {
        for (descr, shape) in [
            ("'<c8'", &[2, 2][..]),
            ("'|S2'", &[2, 2]),
            ("[('r', '<f4')]", &[2, 2]),
            ("'<f4'", &[2]),
            ("'<f4'", &[1, 1, 1, 1, 1, 1]),
        ] {
            let refused = Pyramid::new(tests::view(descr, shape, Order::C));
            assert!(refused.is_err(), "{descr} {shape:?}");
        }
    }
}
