//! Everything an app can observe.
