//! Applies the log in order, sends the outbox, recovers.
