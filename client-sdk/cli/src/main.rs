//! The command line of a health professional.

fn main() {}
