//! The hub as a program: arguments, configuration file, signals.

fn main() {}
