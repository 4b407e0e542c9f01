//! The generated types of package `cercle.content.v1`, and the only lint exceptions for them.
#![expect(unreachable_pub, reason = "generated code names everything `pub`")]
#![expect(clippy::doc_markdown, reason = "comments of generated code are those of its source")]
#![expect(clippy::large_enum_variant, reason = "the size of generated types is that of their messages")]

include!(concat!(env!("OUT_DIR"), "/cercle.content.v1.rs"));
