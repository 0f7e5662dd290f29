//! Products of weights with a block of samples, and outer products summed over a block.
//!
//! - [`Packed::multiply`]: `S[r, s] = init + sum_k A[r, k] B[k, s]`, `A` packed once per step, `s` over the 48 lanes of a block. What follows a product
//!   elementwise in the sweeps of a network is done to the tile before it leaves the registers ([`Finish`]).
//! - [`outer_add`]: `C[i, o] += sum_s X[i, s] Z[s, o]`, the parameter gradient of one block.
//!
//! Both keep a tile of `C` in registers and run over the whole inner dimension before they store it. In the first
//! the samples are the lanes and the weights are broadcast; in the second the outputs `o` are the lanes, so the
//! gradient's second factor is transposed first ([`transpose`]), which costs a few percent of the product.

use crate::activation::Bend;
use crate::simd::{Simd, by_isa};
use crate::{Aligned, BLOCK, Isa, PAD, Real};

/// A matrix `A [rows, depth]` cut into bands of a few rows, each stored depth-major, for [`Packed::multiply`].
///
/// The bands are as equal as can be (65 rows are 2 x 8 + 7 x 7, not 8 x 8 + 1), since a band of one row waits for its own sums.
#[derive(Debug)]
pub struct Packed<T> {
    isa: Isa,
    rows: usize,
    depth: usize,
    bands: usize,
    data: Aligned<T>,
}

fn tile_rows<T: Real>(isa: Isa) -> usize {
    use crate::isa::Kind;
    match isa.kind() {
        Kind::Avx512 => T::Avx512::TILE_ROWS,
        Kind::Avx2 => T::Avx2::TILE_ROWS,
        Kind::Portable => T::Portable::TILE_ROWS,
    }
}

/// A length that a slice is held to: no wrapped product may pass for a short one.
fn product(a: usize, b: usize) -> usize {
    a.checked_mul(b).expect("a length beyond any memory")
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
            data: Aligned::zeros(product(rows, depth)),
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

    /// `S[r, s] = init[r, s] + sum_k A[r, k] B[k, s]` for a block of 48 samples, handed to `finish`.
    ///
    /// `b: [depth, 48]`; all blocks of `init` and `finish` are `[rows, 48]`.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    #[inline]
    pub fn multiply(&self, b: &[T], init: Init<'_, T>, finish: Finish<'_, T>) {
        let n = product(self.rows, BLOCK);
        assert!(b.len() >= product(self.depth, BLOCK));
        let (kind, io) = finish.places(n);
        let (start, from) = match init {
            Init::Zero => (Start::Zero, std::ptr::null()),
            Init::Add => (
                Start::Load,
                if io.sum.is_null() { io.out } else { io.sum }.cast_const(),
            ),
            Init::Bias(bias) => {
                assert!(bias.len() >= self.rows);
                (Start::Bias, bias.as_ptr())
            }
            Init::Block(block) => {
                assert!(block.len() >= n);
                (Start::Load, block.as_ptr())
            }
        };
        // SAFETY: the lengths were checked above and in `places`; `data` holds rows * depth numbers in bands.
        unsafe {
            T::multiply(
                self.isa,
                self.rows,
                self.depth,
                self.bands,
                self.data.as_ptr(),
                b.as_ptr(),
                start,
                from,
                kind,
                io,
            );
        }
    }
}

/// What a product starts from.
#[derive(Clone, Copy, Debug)]
pub enum Init<'a, T> {
    /// Nothing.
    Zero,
    /// What the place of the sum already holds: `sum` if the [`Finish`] has one, else `out`.
    Add,
    /// A number for each row.
    Bias(&'a [T]),
    /// A block `[rows, 48]`.
    Block(&'a [T]),
}

/// What becomes of a product `S [rows, 48]`, elementwise, while its tile is still in registers.
///
/// A pass of its own over a block would cost a load and a store of memory that has left the nearest cache by then, as long as a quarter of a product.
/// All slices are `[rows, 48]`; those in an `Option` are left alone if absent.
#[derive(Debug)]
pub enum Finish<'a, T> {
    /// `out = S`.
    Store(&'a mut [T]),
    /// `sum = S`, `out = s S`.
    Scale {
        /// Factor.
        s: &'a [T],
        /// Place of the product itself.
        sum: Option<&'a mut [T]>,
        /// Result.
        out: &'a mut [T],
    },
    /// `sum = S`, `out = s S + plus`.
    ScaleAdd {
        /// Factor.
        s: &'a [T],
        /// What is added.
        plus: &'a [T],
        /// Place of the product itself.
        sum: Option<&'a mut [T]>,
        /// Result.
        out: &'a mut [T],
    },
    /// `sum = S`, `out = s S + h zdot delta`: the adjoint of an activation's input, see [`crate::activation::Bend`].
    Adjoint {
        /// First derivative of the activation.
        s: &'a [T],
        /// `h`, the second derivative divided by the first.
        bend: Bend<'a, T>,
        /// Tangent of the activation's input.
        zdot: &'a [T],
        /// Derivative of the output in the activation's input.
        delta: &'a [T],
        /// Place of the product itself.
        sum: Option<&'a mut [T]>,
        /// Result.
        out: &'a mut [T],
    },
    /// `sum = S`, `out += S^2`.
    Square {
        /// Place of the product itself.
        sum: &'a mut [T],
        /// What the square is added to.
        out: &'a mut [T],
    },
    /// `sum = S`, `out = 2 y S`: the tangent of a square.
    Cross {
        /// What was squared.
        y: &'a [T],
        /// Place of the product itself, the tangent of `y`.
        sum: &'a mut [T],
        /// Result.
        out: &'a mut [T],
    },
}

/// Where a product starts.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Zero,
    Load,
    Bias,
}

/// Which [`Finish`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Store,
    Scale,
    ScaleAdd,
    Adjoint,
    Square,
    Cross,
}

/// The pointers of a [`Finish`], null where it has none.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Io<T> {
    s: *const T,
    plus: *const T,
    zdot: *const T,
    delta: *const T,
    given: *const T,
    line: [T; 2],
    sum: *mut T,
    out: *mut T,
}

impl<T: Real> Io<T> {
    #[inline(always)]
    fn none() -> Self {
        Io {
            s: std::ptr::null(),
            plus: std::ptr::null(),
            zdot: std::ptr::null(),
            delta: std::ptr::null(),
            given: std::ptr::null(),
            line: [T::ZERO; 2],
            sum: std::ptr::null_mut(),
            out: std::ptr::null_mut(),
        }
    }
}

impl<T: Real> Finish<'_, T> {
    /// The pointers, after a check that each slice holds `n` numbers.
    #[inline]
    fn places(self, n: usize) -> (Kind, Io<T>) {
        let read = |x: &[T]| {
            assert!(x.len() >= n, "a block of a product is too short");
            x.as_ptr()
        };
        let write = |x: &mut [T]| {
            assert!(x.len() >= n, "a block of a product is too short");
            x.as_mut_ptr()
        };
        let maybe = |x: Option<&mut [T]>| x.map_or(std::ptr::null_mut(), write);
        let none = Io::none();
        match self {
            Finish::Store(out) => (
                Kind::Store,
                Io {
                    out: write(out),
                    ..none
                },
            ),
            Finish::Scale { s, sum, out } => (
                Kind::Scale,
                Io {
                    s: read(s),
                    sum: maybe(sum),
                    out: write(out),
                    ..none
                },
            ),
            Finish::ScaleAdd { s, plus, sum, out } => (
                Kind::ScaleAdd,
                Io {
                    s: read(s),
                    plus: read(plus),
                    sum: maybe(sum),
                    out: write(out),
                    ..none
                },
            ),
            Finish::Adjoint {
                s,
                bend,
                zdot,
                delta,
                sum,
                out,
            } => {
                let (line, given) = match bend {
                    Bend::Line(line) => (line, std::ptr::null()),
                    Bend::Given(h) => ([T::ZERO; 2], read(h)),
                };
                (
                    Kind::Adjoint,
                    Io {
                        s: read(s),
                        zdot: read(zdot),
                        delta: read(delta),
                        given,
                        line,
                        sum: maybe(sum),
                        out: write(out),
                        ..none
                    },
                )
            }
            Finish::Square { sum, out } => (
                Kind::Square,
                Io {
                    sum: write(sum),
                    out: write(out),
                    ..none
                },
            ),
            Finish::Cross { y, sum, out } => (
                Kind::Cross,
                Io {
                    s: read(y),
                    sum: write(sum),
                    out: write(out),
                    ..none
                },
            ),
        }
    }
}

/// A [`Finish`] as code: what is done with the vector `sum` of the product at place `i`.
trait Epilogue {
    /// # Safety
    /// The pointers of `io` that this finish has are good for `V::N` numbers at `i`.
    unsafe fn finish<V: Simd>(io: &Io<V::T>, i: usize, sum: V);
}

/// Defines the epilogue of a [`Finish`]: an expression for `out` of `io`, `i` and the product.
macro_rules! epilogue {
    ($name:ident, $V:ident, |$io:ident, $i:ident, $sum:ident| $out:expr) => {
        struct $name;
        impl Epilogue for $name {
            #[inline(always)]
            unsafe fn finish<$V: Simd>($io: &Io<$V::T>, $i: usize, $sum: $V) {
                // SAFETY: the caller's promise; `sum` is checked before it is used.
                unsafe {
                    if !$io.sum.is_null() {
                        $sum.store($io.sum.add($i));
                    }
                    ($out).store($io.out.add($i));
                }
            }
        }
    };
}
epilogue!(Store, V, |io, i, sum| sum);
epilogue!(Scale, V, |io, i, sum| V::load(io.s.add(i)).mul(sum));
epilogue!(ScaleAdd, V, |io, i, sum| {
    V::load(io.s.add(i)).fma(sum, V::load(io.plus.add(i)))
});
epilogue!(Adjoint, V, |io, i, sum| {
    let s = V::load(io.s.add(i));
    let h = if io.given.is_null() {
        s.fma(V::splat(io.line[1]), V::splat(io.line[0]))
    } else {
        V::load(io.given.add(i))
    };
    let pull = V::load(io.zdot.add(i)).mul(V::load(io.delta.add(i)));
    h.fma(pull, s.mul(sum))
});
epilogue!(Square, V, |io, i, sum| {
    sum.fma(sum, V::load(io.out.add(i)))
});
epilogue!(Cross, V, |io, i, sum| {
    let y = V::load(io.s.add(i));
    y.add(y).mul(sum)
});

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

/// One tile of a product whose upper left place is `at` in a block `[rows, 48]`.
///
/// # Safety
/// As for [`tile`], and `from` must be readable for the tile (for `R` numbers if it is a bias, not at all for [`Start::Zero`]), the pointers of `io` good for it.
#[inline(always)]
unsafe fn product_tile<V: Simd, E: Epilogue, const R: usize, const C: usize>(
    depth: usize,
    a: *const V::T,
    ar: usize,
    ak: usize,
    b: *const V::T,
    start: Start,
    from: *const V::T,
    at: usize,
    io: &Io<V::T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut acc = [[V::zero(); C]; R];
        if start == Start::Load {
            for r in 0..R {
                for v in 0..C {
                    acc[r][v] = V::load(from.add(at + r * BLOCK + v * V::N));
                }
            }
        } else if start == Start::Bias {
            for r in 0..R {
                let w = V::splat(*from.add(r));
                for v in 0..C {
                    acc[r][v] = w;
                }
            }
        }
        tile::<V, R, C>(&mut acc, depth, a, ar, ak, b, BLOCK);
        for r in 0..R {
            for v in 0..C {
                E::finish(io, at + r * BLOCK + v * V::N, acc[r][v]);
            }
        }
    }
}

/// # Safety
/// `a` holds the bands of a packed matrix, `b` `[depth, 48]`, `from` what `start` asks for, and the pointers that `kind` uses in `io` blocks `[rows, 48]`.
#[inline(always)]
unsafe fn multiply_body<V: Simd>(
    rows: usize,
    depth: usize,
    bands: usize,
    a: *const V::T,
    b: *const V::T,
    start: Start,
    from: *const V::T,
    kind: Kind,
    io: Io<V::T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match kind {
            Kind::Store => multiply_with::<V, Store>(rows, depth, bands, a, b, start, from, io),
            Kind::Scale => multiply_with::<V, Scale>(rows, depth, bands, a, b, start, from, io),
            Kind::ScaleAdd => {
                multiply_with::<V, ScaleAdd>(rows, depth, bands, a, b, start, from, io);
            }
            Kind::Adjoint => multiply_with::<V, Adjoint>(rows, depth, bands, a, b, start, from, io),
            Kind::Square => multiply_with::<V, Square>(rows, depth, bands, a, b, start, from, io),
            Kind::Cross => multiply_with::<V, Cross>(rows, depth, bands, a, b, start, from, io),
        }
    }
}

/// # Safety
/// As for [`multiply_body`].
#[inline(always)]
unsafe fn multiply_with<V: Simd, E: Epilogue>(
    rows: usize,
    depth: usize,
    bands: usize,
    a: *const V::T,
    b: *const V::T,
    start: Start,
    from: *const V::T,
    io: Io<V::T>,
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
                let at = row * BLOCK + column;
                let from = if start == Start::Bias {
                    from.add(row)
                } else {
                    from
                };
                macro_rules! run {
                    ($r:literal) => {
                        product_tile::<V, E, $r, 3>(depth, a, 1, n, b, start, from, at, &io)
                    };
                }
                match n {
                    8 => product_tile::<V, E, 8, 3>(depth, a, 1, 8, b, start, from, at, &io),
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
by_isa!(multiply_f32<f32> = multiply_body(rows: usize, depth: usize, bands: usize, a: *const f32, b: *const f32, start: Start, from: *const f32, kind: Kind, io: Io<f32>));
by_isa!(multiply_f64<f64> = multiply_body(rows: usize, depth: usize, bands: usize, a: *const f64, b: *const f64, start: Start, from: *const f64, kind: Kind, io: Io<f64>));

/// The product of each number type as a function that is compiled here, once: it is much code, and a generic one would be compiled again in every crate
/// that uses it.
#[doc(hidden)]
pub trait Multiply: Sized {
    /// # Safety
    /// As for `multiply_body`.
    unsafe fn multiply(
        isa: Isa,
        rows: usize,
        depth: usize,
        bands: usize,
        a: *const Self,
        b: *const Self,
        start: Start,
        from: *const Self,
        kind: Kind,
        io: Io<Self>,
    );
}

macro_rules! multiply {
    ($t:ty, $name:ident) => {
        impl Multiply for $t {
            unsafe fn multiply(
                isa: Isa,
                rows: usize,
                depth: usize,
                bands: usize,
                a: *const Self,
                b: *const Self,
                start: Start,
                from: *const Self,
                kind: Kind,
                io: Io<Self>,
            ) {
                // SAFETY: the caller's promise.
                unsafe { $name(isa, rows, depth, bands, a, b, start, from, kind, io) }
            }
        }
    };
}
multiply!(f32, multiply_f32);
multiply!(f64, multiply_f64);

/// `C[r, s] = sum_k A[k, r] B[k, s]` for 48 rows and 48 columns: both factors feature-major blocks, `[depth, 48]`.
///
/// This is the Gram tile of two blocks of points. `c: [48, 48]`.
///
/// # Panics
/// If a slice is shorter than its shape.
#[inline]
pub fn gram<T: Real>(isa: Isa, depth: usize, a: &[T], b: &[T], c: &mut [T]) {
    assert!(
        a.len() >= product(depth, BLOCK)
            && b.len() >= product(depth, BLOCK)
            && c.len() >= BLOCK * BLOCK,
        "gram: slices too short for depth {depth}"
    );
    // SAFETY: the lengths were checked.
    unsafe { gram_by_isa(isa, depth, a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) }
}

/// # Safety
/// `a`, `b`: `[depth, 48]`; `c`: `[48, 48]`.
#[inline(always)]
unsafe fn gram_body<V: Simd>(depth: usize, a: *const V::T, b: *const V::T, c: *mut V::T) {
    let io = Io {
        out: c,
        ..Io::none()
    };
    let mut column = 0;
    while column < BLOCK {
        let mut row = 0;
        while row < BLOCK {
            macro_rules! run {
                ($r:literal) => {
                    product_tile::<V, Store, $r, 3>(
                        depth,
                        a.add(row),
                        1,
                        BLOCK,
                        b.add(column),
                        Start::Zero,
                        std::ptr::null(),
                        row * BLOCK + column,
                        &io,
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
    assert!(width.is_multiple_of(PAD) && c.len() >= product(rows, width));
    assert!(!terms.is_empty() && terms.len() <= 2);
    for term in terms {
        assert!(term.x.len() >= product(rows, BLOCK) && term.z.len() >= product(BLOCK, width));
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
/// The padding columns of `dst` are left as they are.
///
/// # Panics
/// If a slice is shorter than its shape.
#[inline]
pub fn transpose<T: Real>(isa: Isa, rows: usize, src: &[T], dst: &mut [T]) {
    let width = crate::padded(rows);
    assert!(src.len() >= product(rows, BLOCK) && dst.len() >= product(BLOCK, width));
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
