//! The generated types of package `cercle.device.v1`, and the only lint exceptions for them.
#![expect(unreachable_pub, reason = "generated code names everything `pub`")]

include!(concat!(env!("OUT_DIR"), "/cercle.device.v1.rs"));
