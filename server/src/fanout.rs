//! From the log to the sessions that read it.
