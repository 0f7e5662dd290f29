//! The command as a user meets it: every test runs the binary in a folder of its own.
#![allow(clippy::unwrap_used)]

mod adapt;
mod bad_input;
mod bench;
mod color;
mod costs;
mod judge;
mod latent;
mod place;
mod resume;
mod rows;
mod transport;
mod verbs;
