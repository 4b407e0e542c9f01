//! Arguments of `cercle rule`.

use clap::{Args, Subcommand};

/// What to do with the rule of a group.
#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Dit qui est dans un groupe ; vous et les autres administrateurs y restez.
    Set(RuleArguments),
    /// Montre la règle d'un groupe, et qui reste à ajouter et à retirer.
    Show {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
    },
    /// Met fin à la règle ; personne n'est ajouté ni retiré.
    Clear {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
    },
}

/// Who belongs: for each option that is given, one of its values.
#[derive(Debug, Args)]
pub(crate) struct RuleArguments {
    /// Titre ou identifiant du groupe, ou leur début.
    #[arg(value_name = "GROUPE")]
    pub(crate) group: String,
    /// Code d'une profession (TRE_G15) ; peut être répété.
    #[arg(long, value_name = "CODE")]
    pub(crate) profession: Vec<String>,
    /// Code INSEE d'une commune d'exercice ; peut être répété.
    #[arg(long, value_name = "CODE")]
    pub(crate) commune: Vec<String>,
    /// Clé d'une structure d'exercice (st:…) ; peut être répété.
    #[arg(long, value_name = "CLÉ")]
    pub(crate) structure: Vec<String>,
    /// Code d'une spécialité ou d'un savoir-faire ; peut être répété.
    #[arg(long, value_name = "CODE")]
    pub(crate) skill: Vec<String>,
    /// Étiquette donnée par l'exploitant ; peut être répété.
    #[arg(long, value_name = "ÉTIQUETTE")]
    pub(crate) tag: Vec<String>,
}
