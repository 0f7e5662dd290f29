//! Look-up tables: a look on a grid of colours, and the `.cube` files that picture and video programs read.
//!
//! ```text
//! node (i, j, k)   the image of the colour (i, j, k) / (size - 1), not clipped
//! between nodes    linear on each of the six tetrahedra of a cell that share its diagonal from dark to light
//! ```
//!
//! Tetrahedral interpolation keeps greys that are grey at the nodes, needs four nodes a colour instead of eight, and is what ffmpeg and colour-grading programs do.
//! Its error falls with the square of the cell's width where the look is smooth. Colours outside of `[0, 1]` are taken at the nearest side.
//!
//! The file: Adobe, "Cube LUT Specification 1.0" (2013); red runs fastest.

use super::CHANNELS;
use crate::LabError;
use charflow::map::{ForwardMap, check_points};
use std::fmt::Write as _;

/// A look on a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    size: usize,
    /// `[size^3]`, red fastest.
    nodes: Vec<[f32; CHANNELS]>,
}

/// Nodes evaluated at once.
const BLOCK: usize = 1 << 14;

impl Table {
    /// Sizes that can be asked for: 2 is the least a cell needs; at 129 a `.cube` file has 58 megabytes, and programs refuse larger ones.
    pub const SIZES: std::ops::RangeInclusive<usize> = 2..=129;

    /// `look` on `size` nodes an axis.
    ///
    /// # Errors
    /// A size outside of [`Table::SIZES`]; what `look` says.
    pub fn of(look: &dyn ForwardMap, size: usize) -> Result<Self, LabError> {
        if !Self::SIZES.contains(&size) {
            return Err(LabError::Input(format!(
                "a look-up table of {size} nodes an axis: expected {} to {}; 33 is what most programs use",
                Self::SIZES.start(),
                Self::SIZES.end()
            )));
        }
        let last = (size - 1) as f64;
        let colors: Vec<f64> = (0..size * size * size)
            .flat_map(|n| [n % size, n / size % size, n / size / size].map(|k| k as f64 / last))
            .collect();
        let mut nodes = Vec::with_capacity(size * size * size);
        for block in colors.chunks(CHANNELS * BLOCK) {
            let images = look.forward(block)?;
            nodes.extend(
                images
                    .as_chunks::<CHANNELS>()
                    .0
                    .iter()
                    .map(|y| y.map(|v| v as f32)),
            );
        }
        Ok(Table { size, nodes })
    }

    /// Nodes an axis.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The image of one colour.
    #[must_use]
    pub fn image(&self, c: [f32; CHANNELS]) -> [f32; CHANNELS] {
        let last = (self.size - 1) as f32;
        let mut at = 0;
        let mut stride = 1;
        // Each axis: its place in the cell, and the step to the next node along it.
        let mut axes = [(0.0f32, 0usize); CHANNELS];
        for k in 0..CHANNELS {
            let place = c[k].clamp(0.0, 1.0) * last;
            let cell = (place as usize).min(self.size - 2);
            at += cell * stride;
            axes[k] = (place - cell as f32, stride);
            stride *= self.size;
        }
        // From the dark corner to the light one along the axes in falling order of the place: the corners of the tetrahedron that holds it.
        for (i, j) in [(0, 1), (1, 2), (0, 1)] {
            if axes[i].0 < axes[j].0 {
                axes.swap(i, j);
            }
        }
        let mut out = [0.0f32; CHANNELS];
        let mut weight = 1.0 - axes[0].0;
        for k in 0..=CHANNELS {
            let node = &self.nodes[at];
            for (o, v) in out.iter_mut().zip(node) {
                *o += weight * v;
            }
            if k < CHANNELS {
                at += axes[k].1;
                weight = axes[k].0 - axes.get(k + 1).map_or(0.0, |next| next.0);
            }
        }
        out
    }

    /// The table that its `.cube` file holds.
    #[must_use]
    pub fn clipped(&self) -> Self {
        Table {
            size: self.size,
            nodes: self
                .nodes
                .iter()
                .map(|node| node.map(|v| v.clamp(0.0, 1.0)))
                .collect(),
        }
    }

    /// The text of a `.cube` file. Values are clipped to `[0, 1]`, since programs differ in what they do with others.
    #[must_use]
    pub fn cube(&self, title: &str) -> String {
        // A title ends at the quote and at the line.
        let title: String = title
            .chars()
            .map(|c| match c {
                '"' => '\'',
                c if c.is_control() => ' ',
                c => c,
            })
            .collect();
        let mut text = format!(
            "# charflow {}\nTITLE \"{title}\"\nLUT_3D_SIZE {}\nDOMAIN_MIN 0.0 0.0 0.0\nDOMAIN_MAX 1.0 1.0 1.0\n",
            env!("CARGO_PKG_VERSION"),
            self.size
        );
        for [r, g, b] in self.clipped().nodes {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{r:.6} {g:.6} {b:.6}");
        }
        text
    }
}

impl ForwardMap for Table {
    fn dim(&self) -> usize {
        CHANNELS
    }

    fn forward(&self, colors: &[f64]) -> charflow::Result<Vec<f64>> {
        check_points(colors, CHANNELS)?;
        let mut out = vec![0.0; colors.len()];
        for (y, c) in out
            .as_chunks_mut::<CHANNELS>()
            .0
            .iter_mut()
            .zip(colors.as_chunks::<CHANNELS>().0)
        {
            *y = self.image(c.map(|v| v as f32)).map(f64::from);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::testing::Formula;
    use charflow::map::IdentityMap;

    fn colors() -> impl Iterator<Item = [f32; 3]> {
        (0..1000).map(|i| {
            let i = i as f32;
            [0.618_034 * i, 0.381_966 * i + 0.1, 0.7548 * i].map(f32::fract)
        })
    }

    /// An affine look is reproduced between the nodes, whatever the tetrahedron: a wrong stride, order or weight is not.
    #[test]
    fn affine_looks_are_exact() {
        let look = Formula(|[r, g, b]| {
            [
                0.1 + 0.5 * r + 0.2 * g,
                0.9 - 0.7 * g + 0.1 * b,
                r - g + 1.5 * b,
            ]
        });
        for size in [2, 3, 17, 33] {
            let table = Table::of(&look, size).unwrap();
            for c in colors().chain([[0.0; 3], [1.0; 3], [0.0, 1.0, 0.5]]) {
                let wanted = look.0(c.map(f64::from));
                let found = table.image(c);
                for k in 0..3 {
                    assert!(
                        (f64::from(found[k]) - wanted[k]).abs() < 1e-5,
                        "{size} {c:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_error_falls_with_the_square_of_the_cell() {
        let look = Formula(|[r, g, b]| [(3.0 * r).sin(), (2.0 * g * b).exp() / 8.0, r * g]);
        let worst = |size: usize| {
            let table = Table::of(&look, size).unwrap();
            colors()
                .flat_map(|c| {
                    let (a, b) = (table.image(c), look.0(c.map(f64::from)));
                    (0..3).map(move |k| (f64::from(a[k]) - b[k]).abs())
                })
                .fold(0.0, f64::max)
        };
        let order = (worst(9) / worst(33)).log2() / 2.0;
        assert!((1.7..2.3).contains(&order), "{order}");
    }

    #[test]
    fn colors_outside_are_taken_at_the_side_and_greys_stay_grey() {
        let grey = Formula(|[r, g, b]| [(r + g + b) * (r + g + b) / 9.0; 3]);
        let table = Table::of(&grey, 5).unwrap();
        assert_eq!(table.image([-1.0, 0.5, 2.0]), table.image([0.0, 0.5, 1.0]));
        for c in colors() {
            let [r, g, b] = table.image(c);
            assert!((r - g).abs() < 1e-6 && (g - b).abs() < 1e-6);
        }
    }

    #[test]
    fn the_file_has_red_fastest_and_values_in_range() {
        let look = Formula(|[r, g, b]| [2.0 * r - 0.5, g, b]);
        let text = Table::of(&look, 3).unwrap().cube("a \"b\"\nc");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "TITLE \"a 'b' c\"");
        assert_eq!(lines[2], "LUT_3D_SIZE 3");
        let values: Vec<&&str> = lines.iter().skip(5).collect();
        assert_eq!(values.len(), 27);
        assert_eq!(*values[0], "0.000000 0.000000 0.000000");
        assert_eq!(*values[1], "0.500000 0.000000 0.000000");
        assert_eq!(*values[2], "1.000000 0.000000 0.000000");
        assert_eq!(*values[3], "0.000000 0.500000 0.000000");
        assert_eq!(*values[9], "0.000000 0.000000 0.500000");
    }

    #[test]
    fn sizes_that_make_no_table_are_refused() {
        for size in [0, 1, 130] {
            let error = Table::of(&IdentityMap::new(3), size).unwrap_err();
            assert!(error.to_string().contains("2 to 129"), "{error}");
        }
    }
}
