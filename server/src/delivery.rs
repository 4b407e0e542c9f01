//! Delivery service (RFC 9750 section 5): its public operations.
