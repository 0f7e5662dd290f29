//! The command as a user meets it: every test runs the binary in a folder of its own.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod place;
mod resume;
mod transport;
mod verbs;
