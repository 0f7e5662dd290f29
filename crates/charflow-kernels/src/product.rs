//! Products of weights with a block of samples, and outer products summed over a block.
//!
//! - [`Packed::multiply`]: `C[r, s] = init + sum_k A[r, k] B[k, s]`, `A` packed once per step, `s` over the 48 lanes of a block.
//! - [`outer_add`]: `C[i, o] += sum_s X[i, s] Z[s, o]`, the parameter gradient of one block.
//!
//! Both keep a tile of `C` in registers and run over the whole inner dimension before they store it. In the first
//! the samples are the lanes and the weights are broadcast; in the second the outputs `o` are the lanes, so the
//! gradient's second factor is transposed first ([`transpose`]), which costs a few percent of the product.

use crate::simd::{Simd, by_isa};
use crate::{BLOCK, Isa, PAD, Real};

/// A matrix `A [rows, depth]` cut into bands of a few rows, each stored depth-major, for [`Packed::multiply`].
///
/// The bands are as equal as can be (65 rows are 2 x 8 + 7 x 7, not 8 x 8 + 1), since a band of one row waits for its own sums.
#[derive(Clone, Debug)]
pub struct Packed<T> {
    isa: Isa,
    rows: usize,
    depth: usize,
    bands: usize,
    data: Vec<T>,
}

fn tile_rows<T: Real>(isa: Isa) -> usize {
    use crate::isa::Kind;
    match isa.kind() {
        Kind::Avx512 => T::Avx512::TILE_ROWS,
        Kind::Avx2 => T::Avx2::TILE_ROWS,
        Kind::Portable => T::Portable::TILE_ROWS,
    }
}

/// The first row of band `i` of `n` rows cut into `bands` nearly equal bands.
#[inline(always)]
fn band_start(n: usize, bands: usize, i: usize) -> usize {
    let (size, larger) = (n / bands, n % bands);
    i * size + i.min(larger)
}

impl<T: Real> Packed<T> {
    /// An empty matrix of the given shape, to be filled by [`Packed::pack`].
    #[must_use]
    pub fn new(isa: Isa, rows: usize, depth: usize) -> Self {
        Packed {
            isa,
            rows,
            depth,
            bands: rows.div_ceil(tile_rows::<T>(isa)),
            data: vec![T::ZERO; rows * depth],
        }
    }

    /// Fills the matrix with `A[r, k] = source[r * row_stride + k * depth_stride]`.
    ///
    /// # Panics
    /// If `source` is too short for the strides.
    pub fn pack(&mut self, source: &[T], row_stride: usize, depth_stride: usize) {
        let mut at = 0;
        for band in 0..self.bands {
            let start = band_start(self.rows, self.bands, band);
            let end = band_start(self.rows, self.bands, band + 1);
            for k in 0..self.depth {
                for r in start..end {
                    self.data[at] = source[r * row_stride + k * depth_stride];
                    at += 1;
                }
            }
        }
    }

    /// Rows of the result.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of the sums.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `C[r, s] = init[r, s] + sum_k A[r, k] B[k, s]` for a block of 48 samples.
    ///
    /// `b: [depth, 48]`, `c: [rows, 48]`; `init` says what the sum starts from.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    #[inline]
    pub fn multiply(&self, b: &[T], init: Init<'_, T>, c: &mut [T]) {
        assert!(b.len() >= self.depth * BLOCK && c.len() >= self.rows * BLOCK);
        let (mode, bias) = match init {
            Init::Zero => (Start::Zero, std::ptr::null()),
            Init::Add => (Start::Load, std::ptr::null()),
            Init::Bias(bias) => {
                assert!(bias.len() >= self.rows);
                (Start::Bias, bias.as_ptr())
            }
        };
        // SAFETY: the lengths were checked above; `data` holds rows * depth numbers in bands.
        unsafe {
            multiply_by_isa(
                self.isa,
                self.rows,
                self.depth,
                self.bands,
                self.data.as_ptr(),
                b.as_ptr(),
                mode,
                bias,
                c.as_mut_ptr(),
            );
        }
    }
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Init<'a, T> {
    /// Nothing.
    Zero,
    /// What the result already holds.
    Add,
    /// A number for each row.
    Bias(&'a [T]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Zero,
    Load,
    Bias,
}

/// The innermost loop: `acc[r][v] += A[r, k] B[k, v]` for `k < depth`.
///
/// `A[r, k]` is at `a + r * ar + k * ak`, `B[k, .]` at `b + k * ldb`.
///
/// # Safety
/// The pointers must be good for these reads.
#[inline(always)]
unsafe fn tile<V: Simd, const R: usize, const C: usize>(
    acc: &mut [[V; C]; R],
    depth: usize,
    a: *const V::T,
    ar: usize,
    ak: usize,
    b: *const V::T,
    ldb: usize,
) {
    for k in 0..depth {
        // SAFETY: the caller promised these reads.
        unsafe {
            let mut row = [V::zero(); C];
            for v in 0..C {
                row[v] = V::load(b.add(k * ldb + v * V::N));
            }
            for r in 0..R {
                let w = V::splat(*a.add(r * ar + k * ak));
                for v in 0..C {
                    acc[r][v] = w.fma(row[v], acc[r][v]);
                }
            }
        }
    }
}

/// # Safety
/// As for [`tile`], and `c` must be writable for `R` rows of stride `ldc`, `bias` readable for `R` numbers if used.
#[inline(always)]
unsafe fn product_tile<V: Simd, const R: usize, const C: usize>(
    depth: usize,
    a: *const V::T,
    ar: usize,
    ak: usize,
    b: *const V::T,
    ldb: usize,
    start: Start,
    bias: *const V::T,
    c: *mut V::T,
    ldc: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc = [[V::zero(); C]; R];
        if start == Start::Load {
            for r in 0..R {
                for v in 0..C {
                    acc[r][v] = V::load(c.add(r * ldc + v * V::N));
                }
            }
        } else if start == Start::Bias {
            for r in 0..R {
                let w = V::splat(*bias.add(r));
                for v in 0..C {
                    acc[r][v] = w;
                }
            }
        }
        tile::<V, R, C>(&mut acc, depth, a, ar, ak, b, ldb);
        for r in 0..R {
            for v in 0..C {
                acc[r][v].store(c.add(r * ldc + v * V::N));
            }
        }
    }
}

/// # Safety
/// `a` holds the bands of a packed matrix, `b` `[depth, 48]`, `c` `[rows, 48]`, `bias` `[rows]` if `start` asks for it.
#[inline(always)]
unsafe fn multiply_body<V: Simd>(
    rows: usize,
    depth: usize,
    bands: usize,
    a: *const V::T,
    b: *const V::T,
    start: Start,
    bias: *const V::T,
    c: *mut V::T,
) {
    let mut column = 0;
    while column < BLOCK {
        for band in 0..bands {
            let row = band_start(rows, bands, band);
            let n = band_start(rows, bands, band + 1) - row;
            // SAFETY: the band starts at row * depth, the columns are inside the block, the rest is the caller's promise.
            unsafe {
                let a = a.add(row * depth);
                let b = b.add(column);
                let c = c.add(row * BLOCK + column);
                let bias = if start == Start::Bias {
                    bias.add(row)
                } else {
                    bias
                };
                macro_rules! run {
                    ($r:literal) => {
                        product_tile::<V, $r, 3>(depth, a, 1, n, b, BLOCK, start, bias, c, BLOCK)
                    };
                }
                match n {
                    8 => product_tile::<V, 8, 3>(depth, a, 1, 8, b, BLOCK, start, bias, c, BLOCK),
                    7 => run!(7),
                    6 => run!(6),
                    5 => run!(5),
                    4 => run!(4),
                    3 => run!(3),
                    2 => run!(2),
                    _ => run!(1),
                }
            }
        }
        column += 3 * V::N;
    }
}
by_isa!(multiply_by_isa = multiply_body(rows: usize, depth: usize, bands: usize, a: *const T, b: *const T, start: Start, bias: *const T, c: *mut T));

/// `C[r, s] = sum_k A[k, r] B[k, s]` for 48 rows and 48 columns: both factors feature-major blocks, `[depth, 48]`.
///
/// This is the Gram tile of two blocks of points. `c: [48, 48]`.
///
/// # Panics
/// If a slice is shorter than its shape.
#[inline]
pub fn gram<T: Real>(isa: Isa, depth: usize, a: &[T], b: &[T], c: &mut [T]) {
    assert!(
        a.len() >= depth * BLOCK && b.len() >= depth * BLOCK && c.len() >= BLOCK * BLOCK,
        "gram: slices too short for depth {depth}"
    );
    // SAFETY: the lengths were checked.
    unsafe { gram_by_isa(isa, depth, a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) }
}

/// # Safety
/// `a`, `b`: `[depth, 48]`; `c`: `[48, 48]`.
#[inline(always)]
unsafe fn gram_body<V: Simd>(depth: usize, a: *const V::T, b: *const V::T, c: *mut V::T) {
    let mut column = 0;
    while column < BLOCK {
        let mut row = 0;
        while row < BLOCK {
            macro_rules! run {
                ($r:literal) => {
                    product_tile::<V, $r, 3>(
                        depth,
                        a.add(row),
                        1,
                        BLOCK,
                        b.add(column),
                        BLOCK,
                        Start::Zero,
                        std::ptr::null(),
                        c.add(row * BLOCK + column),
                        BLOCK,
                    )
                };
            }
            // SAFETY: 48 is a multiple of 8, 4 and 3, so rows and columns stay inside.
            unsafe {
                match V::TILE_ROWS {
                    8 => run!(8),
                    4 => run!(4),
                    _ => run!(3),
                }
            }
            row += V::TILE_ROWS;
        }
        column += 3 * V::N;
    }
}
by_isa!(gram_by_isa = gram_body(depth: usize, a: *const T, b: *const T, c: *mut T));

/// One term of [`outer_add`]: `X [rows, 48]` feature-major and `Z [48, width]` sample-major.
#[derive(Clone, Copy, Debug)]
pub struct OuterTerm<'a, T> {
    /// First factor, `[rows, 48]`.
    pub x: &'a [T],
    /// Second factor, `[48, width]`.
    pub z: &'a [T],
}

/// `C[i, o] += sum over terms, sum_s X[i, s] Z[s, o]`.
///
/// `c: [rows, width]`; `width` is a multiple of [`PAD`]. Two terms in one call read and write `C` once.
///
/// # Panics
/// If a slice is shorter than its shape, `width` is no multiple of [`PAD`], or there are more than two terms.
#[inline]
pub fn outer_add<T: Real>(
    isa: Isa,
    rows: usize,
    width: usize,
    terms: &[OuterTerm<'_, T>],
    c: &mut [T],
) {
    assert!(width.is_multiple_of(PAD) && c.len() >= rows * width);
    assert!(!terms.is_empty() && terms.len() <= 2);
    for term in terms {
        assert!(term.x.len() >= rows * BLOCK && term.z.len() >= BLOCK * width);
    }
    let last = terms[terms.len() - 1];
    // SAFETY: the lengths were checked.
    unsafe {
        outer_by_isa(
            isa,
            rows,
            width,
            terms.len(),
            [terms[0].x.as_ptr(), last.x.as_ptr()],
            [terms[0].z.as_ptr(), last.z.as_ptr()],
            c.as_mut_ptr(),
        );
    }
}

/// # Safety
/// As for [`outer_tile`].
#[inline(always)]
unsafe fn outer_tile<V: Simd, const R: usize, const C: usize>(
    terms: usize,
    x: [*const V::T; 2],
    z: [*const V::T; 2],
    row: usize,
    column: usize,
    width: usize,
    c: *mut V::T,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let c = c.add(row * width + column);
        let mut acc = [[V::zero(); C]; R];
        for term in 0..terms {
            tile::<V, R, C>(
                &mut acc,
                BLOCK,
                x[term].add(row * BLOCK),
                BLOCK,
                1,
                z[term].add(column),
                width,
            );
        }
        for r in 0..R {
            for v in 0..C {
                let p = c.add(r * width + v * V::N);
                V::load(p).add(acc[r][v]).store(p);
            }
        }
    }
}

/// # Safety
/// `x[i]`: `[rows, 48]`, `z[i]`: `[48, width]`, `c`: `[rows, width]`, `width` a multiple of `V::N`.
#[inline(always)]
unsafe fn outer_body<V: Simd>(
    rows: usize,
    width: usize,
    terms: usize,
    x: [*const V::T; 2],
    z: [*const V::T; 2],
    c: *mut V::T,
) {
    let bands = rows.div_ceil(V::OUTER_ROWS);
    let vectors = width / V::N;
    let stripes = vectors.div_ceil(V::OUTER_VECTORS);
    for stripe in 0..stripes {
        let first = band_start(vectors, stripes, stripe);
        let count = band_start(vectors, stripes, stripe + 1) - first;
        let column = first * V::N;
        for band in 0..bands {
            let row = band_start(rows, bands, band);
            let n = band_start(rows, bands, band + 1) - row;
            macro_rules! run {
                ($r:literal, $c:literal) => {
                    outer_tile::<V, $r, $c>(terms, x, z, row, column, width, c)
                };
            }
            macro_rules! rows {
                ($c:literal) => {
                    match n {
                        6 => run!(6, $c),
                        5 => run!(5, $c),
                        4 => run!(4, $c),
                        3 => run!(3, $c),
                        2 => run!(2, $c),
                        _ => run!(1, $c),
                    }
                };
            }
            // SAFETY: bands and stripes stay inside the matrices; the rest is the caller's promise.
            unsafe {
                match count {
                    4 => rows!(4),
                    3 => rows!(3),
                    2 => rows!(2),
                    _ => rows!(1),
                }
            }
        }
    }
}
by_isa!(outer_by_isa = outer_body(rows: usize, width: usize, terms: usize, x: [*const T; 2], z: [*const T; 2], c: *mut T));

/// `dst[s, r] = src[r, s]`: a feature-major block `[rows, 48]` to sample-major `[48, width]`, `width = padded(rows)`.
///
/// The padding columns of `dst` are left as they are (zero, if the buffer began so).
///
/// # Panics
/// If a slice is shorter than its shape.
#[inline]
pub fn transpose<T: Real>(isa: Isa, rows: usize, src: &[T], dst: &mut [T]) {
    let width = crate::padded(rows);
    assert!(src.len() >= rows * BLOCK && dst.len() >= BLOCK * width);
    #[cfg(target_arch = "x86_64")]
    if isa != Isa::portable() && std::mem::size_of::<T>() == 4 {
        // SAFETY: T is f32 (the only Real of 4 bytes); both sets other than the portable one include AVX; lengths were checked.
        unsafe {
            transpose_f32(
                rows,
                width,
                src.as_ptr().cast::<f32>(),
                dst.as_mut_ptr().cast::<f32>(),
            );
        }
        return;
    }
    let _ = isa;
    transpose_range(0..rows, width, src, dst);
}

fn transpose_range<T: Real>(rows: std::ops::Range<usize>, width: usize, src: &[T], dst: &mut [T]) {
    for r in rows {
        for (s, &x) in src[r * BLOCK..(r + 1) * BLOCK].iter().enumerate() {
            dst[s * width + r] = x;
        }
    }
}

/// Eight by eight tiles by three rounds of shuffles.
///
/// # Safety
/// `src`: `[rows, 48]`, `dst`: `[48, width]`, `width >= rows`; AVX available.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn transpose_f32(rows: usize, width: usize, src: *const f32, dst: *mut f32) {
    use std::arch::x86_64::*;
    let whole = rows / 8 * 8;
    for row in (0..whole).step_by(8) {
        for column in (0..BLOCK).step_by(8) {
            // SAFETY: the 8 x 8 tile lies inside both matrices.
            unsafe {
                let mut x = [_mm256_setzero_ps(); 8];
                for i in 0..8 {
                    x[i] = _mm256_loadu_ps(src.add((row + i) * BLOCK + column));
                }
                let mut y = x;
                for i in 0..4 {
                    y[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
                    y[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
                }
                for i in 0..2 {
                    let (a, b) = (4 * i, 4 * i + 2);
                    x[a] = _mm256_shuffle_ps::<0x44>(y[a], y[b]);
                    x[a + 1] = _mm256_shuffle_ps::<0xEE>(y[a], y[b]);
                    x[a + 2] = _mm256_shuffle_ps::<0x44>(y[a + 1], y[b + 1]);
                    x[a + 3] = _mm256_shuffle_ps::<0xEE>(y[a + 1], y[b + 1]);
                }
                for i in 0..4 {
                    let low = _mm256_permute2f128_ps::<0x20>(x[i], x[i + 4]);
                    let high = _mm256_permute2f128_ps::<0x31>(x[i], x[i + 4]);
                    _mm256_storeu_ps(dst.add((column + i) * width + row), low);
                    _mm256_storeu_ps(dst.add((column + i + 4) * width + row), high);
                }
            }
        }
    }
    for row in whole..rows {
        for column in 0..BLOCK {
            // SAFETY: inside both matrices.
            unsafe { *dst.add(column * width + row) = *src.add(row * BLOCK + column) };
        }
    }
}
