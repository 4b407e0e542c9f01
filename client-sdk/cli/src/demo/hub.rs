//! A real hub inside this process: the same library as `cercle-server`, on loopback only.

use std::path::Path;

use cercle_proto::{
    invitation::Invitation,
    v1::{MemberClass, Role},
};
use cercle_sdk::client::now_ms;
use cercle_server::{
    auth::InvitationRequest,
    clock::Clock,
    config::Config,
    init::{self, Options},
    server::{self, RunningServer},
};

use super::cast::DOMAIN;
use crate::{exit::Exit, failure::Failure};

/// Port 0: whatever is free, so that a demonstration disturbs nobody.
const ADDRESS: &str = "127.0.0.1:0";

/// The hub of a demonstration.
pub(super) struct DemoHub {
    running: RunningServer,
    /// From opening the store to taking connections, ms.
    pub(super) ready_ms: u64,
}

impl DemoHub {
    /// Makes and starts a hub in a new folder.
    pub(super) async fn start(data: &Path) -> Result<Self, Failure> {
        let options = Options {
            data: data.join("hub"),
            domain: DOMAIN.to_owned(),
            address: ADDRESS.to_owned(),
            tls: None,
            administrator: "exploitation".to_owned(),
            administrator_name: "Exploitation (fictive)".to_owned(),
            at_rest_key: None,
        };
        let created =
            Box::pin(init::create(options, &Clock::system())).await.map_err(|error| cannot(&error))?;
        let config = Config::load(&created.config, []).map_err(|error| cannot(&error))?;
        let started_ms = now_ms();
        let running = Box::pin(server::start(config)).await.map_err(|error| cannot(&error))?;
        Ok(Self { running, ready_ms: now_ms().saturating_sub(started_ms) })
    }

    /// Where it is.
    pub(super) fn address(&self) -> String {
        self.running.address().to_string()
    }

    /// Invites a new user, as the operator of a real hub would.
    pub(super) async fn invite(
        &self,
        user: &str,
        name: &str,
        profession: &str,
        coordinates: bool,
    ) -> Result<Invitation, Failure> {
        let mut roles = vec![Role::Member];
        if coordinates {
            roles.push(Role::Coordinator);
        }
        let request = InvitationRequest {
            user: Some(user.to_owned()),
            display_name: name.to_owned(),
            profession: profession.to_owned(),
            class: MemberClass::Professional,
            roles,
            valid_for_ms: None,
            lost_devices: false,
        };
        let (_, link) = self.running.invite(request).await.map_err(|refusal| {
            let message = refusal.message;
            Failure::new(
                Exit::Fault,
                text!("Le hub refuse l'invitation : {message}"; "The hub refuses the invitation: {message}"),
            )
        })?;
        Invitation::parse(&link).map_err(|error| cannot(&error))
    }

    /// Lets requests finish and stops.
    pub(super) async fn stop(self) {
        self.running.shutdown().await;
    }
}

fn cannot(error: &dyn std::error::Error) -> Failure {
    let cause = error.source().map_or_else(String::new, |cause| format!(" ({cause})"));
    Failure::new(
        Exit::Fault,
        text!(
            "Le hub de démonstration ne démarre pas : {error}{cause}";
            "The demonstration hub does not start: {error}{cause}"
        ),
    )
}
