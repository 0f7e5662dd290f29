//! Checkerboard: uniform on the 8 squares of side 2 in `[-4, 4)^2` whose column and row numbers add to an even number.

use rand::RngExt;

use super::{Generated, planar, uniform};

pub(super) fn generate(n: usize, _dim: usize, seed: u64) -> Generated {
    planar("checkerboard", n, seed, |rng| {
        let column: u32 = rng.random_range(0..4);
        let row = 2 * rng.random_range(0..2u32) + column % 2;
        [
            2.0 * (f64::from(column) + uniform(rng)) - 4.0,
            2.0 * (f64::from(row) + uniform(rng)) - 4.0,
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_even_squares_are_filled_and_all_of_them_equally() {
        let n = 16_000;
        let mut count = [[0usize; 4]; 4];
        for p in generate(n, 2, 3).clouds[0].values.chunks(2) {
            count[((p[0] + 4.0) / 2.0) as usize][((p[1] + 4.0) / 2.0) as usize] += 1;
        }
        for column in 0..4 {
            for row in 0..4 {
                let seen = count[column][row];
                if (column + row) % 2 == 1 {
                    assert_eq!(seen, 0);
                } else {
                    assert!(
                        seen.abs_diff(n / 8) < 250,
                        "square {column},{row} has {seen}"
                    );
                }
            }
        }
    }
}
