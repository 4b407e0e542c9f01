//! The whole configuration, each key documented.
