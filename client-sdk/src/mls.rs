//! The only door to openmls.
