//! The directory: what an import takes and refuses, what a search finds, who is never found.

#[path = "directory/cards.rs"]
mod cards;
#[path = "directory/damage.rs"]
mod damage;
#[path = "directory/imports.rs"]
mod imports;
#[path = "directory/relevance.rs"]
mod relevance;
#[path = "directory/secrecy.rs"]
mod secrecy;
#[path = "directory/world.rs"]
mod world;
