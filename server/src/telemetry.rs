//! Logs and metrics. Neither holds a name, a token, a content or an address; ids appear in logs in their
//! short form only, and never in metrics.

pub mod log;
pub mod metrics;

pub use metrics::Metrics;
