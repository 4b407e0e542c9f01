//! Typed messages inside MLS: versioned, unknown kinds are kept and shown as such.
