//! The only mapping from service errors to error codes.
