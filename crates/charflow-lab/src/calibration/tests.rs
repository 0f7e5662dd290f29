//! Truths against naive ones.
