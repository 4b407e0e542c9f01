//! Arguments of `cercle link`, `unlink`, `recover` and `recovery`.

use clap::Subcommand;

/// Further devices of one's own.
#[derive(Debug, Subcommand)]
pub(crate) enum OwnDevices {
    /// Ajoute un autre appareil à vous : montre un code à lire avec lui.
    Link {
        /// Code `cercle://…/link#…` montré par l'appareil déjà inscrit, ou - pour l'entrée standard ; sans code, cet
        /// appareil en montre un.
        #[arg(value_name = "CODE")]
        code: Option<String>,
        /// Protège le profil par une phrase de passe.
        #[arg(long, requires = "code")]
        passphrase: bool,
    },
    /// Retrouve vos groupes et vos messages sur un nouvel appareil, avec votre seul code de récupération.
    Recover {
        /// Ligne de récupération `cercle://…/recover#… CODE`, ou l'adresse seule, ou - pour lire la ligne sur l'entrée
        /// standard ; sans elle, elle est demandée.
        #[arg(value_name = "LIGNE")]
        line: Option<String>,
        /// Code de récupération si la ligne ne l'a pas, ou - pour l'entrée standard ; sinon il est demandé.
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// Protège le profil par une phrase de passe.
        #[arg(long)]
        passphrase: bool,
    },
    /// Votre code de récupération : en avoir un, le changer.
    Recovery {
        #[command(subcommand)]
        command: RecoveryCommand,
    },
    /// Retire pour toujours un de vos appareils, perdu ou inutilisé : il sort de tous vos groupes.
    Unlink {
        /// Identifiant de l'appareil, ou son début (cercle devices).
        #[arg(value_name = "APPAREIL")]
        device: String,
    },
}

/// What to do with the recovery code.
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryCommand {
    /// Dit s'il y a un code, et si cet appareil tient la sauvegarde.
    Status,
    /// Donne un nouveau code ; l'ancien ne sert plus à rien.
    Rotate {
        /// Recommence la sauvegarde avec ce que cet appareil a, si aucun autre de vos appareils ne peut le faire.
        #[arg(long)]
        anew: bool,
    },
}
