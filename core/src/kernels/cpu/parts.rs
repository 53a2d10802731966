//! A slice of which several threads write different parts.
#![allow(unsafe_code)]

use std::marker::PhantomData;

/// A mutable slice shared by the threads of a parallel region.
pub struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: all access goes through `part`, whose callers keep their parts apart.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// Shares `slice`.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// The elements `at..at + len`.
    ///
    /// # Safety
    /// No other part with any of these elements may be in use.
    ///
    /// # Panics
    /// When there are no such elements.
    #[allow(clippy::mut_from_ref)] // what keeps parts apart is the contract above
    #[inline(always)]
    pub unsafe fn part(&self, at: usize, len: usize) -> &mut [T] {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: within the slice, which is borrowed mutably for `'a`; the caller keeps others off.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}
