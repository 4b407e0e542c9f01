//! `cercle-server directory`: imports the national directory and keeps the local entries. Works on the files of the
//! hub, which takes a change over within seconds if it runs.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use cercle_server::{
    at_rest::AtRest,
    clock::Clock,
    config::Config,
    directory::{
        entry::{Activity, Coded, Entry, Kind},
        import::{self, ImportError, Options},
        local::{LocalEntry, Place},
        operator::{self, Edit},
    },
};
use clap::Subcommand;

/// What the operator does with the directory.
#[derive(Debug, Subcommand)]
pub(super) enum DirectoryCommand {
    /// Imports extractions of the national directory (persons, mailboxes; plain or zip) and FHIR bundles or NDJSON.
    Import {
        /// The files; together they replace all that came from their kinds of source.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Only these communes: INSEE or postal codes, `31*` for all that begin so, or a file with one a line.
        #[arg(long, value_delimiter = ',')]
        communes: Vec<String>,
        /// List of all communes with their centres (La Poste or data.gouv.fr CSV), kept for searches by radius.
        #[arg(long)]
        communes_file: Option<PathBuf>,
        /// Remove entries even if they are more than 5 %.
        #[arg(long)]
        accept_removals: bool,
    },
    /// Adds an entry that the national directory does not have, or replaces one that was added.
    Add {
        /// Key, `local:…` or `inbox:…`.
        key: String,
        /// Family name, or name of a structure or inbox.
        #[arg(long)]
        name: String,
        /// Given names.
        #[arg(long, default_value = "")]
        given: String,
        /// What it is.
        #[arg(long, value_enum, default_value_t = EntryKind::Professional)]
        kind: EntryKind,
        /// Profession: code or words.
        #[arg(long, default_value = "")]
        profession: String,
        /// Commune, INSEE code.
        #[arg(long, default_value = "")]
        commune: String,
        /// Name of the structure.
        #[arg(long, default_value = "")]
        structure: String,
        /// Telephone.
        #[arg(long, default_value = "")]
        phone: String,
        /// User behind it, with domain; may be repeated.
        #[arg(long = "user")]
        users: Vec<String>,
    },
    /// Changes what is said here about an entry, imported or added.
    Edit {
        /// Its key.
        key: String,
        /// Nobody sees it.
        #[arg(long, conflicts_with = "listed")]
        unlisted: bool,
        /// Everybody sees it again.
        #[arg(long)]
        listed: bool,
        /// It is this user, with domain.
        #[arg(long, conflicts_with = "unlink")]
        link: Option<String>,
        /// It is no user.
        #[arg(long)]
        unlink: bool,
        /// Its tags, for rules of groups, instead of those it has; `none`: none.
        #[arg(long, value_delimiter = ',')]
        tags: Vec<String>,
    },
    /// Removes an entry that was added here.
    Remove {
        /// Its key.
        key: String,
    },
    /// Shows an entry, hidden or not.
    Show {
        /// Its key.
        key: String,
    },
}

/// What an entry is, as the operator writes it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum EntryKind {
    /// A person.
    Professional,
    /// A place or organisation.
    Structure,
    /// One address with several people behind it.
    Inbox,
}

/// Carries the command out and prints what it did.
pub(super) fn run(config: &Config, command: DirectoryCommand, json: bool) -> anyhow::Result<()> {
    let folder = config.directory_folder();
    let local = || AtRest::load(config).map(|at_rest| at_rest.directory(config));
    match command {
        DirectoryCommand::Import { files, communes, communes_file, accept_removals } => {
            if let Some(list) = communes_file {
                keep_communes(&folder, &list)?;
            }
            let communes = communes_of(communes)?;
            let now_ms = Clock::system().now();
            import(&folder, &Options { files, communes, accept_removals, now_ms }, json)?;
        }
        DirectoryCommand::Add { key, name, given, kind, profession, commune, structure, phone, users } => {
            let mut entry = Entry::new(key, kind.into());
            entry.family = name;
            entry.given = given;
            let is_code = profession.len() <= 3;
            let code = if is_code { profession.as_str() } else { "" };
            let label = if is_code { "" } else { profession.as_str() };
            entry.professions = vec![Coded::new(code, label)];
            entry.professions.retain(|profession| !profession.is_empty());
            let commune = Coded::new(&commune, "");
            let place = Activity { name: structure, commune, phone, ..Activity::default() };
            entry.activities = vec![place];
            entry.activities.retain(|place| *place != Activity::default());
            operator::add(local()?, entry, users)?;
        }
        DirectoryCommand::Edit { key, unlisted, listed, link, unlink, tags } => {
            let unlisted = (unlisted || listed).then_some(unlisted);
            let named = tags.iter().filter(|tag| *tag != "none").cloned().collect();
            let tags = (!tags.is_empty()).then_some(named);
            operator::edit(local()?, &key, Edit { unlisted, link, unlink, tags })?;
        }
        DirectoryCommand::Remove { key } => operator::remove(local()?, &key)?,
        DirectoryCommand::Show { key } => show(local()?, &key, json)?,
    }
    Ok(())
}

fn import(folder: &Path, options: &Options, json: bool) -> anyhow::Result<()> {
    let mut total = 0;
    for file in &options.files {
        total += fs::metadata(file).with_context(|| format!("{} cannot be opened", file.display()))?.len();
    }
    let is_shown = std::io::stderr().is_terminal();
    let mut bar = Bar { read: 0, total, shown: None };
    let outcome = import::run(folder, options, &mut |bytes| {
        bar.read += bytes;
        if is_shown {
            bar.show();
        }
    });
    if is_shown {
        // The bar is only a courtesy.
        let _ = writeln!(std::io::stderr());
    }
    let report = match outcome {
        Err(ImportError::Empty(report)) => {
            super::print(&format!("{report}\n"));
            anyhow::bail!("the files hold no line that can be used");
        }
        outcome => outcome?,
    };
    let text = if json { serde_json::to_string(&report)? } else { report.to_string() };
    super::print(&format!("{text}\n"));
    Ok(())
}

/// A progress bar. A zip is read as more bytes than it has: the bar then stands at its end.
struct Bar {
    read: u64,
    total: u64,
    shown: Option<u64>,
}

impl Bar {
    fn show(&mut self) {
        let percent = (self.read * 100 / self.total.max(1)).min(100);
        if self.shown != Some(percent) {
            self.shown = Some(percent);
            let done = "#".repeat(usize::try_from(percent / 2).unwrap_or_default());
            // The bar is only a courtesy.
            let _ = write!(std::io::stderr(), "\r[{done:<50}] {percent:>3} %");
        }
    }
}

fn show(place: Place, key: &str, json: bool) -> anyhow::Result<()> {
    let (entry, LocalEntry { users, unlisted, .. }) = operator::show(place, key)?;
    if json {
        let shown = serde_json::json!({ "entry": entry, "users": users, "unlisted": unlisted });
        super::print(&format!("{shown}\n"));
        return Ok(());
    }
    let mut lines = vec![entry.key.clone(), format!("{} {} {}", entry.title, entry.family, entry.given)];
    lines.extend(
        entry
            .professions
            .iter()
            .chain(&entry.skills)
            .map(|coded| format!("  {} {}", coded.code, coded.label)),
    );
    lines.extend(entry.activities.iter().map(|place| {
        format!("  {}, {}, {} {}", place.name, place.street, place.postal_code, place.commune.label)
    }));
    lines.extend(entry.mailboxes.iter().chain(&users).map(|address| format!("  {address}")));
    if unlisted {
        lines.push("  unlisted".into());
    }
    super::print(&format!("{}\n", lines.join("\n")));
    Ok(())
}

/// Codes of the argument; an element that is a file stands for its lines.
fn communes_of(given: Vec<String>) -> anyhow::Result<Vec<String>> {
    let mut communes = Vec::new();
    for element in given {
        if Path::new(&element).is_file() {
            let text = fs::read_to_string(&element).context("the list of communes cannot be read")?;
            let codes = text.split([',', ';', '\n']).map(|code| code.trim().to_owned());
            communes.extend(codes.filter(|code| !code.is_empty() && !code.starts_with('#')));
        } else {
            communes.push(element.trim().to_owned());
        }
    }
    Ok(communes)
}

/// Keeps a list of communes beside the directory, once it was read to the end.
fn keep_communes(folder: &Path, list: &Path) -> anyhow::Result<()> {
    cercle_server::directory::commune::Communes::load(list)?;
    fs::create_dir_all(folder)?;
    fs::copy(list, folder.join("communes.csv")).context("the list of communes cannot be kept")?;
    Ok(())
}

impl From<EntryKind> for Kind {
    fn from(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Professional => Self::Professional,
            EntryKind::Structure => Self::Structure,
            EntryKind::Inbox => Self::Inbox,
        }
    }
}
