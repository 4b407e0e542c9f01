//! The generated types of package `cercle.content.v1`, and the only lint exceptions for them.
#![expect(
    unreachable_pub,
    clippy::doc_markdown,
    reason = "generated code names everything `pub`, as it likes"
)]

include!(concat!(env!("OUT_DIR"), "/cercle.content.v1.rs"));
