//! Connects, resumes, gives up: pure state driven by a thin shell.
