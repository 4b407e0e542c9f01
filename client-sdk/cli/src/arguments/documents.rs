//! Arguments of `attach`, `get` and `transfers`.

use std::path::PathBuf;

use cercle_sdk::message::DocumentType;
use clap::{Args, ValueEnum};

/// What is to be sent, and what is said about it.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// Titre ou identifiant du groupe, ou leur début.
    #[arg(value_name = "GROUPE")]
    pub(crate) group: String,
    /// Fichier à envoyer, 100 Mo au plus.
    #[arg(value_name = "FICHIER")]
    pub(crate) file: PathBuf,
    /// Type : ordonnance, compte-rendu, lettre-de-liaison, biologie, photo, autre.
    #[arg(long = "type", value_name = "TYPE", hide_possible_values = true)]
    pub(crate) document_type: Option<Type>,
    /// Titre, à la place du nom du fichier.
    #[arg(long, value_name = "TITRE")]
    pub(crate) title: Option<String>,
    #[arg(
        long,
        value_name = "MENTION",
        value_parser = flag,
        help = "Mention de confidentialité : masque-ps, invisible-patient, invisible-rep-legaux, connexion-secrete."
    )]
    pub(crate) confidential: Vec<String>,
    /// Garde dans une photo le lieu, l'heure et l'appareil (sinon ils sont effacés).
    #[arg(long)]
    pub(crate) keep_metadata: bool,
}

/// What is to be fetched, and where to.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Message qui porte le document : identifiant (ou son début), ou groupe:numéro.
    #[arg(value_name = "MESSAGE")]
    pub(crate) message: String,
    /// Fichier ou dossier de destination (sinon le dossier courant).
    #[arg(short, long, value_name = "CHEMIN")]
    pub(crate) output: Option<PathBuf>,
    /// Remplace un fichier qui existe.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What is to be done with documents on their way.
#[derive(Debug, Args)]
pub(crate) struct Transfers {
    /// Abandonne cet envoi (identifiant ou son début).
    #[arg(long, value_name = "ENVOI")]
    pub(crate) cancel: Option<String>,
}

/// Type of document, as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Type {
    #[value(alias = "prescription")]
    Ordonnance,
    #[value(alias = "report")]
    CompteRendu,
    #[value(alias = "discharge-letter")]
    LettreDeLiaison,
    #[value(alias = "laboratory")]
    Biologie,
    Photo,
    #[value(alias = "other")]
    Autre,
}

impl From<Type> for DocumentType {
    fn from(argument: Type) -> Self {
        match argument {
            Type::Ordonnance => Self::Prescription,
            Type::CompteRendu => Self::Report,
            Type::LettreDeLiaison => Self::DischargeLetter,
            Type::Biologie => Self::Laboratory,
            Type::Photo => Self::Photo,
            Type::Autre => Self::Other,
        }
    }
}

/// `masque-ps` is as good as `MASQUE_PS`; the SDK knows which flags there are.
fn flag(argument: &str) -> Result<String, std::convert::Infallible> {
    Ok(argument.to_ascii_uppercase().replace('-', "_"))
}
