//! Memory that begins on a cache line.
//!
//! A vector of 64 bytes that straddles two lines costs two reads of the cache, and more than two writes. A `Vec` begins at any multiple of 16
//! bytes, so nearly every such vector in it would straddle.

use crate::Real;
use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// A fixed number of numbers, the first at a multiple of 64 bytes.
#[derive(Debug, Default)]
pub struct Aligned<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Real> Aligned<T> {
    /// `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let mut new = Aligned::default();
        new.reset(len);
        new
    }

    /// As [`Aligned::zeros`], keeping the memory if it is large enough.
    pub fn reset(&mut self, len: usize) {
        let spare = if len == 0 {
            0
        } else {
            LINE / size_of::<T>() - 1
        };
        self.memory.clear();
        self.memory.resize(len + spare, T::ZERO);
        // `align_offset` may refuse (it does under Miri); then the memory is merely not aligned.
        self.start = self.memory.as_ptr().align_offset(LINE).min(spare);
        self.len = len;
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_begins_on_a_line_and_stays_there() {
        let mut kept = Vec::new();
        for n in 0..100 {
            let mut a = Aligned::<f32>::zeros(n);
            a.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32);
            kept.push(a);
        }
        for (n, a) in kept.iter_mut().enumerate() {
            assert_eq!(a.len(), n);
            assert!(cfg!(miri) || n == 0 || a.as_ptr().addr().is_multiple_of(LINE));
            assert!(a.iter().enumerate().all(|(i, &x)| x == i as f32));
            a.reset(n + 1);
            assert!(a.len() == n + 1 && a.iter().all(|&x| x == 0.0));
        }
    }
}
