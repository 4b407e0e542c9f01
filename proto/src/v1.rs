//! The generated types of package `cercle.hub.v1`, and the only lint exceptions for them.
#![expect(
    missing_docs,
    clippy::doc_markdown,
    reason = "generated from the .proto files, whose comments are the reference"
)]

include!(concat!(env!("OUT_DIR"), "/cercle.hub.v1.rs"));
