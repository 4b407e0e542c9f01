//! The hub's services through their public operations: real certificates, real MLS members, a store in
//! memory. What crosses the wire is tested elsewhere; here is what the hub accepts, refuses and answers.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

#[path = "services/synthetic.rs"]
mod synthetic;
#[path = "services/world.rs"]
mod world;

#[path = "services/applications.rs"]
mod applications;
#[path = "services/attachments.rs"]
mod attachments;
#[path = "services/authentication.rs"]
mod authentication;
#[path = "services/certificates.rs"]
mod certificates;
#[path = "services/commits.rs"]
mod commits;
#[path = "services/directory.rs"]
mod directory;
#[path = "services/external.rs"]
mod external;
#[path = "services/hostile.rs"]
mod hostile;
#[path = "services/key_packages.rs"]
mod key_packages;
#[path = "services/leaving.rs"]
mod leaving;
#[path = "services/policies.rs"]
mod policies;
#[path = "services/recovery.rs"]
mod recovery;
#[path = "services/wake_ups.rs"]
mod wake_ups;
