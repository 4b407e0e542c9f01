//! The client an app holds: open, enrol, connect, act, observe.
