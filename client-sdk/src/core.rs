//! One device as a state machine: (input, now) to actions.
