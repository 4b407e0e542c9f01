//! What went wrong, by what an app can do about it.
