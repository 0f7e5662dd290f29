//! Colours that can be told apart with any kind of colour vision, and on paper.

use super::drawing::Ink;

pub(super) const TEXT: Ink = Ink::solid([0x22, 0x22, 0x22]);
pub(super) const QUIET: Ink = Ink::solid([0x66, 0x66, 0x66]);
pub(super) const GRID: Ink = Ink::solid([0xe8, 0xe8, 0xe8]);
pub(super) const BORDER: Ink = Ink::solid([0x99, 0x99, 0x99]);
pub(super) const BLACK: Ink = Ink::solid([0, 0, 0]);
/// Source points and what becomes of them.
pub(super) const SOURCE: Ink = Ink::solid([0x00, 0x72, 0xb2]);
/// Target points and what becomes of them.
pub(super) const TARGET: Ink = Ink::solid([0xd5, 0x5e, 0x00]);

/// Okabe and Ito (2008), without black and yellow.
const FEW: [[u8; 3]; 6] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
];
/// Tol's muted set (2021).
const MANY: [[u8; 3]; 9] = [
    [0x33, 0x22, 0x88],
    [0xcc, 0x66, 0x77],
    [0x11, 0x77, 0x33],
    [0xdd, 0xcc, 0x77],
    [0x88, 0xcc, 0xee],
    [0x88, 0x22, 0x55],
    [0x44, 0xaa, 0x99],
    [0x99, 0x99, 0x33],
    [0xaa, 0x44, 0x99],
];

/// Colour `index` of a set of `count`; beyond nine they come round again.
pub(super) fn category(index: usize, count: usize) -> Ink {
    if count <= FEW.len() {
        Ink::solid(FEW[index % FEW.len()])
    } else {
        Ink::solid(MANY[index % MANY.len()])
    }
}

/// Between the source's colour at 0 and the target's at 1.
pub(super) fn blend(t: f64) -> Ink {
    let t = t.clamp(0.0, 1.0);
    let mix = |k: usize| {
        (f64::from(SOURCE.rgb[k]) * (1.0 - t) + f64::from(TARGET.rgb[k]) * t).round() as u8
    };
    Ink::solid([mix(0), mix(1), mix(2)])
}
