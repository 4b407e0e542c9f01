//! Accepts connections under limits.
