//! One connected device.
