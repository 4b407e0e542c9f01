//! Arguments of `cercle directory`.

use clap::{Args, Subcommand, ValueEnum};

/// What to do with the directory.
#[derive(Debug, Subcommand)]
pub(crate) enum DirectoryCommand {
    /// Cherche des professionnels, des structures et des adresses partagées.
    Search(Box<SearchArguments>),
    /// Montre une fiche.
    Show {
        /// Clé (ps:…, st:…), numéro RPPS ou FINESS, ou identifiant Cercle.
        #[arg(value_name = "CLÉ")]
        key: String,
    },
    /// Montre ou change votre propre fiche.
    Card(Box<CardArguments>),
    /// Crée ou change une adresse partagée (cabinet, fonction) ; sans personne, l'abandonne.
    Inbox {
        /// Nom, visible de tous.
        #[arg(value_name = "NOM")]
        name: String,
        /// Identifiants des personnes derrière l'adresse.
        #[arg(value_name = "PERSONNE")]
        users: Vec<String>,
        /// Clé d'une adresse qui existe déjà (inbox:…).
        #[arg(long, value_name = "CLÉ")]
        key: Option<String>,
        /// Code INSEE de la commune.
        #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
        commune: String,
    },
}

/// What is looked for.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// Mots : nom, profession, lieu, dans n'importe quel ordre.
    #[arg(value_name = "MOT")]
    pub(crate) words: Vec<String>,
    /// Profession, code ou nom ; peut être répété.
    #[arg(long, value_name = "PROFESSION")]
    pub(crate) profession: Vec<String>,
    /// Spécialité ou savoir-faire, code ou mots ; peut être répété.
    #[arg(long, value_name = "SAVOIR-FAIRE")]
    pub(crate) skill: Vec<String>,
    /// Structure, clé ou mots de son nom.
    #[arg(long, value_name = "STRUCTURE", default_value = "", hide_default_value = true)]
    pub(crate) structure: String,
    /// Commune : nom, code INSEE ou code postal ; peut être répété.
    #[arg(long, value_name = "COMMUNE")]
    pub(crate) commune: Vec<String>,
    /// Et les communes à cette distance, en km.
    #[arg(long, value_name = "KM", requires = "commune", default_value_t = 0, hide_default_value = true)]
    pub(crate) radius: u32,
    /// Accepte de nouveaux patients.
    #[arg(long)]
    pub(crate) accepting: bool,
    /// De garde en ce moment.
    #[arg(long)]
    pub(crate) on_duty: bool,
    /// Joignable sur Cercle : yes ou no.
    #[arg(long, value_name = "OUI", hide_possible_values = true)]
    pub(crate) member: Option<YesNo>,
    /// Seulement : professional, structure, inbox.
    #[arg(long, value_name = "GENRE", hide_possible_values = true)]
    pub(crate) kind: Option<EntryKind>,
    /// Page, à partir de 1.
    #[arg(long, value_name = "PAGE", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) page: u32,
    /// Fiches par page (50 au plus).
    #[arg(long, value_name = "NOMBRE", default_value_t = 10, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(crate) limit: u32,
    /// Compte aussi par profession et par commune.
    #[arg(long)]
    pub(crate) facets: bool,
}

/// Changes of the card; what is not named stays.
#[derive(Debug, Args)]
pub(crate) struct CardArguments {
    /// Une ligne pour vos confrères.
    #[arg(long, value_name = "TEXTE")]
    pub(crate) note: Option<String>,
    /// Accepte de nouveaux patients pendant ce nombre de jours ; 0 : non.
    #[arg(long, value_name = "JOURS", value_parser = clap::value_parser!(u64).range(0..=366))]
    pub(crate) accepting_days: Option<u64>,
    /// Périodes de garde, DÉBUT/FIN en heure locale (2026-11-22T20:00/2026-11-23T08:00) ; none : aucune.
    #[arg(long, value_name = "PÉRIODE")]
    pub(crate) on_duty: Vec<String>,
    /// Heures de silence de chaque jour, par exemple 20:00-07:00 ; none : aucune.
    #[arg(long, value_name = "HEURES")]
    pub(crate) quiet: Vec<String>,
    /// Qui vous remplace ; none : personne.
    #[arg(long, value_name = "PERSONNE")]
    pub(crate) delegate: Option<String>,
    /// Ne pas montrer : phone, street, mailboxes ; none : tout montrer.
    #[arg(long, value_name = "QUOI", value_delimiter = ',', hide_possible_values = true)]
    pub(crate) hide: Vec<Hidden>,
    /// Être trouvé : yes ou no.
    #[arg(long, value_name = "OUI", hide_possible_values = true)]
    pub(crate) listed: Option<YesNo>,
}

impl CardArguments {
    /// Whether something is to be changed.
    pub(crate) fn changes(&self) -> bool {
        self.note.is_some()
            || self.accepting_days.is_some()
            || self.delegate.is_some()
            || self.listed.is_some()
            || !(self.on_duty.is_empty() && self.quiet.is_empty() && self.hide.is_empty())
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    #[value(alias = "oui")]
    Yes,
    #[value(alias = "non")]
    No,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EntryKind {
    Professional,
    Structure,
    Inbox,
}

/// What a card hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hidden {
    Phone,
    Street,
    Mailboxes,
    None,
}
