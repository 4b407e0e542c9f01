//! Finds and names what is wrong with an installation.
