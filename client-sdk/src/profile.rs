//! The folder of one identity on this machine.
