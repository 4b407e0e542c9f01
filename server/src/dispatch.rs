//! One match: request to service call to reply.
