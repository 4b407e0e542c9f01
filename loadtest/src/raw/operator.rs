//! Who invites the devices of a run: the operator's socket of a hub of our own, which has no rate limit, or a
//! coordinator of another hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use cercle_proto::invitation::Invitation;
use cercle_sdk::{client::Client, core::NewInvitation};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

/// Who invites. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Inviter {
    /// The operator, by the socket in the hub's folder.
    Operator(PathBuf),
    /// A coordinator who is enrolled.
    Coordinator(Client),
}

impl Inviter {
    /// The invitation of a new user with these roles of the hub.
    ///
    /// # Errors
    /// When the hub refuses, or a coordinator is to give roles.
    pub(crate) async fn invite(&self, user: &str, roles: &[&str]) -> anyhow::Result<Invitation> {
        let link = match self {
            Self::Operator(socket) => by_operator(socket, user, roles).await?,
            Self::Coordinator(client) => {
                ensure!(roles.is_empty(), "a coordinator gives no roles");
                let (user, display_name) = (user.to_owned(), "Charge".to_owned());
                let invitation = NewInvitation { user, display_name, ..Default::default() };
                client.create_invitation(invitation).await?.link
            }
        };
        Ok(Invitation::parse(&link)?)
    }
}

async fn by_operator(socket: &Path, user: &str, roles: &[&str]) -> anyhow::Result<String> {
    let command = json!({ "command": "invite", "user": user, "name": "Charge", "roles": roles });
    let (read, mut write) = UnixStream::connect(socket).await?.into_split();
    write.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(read).read_line(&mut answer).await?;
    let answer: Value = serde_json::from_str(&answer).context("the operator's socket")?;
    let link = answer["ok"]["link"].as_str().map(str::to_owned);
    link.with_context(|| format!("the hub does not invite: {answer}"))
}
