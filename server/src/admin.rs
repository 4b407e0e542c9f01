//! What the operator does over the local Unix socket.
