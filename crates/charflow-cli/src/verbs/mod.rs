//! One file a verb.

pub mod data;
pub mod demo;
pub mod evaluate;
pub mod fit;
pub mod plot;
pub mod transport;
