//! The space in which colours are points.
//!
//! ```text
//! srgb     c itself, encoded as pictures store it                                      (the paper's)
//! linear   light: c / 12.92 below 0.04045, else ((c + 0.055) / 1.055)^2.4              (IEC 61966-2-1)
//! oklab    lightness and two opponent axes, in which distances are those that are seen (Ottosson 2020, "A perceptual color space for image processing")
//! ```
//!
//! Outside of `[0, 1]` the encoding goes on as an odd function, so that every point has a colour and the way back is exact.

use super::CHANNELS;

/// A space of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Space {
    /// As stored.
    #[default]
    Srgb,
    /// Proportional to light.
    Linear,
    /// Oklab.
    Oklab,
}

impl Space {
    /// All spaces.
    pub const ALL: [Space; 3] = [Space::Srgb, Space::Linear, Space::Oklab];

    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Space::Srgb => "srgb",
            Space::Linear => "linear",
            Space::Oklab => "oklab",
        }
    }

    /// The space of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// The names of its coordinates.
    #[must_use]
    pub fn columns(self) -> [&'static str; CHANNELS] {
        match self {
            Space::Srgb | Space::Linear => ["red", "green", "blue"],
            Space::Oklab => ["lightness", "a", "b"],
        }
    }

    /// The point of a stored colour `c`, in `[0, 1]^3` or a little outside.
    #[must_use]
    pub fn point(self, c: [f64; CHANNELS]) -> [f64; CHANNELS] {
        match self {
            Space::Srgb => c,
            Space::Linear => c.map(decoded),
            Space::Oklab => {
                let cone = times(&CONES, c.map(decoded));
                times(&OPPONENT, cone.map(f64::cbrt))
            }
        }
    }

    /// The stored colour of a point, not clipped.
    #[must_use]
    pub fn color(self, x: [f64; CHANNELS]) -> [f64; CHANNELS] {
        match self {
            Space::Srgb => x,
            Space::Linear => x.map(encoded),
            Space::Oklab => {
                let cone = times(&OPPONENT_INVERSE, x).map(|v| v * v * v);
                times(&CONES_INVERSE, cone).map(encoded)
            }
        }
    }
}

/// Light of a stored value.
fn decoded(c: f64) -> f64 {
    let a = c.abs();
    let light = if a <= 0.04045 {
        a / 12.92
    } else {
        ((a + 0.055) / 1.055).powf(2.4)
    };
    light.copysign(c)
}

/// Stored value of light.
fn encoded(light: f64) -> f64 {
    let a = light.abs();
    // The crossing of the two branches as `decoded` has it, so that the way there and back is the identity everywhere.
    let c = if a <= 0.04045 / 12.92 {
        12.92 * a
    } else {
        1.055 * a.powf(1.0 / 2.4) - 0.055
    };
    c.copysign(light)
}

type Matrix = [[f64; CHANNELS]; CHANNELS];

fn times(m: &Matrix, v: [f64; CHANNELS]) -> [f64; CHANNELS] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

// Oklab's own numbers; the inverses are computed from them, since the published inverses agree only to seven digits.
const CONES: Matrix = [
    [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
    [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
    [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
];
const OPPONENT: Matrix = [
    [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
    [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
    [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
];
const CONES_INVERSE: Matrix = inverse(&CONES);
const OPPONENT_INVERSE: Matrix = inverse(&OPPONENT);

/// Cramer's rule: for matrices as well conditioned as these, exact to rounding.
const fn inverse(m: &Matrix) -> Matrix {
    let mut cofactors = [[0.0; CHANNELS]; CHANNELS];
    let mut i = 0;
    while i < CHANNELS {
        let (a, b) = ((i + 1) % CHANNELS, (i + 2) % CHANNELS);
        let mut j = 0;
        while j < CHANNELS {
            let (k, l) = ((j + 1) % CHANNELS, (j + 2) % CHANNELS);
            // Cyclic indices carry the sign.
            cofactors[i][j] = m[a][k] * m[b][l] - m[a][l] * m[b][k];
            j += 1;
        }
        i += 1;
    }
    let determinant =
        m[0][0] * cofactors[0][0] + m[0][1] * cofactors[0][1] + m[0][2] * cofactors[0][2];
    let mut out = [[0.0; CHANNELS]; CHANNELS];
    i = 0;
    while i < CHANNELS {
        let mut j = 0;
        while j < CHANNELS {
            out[i][j] = cofactors[j][i] / determinant;
            j += 1;
        }
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_is_the_identity_outside_of_the_gamut_too() {
        for space in Space::ALL {
            for i in 0..9 * 9 * 9 {
                let c = [i % 9, i / 9 % 9, i / 81].map(|k| f64::from(k) / 6.0 - 0.2);
                let back = space.color(space.point(c));
                for k in 0..3 {
                    assert!((back[k] - c[k]).abs() < 1e-9, "{space:?} {c:?} {back:?}");
                }
            }
            assert_eq!(Space::named(space.name()), Some(space));
        }
        assert_eq!(Space::named("lab"), None);
    }

    /// The reference values of Ottosson's page for sRGB white and red, and IEC's for a grey.
    #[test]
    fn known_colors_have_their_known_points() {
        let near =
            |a: [f64; 3], b: [f64; 3], by: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() < by);
        let white = Space::Oklab.point([1.0; 3]);
        assert!(near(white, [1.0, 0.0, 0.0], 1e-6), "{white:?}");
        let red = Space::Oklab.point([1.0, 0.0, 0.0]);
        assert!(
            near(red, [0.627_955, 0.224_863, 0.125_846], 1e-5),
            "{red:?}"
        );
        let grey = Space::Linear.point([0.5; 3]);
        assert!(near(grey, [0.214_041; 3], 1e-6), "{grey:?}");
        assert_eq!(Space::Srgb.point([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]);
    }

    #[test]
    fn the_encoding_is_continuous_where_its_branches_meet() {
        for c in [0.04045, -0.04045] {
            let (below, above) = (decoded(c * (1.0 - 1e-9)), decoded(c * (1.0 + 1e-9)));
            assert!((below - above).abs() < 1e-7, "{below} {above}");
        }
    }
}
