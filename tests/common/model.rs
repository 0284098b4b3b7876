//! What the naive models of arrays and layouts share.

use std::ops::Range;

use npyfs::npy::header::Order;
use proptest::prelude::ProptestConfig;
use proptest::test_runner::FileFailurePersistence;

/// Every index of a shape, in an order.
pub fn indices<T: Copy + Default>(shape: &[T], order: Order) -> Vec<Vec<T>>
where
    Range<T>: Iterator<Item = T>,
{
    let mut axes = shape.to_vec();
    if order == Order::Fortran {
        axes.reverse();
    }
    let mut all = axes.into_iter().fold(vec![vec![]], |all: Vec<Vec<T>>, len| {
        let indices = |head: Vec<T>| (T::default()..len).map(move |i| [&head[..], &[i]].concat());
        all.into_iter().flat_map(indices).collect()
    });
    if order == Order::Fortran {
        all.iter_mut().for_each(|index| index.reverse());
    }
    all
}

/// So many cases; a failure is printed and kept in no file.
pub fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}
