//! Builds the parts in dependency order, owns their tasks, drains them.
