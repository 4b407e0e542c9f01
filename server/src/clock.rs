//! The clock, as an argument.
