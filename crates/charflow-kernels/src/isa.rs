//! Which instruction set the kernels use.

use std::sync::OnceLock;

/// An instruction set that every kernel is compiled for and that this processor runs.
///
/// A value can only be had from [`Isa::available`] or [`Isa::current`], so holding one proves that the processor has
/// the set: the kernels' safety rests on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Isa(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) enum Kind {
    /// AVX-512 F, DQ, BW, VL: 16 `f32` or 8 `f64` lanes, 32 registers.
    Avx512,
    /// AVX2 and FMA: 8 `f32` or 4 `f64` lanes, 16 registers.
    Avx2,
    /// Plain Rust, whatever the target's baseline is (SSE2 on x86-64).
    Portable,
}

/// The name of the environment variable that forces an instruction set: `avx512`, `avx2` or `portable`.
pub const FORCE_VARIABLE: &str = "CHARFLOW_ISA";

impl Isa {
    /// The sets this processor can run, widest first. `Portable` is always last.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        let mut sets = Vec::new();
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("fma")
            {
                sets.push(Isa(Kind::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Isa(Kind::Avx2));
            }
        }
        sets.push(Isa(Kind::Portable));
        sets
    }

    /// The set named by the environment variable [`FORCE_VARIABLE`], or else the widest one. Read once per process.
    ///
    /// A name that is unknown, or a set this processor lacks, is ignored here; [`Isa::forced`] tells a caller that
    /// wants to complain.
    #[must_use]
    pub fn current() -> Isa {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| match Isa::forced() {
            Ok(Some(isa)) => isa,
            _ => Isa::available()[0],
        })
    }

    /// What [`FORCE_VARIABLE`] asks for: `Ok(None)` if it is unset or empty.
    ///
    /// # Errors
    /// A sentence naming the variable and the sets this processor has.
    pub fn forced() -> Result<Option<Isa>, String> {
        let Ok(word) = std::env::var(FORCE_VARIABLE) else {
            return Ok(None);
        };
        if word.is_empty() {
            return Ok(None);
        }
        let sets = Isa::available();
        sets.iter()
            .find(|isa| isa.name() == word)
            .map(|isa| Some(*isa))
            .ok_or_else(|| {
                let names: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
                format!(
                    "{FORCE_VARIABLE}={word}: this processor runs {}",
                    names.join(", ")
                )
            })
    }

    /// The name used in messages and by [`FORCE_VARIABLE`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Avx512 => "avx512",
            Kind::Avx2 => "avx2",
            Kind::Portable => "portable",
        }
    }

    /// The portable path, which every processor has.
    #[must_use]
    pub fn portable() -> Isa {
        Isa(Kind::Portable)
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_there_and_names_are_distinct() {
        let sets = Isa::available();
        assert_eq!(sets.last(), Some(&Isa::portable()));
        let names: std::collections::HashSet<_> = sets.iter().map(|isa| isa.name()).collect();
        assert_eq!(names.len(), sets.len());
    }
}
