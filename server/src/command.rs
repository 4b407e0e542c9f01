//! The subcommands of `cercle-server`, and what they print. Exit codes: 0 done, 1 failed (the reason is on
//! standard error), 2 wrong arguments, 3 `doctor` found something, 4 `health` says no.

mod admin;
mod audit;
mod backup;
mod directory;
mod serve;
mod store;

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use cercle_server::{
    at_rest::KEY_FILE,
    clock::Clock,
    config::{Config, keys::sample},
    doctor, health, init,
};
use clap::{Parser, Subcommand};

/// The hub of a CPTS: end-to-end-encrypted messages, their order and their delivery.
#[derive(Debug, Parser)]
#[command(name = "cercle-server", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a new hub: keys, certificates, configuration, first invitation.
    Init {
        /// Data directory; must not exist, or be empty.
        #[arg(long)]
        data: PathBuf,
        /// Right side of every user id, usually the domain name of the CPTS; cannot be changed later.
        #[arg(long)]
        domain: String,
        /// host:port as devices reach the hub.
        #[arg(long)]
        address: String,
        /// TLS certificate chain of the public web (PEM), instead of one under the CPTS root.
        #[arg(long, requires = "tls_key")]
        tls_cert: Option<PathBuf>,
        /// Its private key (PEM).
        #[arg(long, requires = "tls_cert")]
        tls_key: Option<PathBuf>,
        /// User id of the first administrator.
        #[arg(long, default_value = "admin")]
        admin: String,
        /// Name of the first administrator, as everybody sees it.
        #[arg(long, default_value = "Administration")]
        admin_name: String,
        /// File of the key that the disk is sealed with, made if it does not exist, or `command:/path/of/a/program`;
        /// relative paths count from the data directory.
        #[arg(long, default_value = KEY_FILE)]
        at_rest_key: String,
        /// Leave names and user ids readable on the disk.
        #[arg(long, conflicts_with = "at_rest_key")]
        unsealed: bool,
    },
    /// Runs the hub until SIGTERM or SIGINT; SIGHUP reads the TLS certificate again.
    Serve(ConfigFile),
    /// Prints the documented configuration file.
    Config,
    /// Talks to a running hub as its operator.
    Admin {
        #[command(flatten)]
        file: ConfigFile,
        /// Print the answer as JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: admin::AdminCommand,
    },
    /// Makes, checks, lists and prunes backups; works while the hub runs, and while it does not.
    Backup {
        /// Print the answer as JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: backup::BackupCommand,
    },
    /// Checks the audit log, and writes it out.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Makes a data directory out of a backup, for this or another machine.
    Restore(backup::RestoreArguments),
    /// Keeps the directory; works while the hub runs, and while it does not.
    Directory {
        #[command(flatten)]
        file: ConfigFile,
        /// Print the answer as JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: directory::DirectoryCommand,
    },
    /// Seals the disk of a hub that was made without, and changes its key; while the hub does not run.
    Store {
        /// Print the answer as JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: store::StoreCommand,
    },
    /// Looks for misconfigurations and says how to mend each.
    Doctor {
        #[command(flatten)]
        file: ConfigFile,
        /// Print findings as JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Asks the running hub over its port whether it takes writes.
    Health(ConfigFile),
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// Data directory made by `init`, or the configuration file itself.
    #[arg(long, env = "CERCLE_SERVER_CONFIG", default_value = ".", global = true)]
    config: PathBuf,
}

/// Carries out what the arguments say.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Init {
            data,
            domain,
            address,
            tls_cert,
            tls_key,
            admin,
            admin_name,
            at_rest_key,
            unsealed,
        } => {
            let options = init::Options {
                data,
                domain,
                address,
                tls: tls_cert.zip(tls_key),
                administrator: admin,
                administrator_name: admin_name,
                at_rest_key: (!unsealed).then_some(at_rest_key),
            };
            let created = init::create(options, &Clock::system()).await?;
            print(&format!(
                "The hub is made. Its configuration: {}\n\nStart it:\n  cercle-server serve --config {0}\n\n\
                 Enrol the first administrator (the link works once):\n  {}\n",
                created.config.display(),
                created.invitation.to_link(),
            ));
        }
        Command::Serve(file) => serve::serve(file.load()?).await?,
        Command::Config => print(&sample(&[])),
        Command::Admin { file, json, command } => admin::run(&file.load()?, command, json).await?,
        Command::Backup { json, command } => backup::run(command, json).await?,
        Command::Audit { command } => audit::run(command).await?,
        Command::Restore(arguments) => backup::restore(arguments).await?,
        Command::Directory { file, json, command } => directory::run(&file.load()?, command, json)?,
        Command::Store { json, command } => store::run(command, json)?,
        Command::Doctor { file, json } => return diagnose(&file, json).await,
        Command::Health(file) => {
            let answer = health::ask(&file.load()?).await?;
            print(&format!("{}\n", answer.text));
            if !answer.ready {
                return Ok(ExitCode::from(4));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints why the program failed, with the whole chain of causes.
pub(crate) fn complain(error: &anyhow::Error) {
    // Nothing can be done if standard error is closed.
    let _ = writeln!(std::io::stderr(), "cercle-server: {error:#}");
}

async fn diagnose(file: &ConfigFile, json: bool) -> anyhow::Result<ExitCode> {
    let findings = doctor::examine(&file.path(), environment(), &Clock::system()).await;
    for finding in &findings {
        let line = if json {
            serde_json::to_string(finding).context("a finding is made of JSON values")?
        } else {
            finding.to_string()
        };
        print(&format!("{line}\n"));
    }
    let healthy = findings.iter().all(|finding| finding.is_good());
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

impl ConfigFile {
    fn path(&self) -> PathBuf {
        if self.config.is_dir() { self.config.join(init::CONFIG_FILE) } else { self.config.clone() }
    }

    fn load(&self) -> anyhow::Result<Config> {
        let path = self.path();
        Config::load(&path, environment()).with_context(|| format!("in {}", shown(&path)))
    }
}

/// The variables that configure the hub; `CERCLE_SERVER_CONFIG` names the file itself.
fn environment() -> impl Iterator<Item = (String, String)> {
    // Variables of others need not be text.
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).filter(|(name, _)| name != "CERCLE_SERVER_CONFIG")
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}

fn print(text: &str) {
    // A closed pipe (`| head`) is no failure of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
