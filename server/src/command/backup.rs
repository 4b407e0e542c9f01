//! `cercle-server backup` and `restore`.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use cercle_server::{
    admin::{self, client, client::AdminError},
    at_rest::{self, KeySource},
    backup::{self, Keep, PublicKey, Repository, SecretKey, Source},
    clock::Clock,
    config::Config,
    limits,
};
use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;

use super::{ConfigFile, admin::text};

/// What is to be done with backups.
#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Makes a key pair: the public key is printed, the secret key goes into a file that you keep off the hub.
    Keygen {
        /// File for the secret key; must not exist.
        file: PathBuf,
    },
    /// Makes a backup, online if the hub runs. A repository that does not exist is made.
    Create {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        place: Place,
        /// Public key to seal a new repository to.
        #[arg(long)]
        recipient: Option<String>,
    },
    /// Checks that a backup is whole.
    Verify {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        place: Place,
        /// Name of the backup; the newest if none is given.
        name: Option<String>,
        /// File with the secret key, to check what is inside a sealed backup too.
        #[arg(long)]
        key_file: Option<PathBuf>,
    },
    /// Lists backups, oldest first.
    List {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        place: Place,
    },
    /// Deletes old backups, and what only they needed.
    Prune {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        place: Place,
        /// Keeps the newest so many.
        #[arg(long, default_value_t = 24)]
        keep_last: usize,
        /// Keeps the newest of each of so many days.
        #[arg(long, default_value_t = 14)]
        keep_daily: usize,
        /// Keeps the newest of each of so many weeks.
        #[arg(long, default_value_t = 8)]
        keep_weekly: usize,
    },
}

/// Where the backups are.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Folder of the backups; without it the key `backups` of the configuration.
    #[arg(long)]
    repository: Option<PathBuf>,
}

/// What to restore, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArguments {
    /// Folder of the backups.
    repository: PathBuf,
    /// Data directory; must not exist, or be empty.
    #[arg(long)]
    data: PathBuf,
    /// Name of the backup; the newest if none is given.
    #[arg(long)]
    name: Option<String>,
    /// File with the secret key, for a sealed backup.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// Key at rest of the hub, if the backup is of one that seals its disk: a file, or `command:/path/of/a/program`.
    #[arg(long)]
    at_rest_key: Option<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Carries a command out and prints the answer.
pub(super) async fn run(command: BackupCommand, json: bool) -> anyhow::Result<()> {
    let answer = match command {
        BackupCommand::Keygen { file } => keygen(&file)?,
        BackupCommand::Create { file, place, recipient } => {
            let config = file.load()?;
            let repository = std::path::absolute(place.of(Some(&config))?)?;
            create(&config, &repository, recipient).await?
        }
        BackupCommand::Verify { file, place, name, key_file } => {
            let repository = Repository::open(&place.find(&file)?)?;
            let key = key_file.as_deref().map(read_key).transpose()?;
            value(&backup::verify(&repository, name.as_deref(), key.as_ref())?)
        }
        BackupCommand::List { file, place } => {
            let backups = Repository::open(&place.find(&file)?)?.backups()?;
            let line = |manifest: &backup::Manifest| {
                serde_json::json!({
                    "name": manifest.name,
                    "created_at_ms": manifest.created_at_ms,
                    "bytes": manifest.bytes(),
                    "rows": manifest.tables.values().sum::<u64>(),
                    "files": manifest.files.len(),
                    "sealed": manifest.sealed,
                    "at_rest": manifest.at_rest,
                })
            };
            backups.iter().map(line).collect()
        }
        BackupCommand::Prune { file, place, keep_last, keep_daily, keep_weekly } => {
            let keep = Keep { last: keep_last, daily: keep_daily, weekly: keep_weekly };
            value(&Repository::open(&place.find(&file)?)?.prune(keep)?)
        }
    };
    super::print(&if json { format!("{answer}\n") } else { text(&answer) });
    Ok(())
}

/// Restores a backup and says what is left to do.
pub(super) async fn restore(arguments: RestoreArguments) -> anyhow::Result<()> {
    let RestoreArguments { repository, data, name, key_file, at_rest_key, json } = arguments;
    let repository = Repository::open(&repository)?;
    let key = key_file.as_deref().map(read_key).transpose()?;
    let now = Clock::system().now();
    let source = KeySource::parse(&at_rest_key.unwrap_or_default(), &std::env::current_dir()?)?;
    let restored =
        backup::restore(&repository, name.as_deref(), &data, key.as_ref(), source.as_ref(), now).await?;
    if json {
        super::print(&format!("{}\n", value(&restored)));
        return Ok(());
    }
    let minutes = now.saturating_sub(restored.created_at_ms) / 60_000;
    super::print(&format!(
        "{}\nThe copy is {minutes} minutes old. Stop the old hub for good, then start this one:\n  \
         cercle-server doctor --config {2}\n  cercle-server serve --config {2}\n\
         Devices say again what was said since; devices that were revoked since must be revoked again \
         (cercle-server admin revoke).\n{1}",
        text(&value(&restored)),
        if restored.outside.is_empty() {
            ""
        } else {
            "Some files lay outside the data directory; they are in its folder `outside`: put them where the configuration names them.\n"
        },
        data.display(),
    ));
    Ok(())
}

impl Place {
    /// The folder, from the argument or else from the configuration.
    fn of(&self, config: Option<&Config>) -> anyhow::Result<PathBuf> {
        match (&self.repository, config.and_then(Config::backups_folder)) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(path)) => Ok(path),
            (None, None) => {
                bail!("where are the backups? give --repository, or set `backups` in the configuration")
            }
        }
    }

    /// The same, reading the configuration only if it is needed.
    fn find(&self, file: &ConfigFile) -> anyhow::Result<PathBuf> {
        match &self.repository {
            Some(path) => Ok(path.clone()),
            None => self.of(Some(&file.load()?)),
        }
    }
}

/// Asks the running hub; if there is none, opens the store itself.
async fn create(config: &Config, repository: &Path, recipient: Option<String>) -> anyhow::Result<Value> {
    let command = admin::Command::Backup { repository: repository.to_owned(), recipient: recipient.clone() };
    match client::send_within(&config.admin_socket, &command, limits::BACKUP_WAIT).await {
        Ok(answer) => return Ok(answer),
        Err(AdminError::Unreachable { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if !config.data.join("store").exists() {
        bail!("{} holds no store: is --config right?", config.data.display());
    }
    let store = at_rest::open_store(config).await?;
    let recipient: Option<PublicKey> = recipient.map(|key| key.parse()).transpose()?;
    let now = Clock::system().now();
    let created = backup::create(&Source::of(config), &store, repository, recipient, now).await?;
    tokio::task::spawn_blocking(move || drop(store)).await?;
    Ok(value(&created))
}

fn keygen(file: &Path) -> anyhow::Result<Value> {
    let key = SecretKey::generate()?;
    let mut written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("{} cannot be made", file.display()))?;
    written.write_all(format!("{}\n", key.to_text().as_str()).as_bytes())?;
    written.sync_all()?;
    Ok(serde_json::json!({ "public_key": key.public()?.to_string(), "secret_key_file": file }))
}

fn read_key(file: &Path) -> anyhow::Result<SecretKey> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(zeroize::Zeroizing::new(text).parse()?)
}

fn value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).expect("an answer is made of JSON values")
}
