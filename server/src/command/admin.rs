//! `cercle-server admin`: turns arguments into commands for the operator's socket, and answers into text.

use cercle_server::{
    admin::{Class, Command, HubRole, Invite, client},
    config::Config,
};
use clap::Subcommand;
use serde_json::Value;

/// What the operator asks of a running hub.
#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Creates a one-time invitation and prints its link.
    Invite {
        /// User id without the domain.
        user: String,
        /// Name that everybody sees; needed for a new user.
        #[arg(long, default_value = "")]
        name: String,
        /// Profession code (TRE_G15).
        #[arg(long, default_value = "")]
        profession: String,
        /// Member class of a new user.
        #[arg(long, value_enum, default_value_t = Class::Professional)]
        class: Class,
        /// Hub role of a new user; may be repeated.
        #[arg(long = "role", value_enum)]
        roles: Vec<HubRole>,
        /// Hours until the invitation expires.
        #[arg(long)]
        hours: Option<u64>,
        /// The user has lost every device: they end at once, and the next one takes their place in all groups.
        #[arg(long)]
        lost_devices: bool,
    },
    /// Lists users.
    Users {
        /// Only users after this one.
        #[arg(long)]
        after: Option<String>,
    },
    /// Lists the devices of a user.
    Devices {
        /// User id, with or without the domain.
        user: String,
    },
    /// Ends a device for ever: its session, its keys, its place in every group.
    Revoke {
        /// Device id, 32 hexadecimal digits.
        device: String,
    },
    /// Lists groups: size, epoch, how much of the log is kept.
    Groups,
    /// Lists how users could be reached: devices, devices with push, connected, last seen.
    Reachability {
        /// Only users after this one.
        #[arg(long)]
        after: Option<String>,
    },
    /// Says how the hub is.
    Status,
    /// Lists the audit log.
    Audit {
        /// Only records after this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
}

/// Sends the command and prints the answer.
pub(super) async fn run(config: &Config, command: AdminCommand, json: bool) -> anyhow::Result<()> {
    let answer = client::send(&config.admin_socket, &command.into()).await?;
    let text = if json { format!("{answer}\n") } else { text(&answer) };
    super::print(&text);
    Ok(())
}

impl From<AdminCommand> for Command {
    fn from(command: AdminCommand) -> Self {
        match command {
            AdminCommand::Invite { user, name, profession, class, roles, hours, lost_devices } => {
                let valid_for_hours = hours;
                Self::Invite(Invite { user, name, profession, class, roles, valid_for_hours, lost_devices })
            }
            AdminCommand::Users { after } => Self::Users { after },
            AdminCommand::Devices { user } => Self::Devices { user },
            AdminCommand::Revoke { device } => Self::Revoke { device },
            AdminCommand::Groups => Self::Groups,
            AdminCommand::Reachability { after } => Self::Reachability { after },
            AdminCommand::Status => Self::Status,
            AdminCommand::Audit { after } => Self::Audit { after },
        }
    }
}

/// An object as `key: value` lines, a list as one line for each element.
pub(super) fn text(answer: &Value) -> String {
    match answer {
        Value::Array(rows) => rows.iter().map(|row| format!("{}\n", fields(row, "  "))).collect(),
        Value::Object(_) => format!("{}\n", fields(answer, "\n")),
        other => format!("{other}\n"),
    }
}

fn fields(value: &Value, separator: &str) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            fields.map(|(key, value)| format!("{key}: {}", plain(value))).collect::<Vec<_>>().join(separator)
        }
        other => plain(other),
    }
}
