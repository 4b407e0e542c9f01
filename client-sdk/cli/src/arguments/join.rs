//! Arguments of `cercle join`.

use clap::Subcommand;

/// What to do with groups that can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum JoinCommand {
    /// Cherche les groupes que l'on peut demander à rejoindre.
    Find {
        /// Mots du titre ou de la description, en entier ou leur début.
        #[arg(value_name = "MOT")]
        words: Vec<String>,
    },
    /// Demande à rejoindre un groupe ; ses administrateurs vous invitent ou déclinent.
    Ask {
        /// Titre ou identifiant du groupe, ou leur début (cercle join find).
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Retire votre demande.
        #[arg(long)]
        withdraw: bool,
    },
    /// Publie un groupe que vous administrez : son titre devient visible de tous, hub compris.
    Open {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// À quoi il sert, en une ligne.
        #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
        about: String,
    },
    /// Ne publie plus un groupe ; les demandes en attente sont oubliées.
    Close {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
    },
    /// Liste les demandes qui attendent votre réponse.
    Requests {
        /// Titre ou identifiant du groupe, ou leur début ; sinon tous ceux que vous administrez.
        #[arg(value_name = "GROUPE")]
        group: Option<String>,
    },
    /// Accepte des demandes : ces personnes sont ajoutées au groupe.
    Accept {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Qui a demandé.
        #[arg(value_name = "PERSONNE", required = true)]
        users: Vec<String>,
    },
    /// Décline une demande.
    Decline {
        /// Titre ou identifiant du groupe, ou leur début.
        #[arg(value_name = "GROUPE")]
        group: String,
        /// Qui a demandé.
        #[arg(value_name = "PERSONNE")]
        user: String,
        /// Pourquoi, dit à la personne et lisible par le hub.
        #[arg(long, value_name = "TEXTE", default_value = "", hide_default_value = true)]
        reason: String,
    },
}
