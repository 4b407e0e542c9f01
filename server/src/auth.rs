//! Authentication service: who is who.
