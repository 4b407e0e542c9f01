//! `cercle-server store`: seals the disk of a hub, and changes the key that it is sealed with.

use cercle_server::at_rest::{self, KeySource};
use clap::Subcommand;

use super::{ConfigFile, admin::text};

/// What is to be done with the store.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Seals names, user ids and addresses with the key that `at_rest_key` names; a file that does not exist is made.
    /// May be repeated.
    Seal {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Makes another key the one that opens the disk; then set `at_rest_key` to it.
    Rekey {
        #[command(flatten)]
        file: ConfigFile,
        /// File of the new key, made if it does not exist, or `command:/path/of/a/program`.
        #[arg(long)]
        to: String,
    },
}

/// Carries a command out and prints the answer.
pub(super) fn run(command: StoreCommand, json: bool) -> anyhow::Result<()> {
    let answer = match command {
        StoreCommand::Seal { file } => serde_json::to_value(at_rest::seal(&file.load()?)?)?,
        StoreCommand::Rekey { file, to } => {
            let Some(to) = KeySource::parse(&to, &std::env::current_dir()?)? else {
                anyhow::bail!("where is the new key? give --to a file or a program");
            };
            at_rest::rewrap(&file.load()?, &to)?;
            serde_json::json!({ "key": to.to_string(), "next": "set at_rest_key to it, and start the hub" })
        }
    };
    super::print(&if json { format!("{answer}\n") } else { text(&answer) });
    Ok(())
}
