//! Views: which bytes of a backing file are the elements of an array.
//!
//! A [`View`] is a dtype, a shape, a signed byte stride for each axis and the byte offset of the
//! first element, as NumPy keeps them for an array over a buffer. Every selection is a function
//! from a view to a view; nothing is read and nothing is copied.

use std::ops::Range;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::npy::dtype::{DType, Field, MAX_NDIM};
use crate::npy::header::{Header, Order};

/// An array inside a backing file.
///
/// What holds of every view, checked by the one constructor and relied on by all that reads:
///
/// 1. `shape` and `strides` are equally long, at most [`MAX_NDIM`].
/// 2. The number of elements, and of their bytes, is at most `i64::MAX`.
/// 3. Every byte of every element lies in `data`.
/// 4. `offset` lies in `data` or at its end, also where there are no elements.
/// 5. `data` ends at or before `i64::MAX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    dtype: Arc<DType>,
    shape: PerAxis<u64>,
    strides: PerAxis<i64>,
    offset: u64,
    data: Range<u64>,
}

/// One value for each axis. Views are made for every request, and most arrays have few axes.
type PerAxis<T> = SmallVec<[T; 3]>;

/// A part of a complex number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// `a.real`
    Real,
    /// `a.imag`
    Imag,
}

/// Some positions of an axis: `start`, `start + step`, …, `len` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The first position; means nothing where `len` is 0.
    pub start: u64,
    /// From one position to the next; negative runs backwards.
    pub step: i64,
    /// How many positions.
    pub len: u64,
}

impl View {
    /// The whole array that a header describes.
    ///
    /// `None` where the header's sizes do not fit 64 bits, which [`Header::read`] has refused.
    pub fn of_header(header: &Header) -> Option<View> {
        let data_len = header.data_len().ok()?;
        let strides = contiguous_strides(&header.shape, header.dtype.itemsize(), header.order)?;
        let offset = header.data_offset;
        let data = offset..offset.checked_add(data_len)?;
        View::checked(header.dtype.clone(), (&*header.shape).into(), strides, offset, data)
    }

    /// `count` arrays of one shape, end to end from address 0 on, as one array with a new first axis. `None`
    /// where the sizes do not fit 64 bits, or there are more axes than NumPy has.
    pub fn of_stack(dtype: &Arc<DType>, count: u64, shape: &[u64], order: Order) -> Option<View> {
        let mut strides = contiguous_strides(shape, dtype.itemsize(), order)?;
        let each = shape.iter().try_fold(dtype.itemsize(), |n, &len| n.checked_mul(len))?;
        let data = 0..each.checked_mul(count)?;
        // An empty axis counts as one, as in the strides of other axes.
        let full = shape.iter().try_fold(dtype.itemsize(), |n, &len| n.checked_mul(len.max(1)))?;
        strides.insert(0, i64::try_from(full).ok()?);
        let shape = [count].into_iter().chain(shape.iter().copied()).collect();
        View::checked(dtype.clone(), shape, strides, 0, data)
    }

    /// `len` bytes as an array of bytes: the view that is a whole file.
    pub fn of_bytes(len: u64) -> Option<View> {
        let dtype = Arc::new(DType::Scalar("|u1".parse().ok()?));
        View::checked(dtype, smallvec![len], smallvec![1], 0, 0..len)
    }

    fn checked(
        dtype: Arc<DType>,
        shape: PerAxis<u64>,
        strides: PerAxis<i64>,
        offset: u64,
        data: Range<u64>,
    ) -> Option<View> {
        let ranks_agree = shape.len() == strides.len() && shape.len() <= MAX_NDIM; // 1
        let in_file = data.end <= i64::MAX as u64 && data.start <= data.end; // 5
        let placed = (data.start..=data.end).contains(&offset); // 4
        if !(ranks_agree && in_file && placed) {
            return None;
        }
        if !shape.contains(&0) {
            let size = shape.iter().try_fold(1u64, |size, &len| size.checked_mul(len))?; // 2
            let nbytes = size.checked_mul(dtype.itemsize())?;
            if size > i64::MAX as u64 || nbytes > i64::MAX as u64 {
                return None;
            }
            let (mut first, mut last) = (offset.cast_signed(), offset.cast_signed()); // 3
            for (&len, &stride) in shape.iter().zip(&strides) {
                let reach = (len - 1).cast_signed().checked_mul(stride)?;
                let end = if reach < 0 { &mut first } else { &mut last };
                *end = end.checked_add(reach)?;
            }
            let end = last.checked_add(i64::try_from(dtype.itemsize()).ok()?)?;
            if first < data.start.cast_signed() || end > data.end.cast_signed() {
                return None;
            }
        }
        Some(View { dtype, shape, strides, offset, data })
    }

    /// What an item is.
    pub fn dtype(&self) -> &Arc<DType> {
        &self.dtype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Bytes from one element to the next along each axis. Those of axes of length 0 or 1, and of
    /// empty arrays, mean nothing.
    pub fn strides(&self) -> &[i64] {
        &self.strides
    }

    /// The byte of the backing file where the first element starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of the backing file that the whole array takes, of which this is a view.
    pub fn data(&self) -> Range<u64> {
        self.data.clone()
    }

    /// The number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn size(&self) -> u64 {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().product() }
    }

    /// The bytes of all elements together.
    pub fn nbytes(&self) -> u64 {
        self.size() * self.dtype.itemsize()
    }

    /// The order in which `np.save` writes a copy of the view made with `order='K'`.
    ///
    /// NumPy writes `fortran_order: True` for an array that is Fortran contiguous and not C
    /// contiguous. A K-order copy lays its axes out by decreasing stride, so it is that exactly
    /// when the strides increase from the first axis to the last. Axes of length 1 do not count,
    /// and an empty array is contiguous in both orders. So is an array of empty items, unless they
    /// are strings, which NumPy makes one character long in a copy.
    pub fn order(&self) -> Order {
        if self.dtype.itemsize() == 0 && !self.dtype.is_string() {
            return Order::C;
        }
        let mut strides = self.shape.iter().zip(&self.strides).filter(|(len, _)| **len != 1);
        let Some((_, first)) = strides.next() else { return Order::C };
        let mut last = first.unsigned_abs();
        let mut axes = 1;
        for (_, stride) in strides {
            if stride.unsigned_abs() <= last {
                return Order::C;
            }
            last = stride.unsigned_abs();
            axes += 1;
        }
        if axes > 1 && self.size() > 0 { Order::Fortran } else { Order::C }
    }

    /// `a[…, i, …]`: one position of an axis, which goes. `None` outside of it.
    pub fn index(&self, axis: usize, i: u64) -> Option<View> {
        let (&len, &stride) = self.shape.get(axis).zip(self.strides.get(axis))?;
        if i >= len {
            return None;
        }
        let mut view = self.clone();
        view.shape.remove(axis);
        view.strides.remove(axis);
        view.move_by(i, stride)
    }

    /// `a[…, start:stop:step, …]`: some positions of an axis. `None` where one lies outside.
    pub fn steps(&self, axis: usize, steps: Steps) -> Option<View> {
        let (&len, &stride) = self.shape.get(axis).zip(self.strides.get(axis))?;
        let mut view = self.clone();
        view.shape[axis] = steps.len;
        if steps.len == 0 {
            return view.move_by(0, 0);
        }
        let reach = i128::from(steps.len - 1) * i128::from(steps.step);
        let last = i128::from(steps.start) + reach;
        if steps.start >= len || !(0..i128::from(len)).contains(&last) {
            return None;
        }
        // A single position has no next one, and its step may be any number.
        view.strides[axis] = if steps.len > 1 { stride.checked_mul(steps.step)? } else { stride };
        view.move_by(steps.start, stride)
    }

    /// `a[…, None, …]`: a new axis of length 1 before `axis`.
    pub fn insert_axis(&self, axis: usize) -> Option<View> {
        let mut view = self.clone();
        if axis > view.ndim() {
            return None;
        }
        view.shape.insert(axis, 1);
        view.strides.insert(axis, 0);
        view.move_by(0, 0)
    }

    /// `a.T`: the axes in reverse order.
    pub fn transposed(&self) -> View {
        let mut view = self.clone();
        view.shape.reverse();
        view.strides.reverse();
        view
    }

    /// `a[field.name]`: one field of every record. A sub-array's axes come after the array's.
    pub fn field(&self, field: &Field) -> Option<View> {
        let mut view = self.clone();
        view.dtype = field.dtype.clone();
        while let DType::SubArray(sub) = &*view.dtype.clone() {
            view.shape.extend_from_slice(sub.shape());
            view.strides.extend(contiguous_strides(sub.shape(), sub.base().itemsize(), Order::C)?);
            view.dtype = sub.base().clone();
        }
        if view.size() > 0 {
            view.offset = view.offset.checked_add(field.offset)?;
        }
        view.move_by(0, 0)
    }

    /// `a.real` and `a.imag` of a complex array. `None` of another.
    pub fn component(&self, component: Component) -> Option<View> {
        let DType::Scalar(scalar) = &*self.dtype else { return None };
        let part = scalar.component()?;
        let mut view = self.clone();
        if component == Component::Imag && view.size() > 0 {
            view.offset = view.offset.checked_add(part.itemsize())?;
        }
        view.dtype = Arc::new(DType::Scalar(part));
        view.move_by(0, 0)
    }

    /// Moves the first element by `count` strides and checks the result. An empty view stays,
    /// since there is no element to move to.
    fn move_by(self, count: u64, stride: i64) -> Option<View> {
        let offset = if self.shape.contains(&0) {
            self.offset
        } else {
            let moved = i64::try_from(count).ok()?.checked_mul(stride)?;
            self.offset.checked_add_signed(moved)?
        };
        View::checked(self.dtype, self.shape, self.strides, offset, self.data)
    }
}

/// The strides in bytes of a contiguous array.
fn contiguous_strides(shape: &[u64], itemsize: u64, order: Order) -> Option<PerAxis<i64>> {
    let mut strides = smallvec![0; shape.len()];
    let mut stride = i64::try_from(itemsize).ok()?;
    let mut fill = |axis: usize| {
        strides[axis] = stride;
        // As NumPy does, an empty axis counts as one, so that the others keep a stride.
        stride = stride.checked_mul(i64::try_from(shape[axis].max(1)).ok()?)?;
        Some(())
    };
    match order {
        Order::C => (0..shape.len()).rev().try_for_each(&mut fill)?,
        Order::Fortran => (0..shape.len()).try_for_each(&mut fill)?,
    }
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::literal;

    fn view(descr: &str, shape: &[u64], order: Order) -> View {
        let dtype = DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap();
        View::of_header(&Header {
            version: (1, 0),
            dtype: Arc::new(dtype),
            order,
            shape: shape.to_vec(),
            data_offset: 100,
        })
        .unwrap()
    }

    #[test]
    fn a_whole_array_has_the_strides_of_its_order() {
        let c = view("'<f8'", &[2, 3, 4], Order::C);
        assert_eq!((c.strides(), c.data()), (&[96, 32, 8][..], 100..292));
        assert_eq!(view("'<f8'", &[2, 3, 4], Order::Fortran).strides(), [8, 16, 48]);
        assert_eq!(view("'<f8'", &[], Order::C).nbytes(), 8);
        assert_eq!(view("'<f8'", &[0, 3], Order::C).data(), 100..100);
    }

    #[test]
    fn arrays_end_to_end_are_one_with_a_new_first_axis() {
        let dtype = view("'<f8'", &[], Order::C).dtype().clone();
        let stack = |count, shape: &[u64], order| View::of_stack(&dtype, count, shape, order);
        let c = stack(4, &[2, 3], Order::C).unwrap();
        assert_eq!((c.shape(), c.strides(), c.data()), (&[4, 2, 3][..], &[48, 24, 8][..], 0..192));
        let fortran = stack(4, &[2, 3], Order::Fortran).unwrap();
        assert_eq!((fortran.shape(), fortran.strides()), (&[4, 2, 3][..], &[48, 8, 16][..]));
        assert_eq!(stack(4, &[], Order::C).unwrap().strides(), [8]);
        assert_eq!(stack(4, &[0, 3], Order::C).unwrap().data(), 0..0);
        assert_eq!(stack(u64::MAX / 8, &[2], Order::C), None);
        assert_eq!(stack(4, &[1; MAX_NDIM], Order::C), None);
    }

    #[test]
    fn a_selection_outside_the_array_is_no_view() {
        let a = view("'<f8'", &[2, 3], Order::C);
        assert_eq!(a.index(0, 2), None);
        assert_eq!(a.index(2, 0), None);
        assert_eq!(a.steps(1, Steps { start: 1, step: 1, len: 3 }), None);
        assert_eq!(a.steps(1, Steps { start: 1, step: -1, len: 3 }), None);
        assert_eq!(a.steps(1, Steps { start: u64::MAX, step: i64::MAX, len: u64::MAX }), None);
        assert_eq!(a.insert_axis(3), None);
        assert_eq!(a.component(Component::Real), None);
    }

    #[test]
    fn views_move_offset_and_strides_only() {
        let a = view("'<f8'", &[2, 3], Order::C);
        let last = a.index(0, 1).unwrap();
        assert_eq!((last.offset(), last.shape(), last.strides()), (124, &[3][..], &[8][..]));
        let back = a.steps(1, Steps { start: 2, step: -2, len: 2 }).unwrap();
        assert_eq!(
            (back.offset(), back.shape(), back.strides()),
            (116, &[2, 2][..], &[24, -16][..])
        );
        assert_eq!(a.transposed().strides(), [8, 24]);
        let one = a.steps(0, Steps { start: 1, step: i64::MIN, len: 1 }).unwrap();
        assert_eq!(one.offset(), 124);
    }

    #[test]
    fn a_field_of_sub_arrays_adds_their_axes() {
        let a = view("[('a', '<i2'), ('b', ('<f4', (2,)), (3,))]", &[5], Order::Fortran);
        let b = a.field(&a.dtype().as_record().unwrap().fields()[1]).unwrap();
        assert_eq!((b.shape(), b.strides(), b.offset()), (&[5, 3, 2][..], &[26, 8, 4][..], 102));
    }

    #[test]
    fn an_empty_view_stays_within_the_data() {
        let a = view("[('a', '<f8'), ('b', '<f8')]", &[2, 0], Order::C);
        let b = a.field(&a.dtype().as_record().unwrap().fields()[1]).unwrap();
        assert_eq!((b.offset(), b.nbytes()), (100, 0));
        let full = view("'<f8'", &[2], Order::C);
        assert_eq!(full.steps(0, Steps { start: 2, step: 1, len: 0 }).unwrap().offset(), 100);
    }

    #[test]
    fn the_order_is_fortran_where_strides_increase() {
        let c = view("'<f8'", &[2, 3, 4], Order::C);
        assert_eq!(c.order(), Order::C);
        assert_eq!(c.transposed().order(), Order::Fortran);
        assert_eq!(view("'<f8'", &[5], Order::Fortran).order(), Order::C);
        assert_eq!(view("'<f8'", &[1, 5, 1], Order::Fortran).order(), Order::C);
        assert_eq!(view("'<f8'", &[0, 5, 2], Order::Fortran).order(), Order::C);
        assert_eq!(view("'|S0'", &[5, 2], Order::Fortran).order(), Order::C);
        for (empty, order) in [("|S0", Order::Fortran), ("|V0", Order::C)] {
            let records =
                view(&format!("[('a', '<i4'), ('z', '{empty}')]"), &[5, 2], Order::Fortran);
            let field = &records.dtype().as_record().unwrap().fields()[1];
            assert_eq!(records.field(field).unwrap().order(), order, "{empty}");
        }
        let reversed = c.steps(0, Steps { start: 1, step: -1, len: 2 }).unwrap();
        assert_eq!(reversed.transposed().order(), Order::Fortran);
    }
}
