//! Arguments of `cercle link` and `cercle unlink`.

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
    /// Retire pour toujours un de vos appareils, perdu ou inutilisé : il sort de tous vos groupes.
    Unlink {
        /// Identifiant de l'appareil, ou son début (cercle devices).
        #[arg(value_name = "APPAREIL")]
        device: String,
    },
}
