//! `cercle circle export` and `cercle verify-export`.

use std::path::Path;

use cercle_proto::id::{from_hex, to_hex};
use cercle_sdk::export::{self, ExportError, ExportFault, Verified, manifest::SignatureFault};

use super::find_group;
use crate::{
    arguments::circle::VerifyExport,
    context::Context,
    exit::Exit,
    failure::Failure,
    language::Text,
    moment,
    output::Output,
    records::{
        Record,
        circle::{ExportedRecord, VerifiedRecord},
    },
};

pub(super) async fn export(context: &Context<'_>, name: &str, folder: &Path) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let online = context.online_if_possible(&enrolled).await?;
    let group = find_group(context, &enrolled, name).await?;
    // Without a connection no document comes, however long one waits.
    let patience = if online { context.patience } else { std::time::Duration::ZERO };
    let what = text!("Export…"; "Exporting…");
    let exporting = Box::pin(enrolled.client.export(group.group, folder, patience));
    let exported = context.output.waiting(&what, exporting).await.map_err(failure)?;
    let (messages, documents, shown) = (exported.messages, exported.documents, folder.display());
    context.output.result(
        &Record::Exported(ExportedRecord::new(group.group, &exported)),
        &text!(
            "{messages} messages et {documents} documents exportés dans {shown}.";
            "{messages} messages and {documents} documents exported to {shown}."
        ),
    );
    enrolled.close().await;
    if exported.missing == 0 {
        return Ok(Exit::Done);
    }
    let missing = exported.missing;
    context.output.note(&text!(
        "{missing} document(s) n'ont pas pu être récupérés ; l'export le dit.";
        "{missing} document(s) could not be fetched; the export says so."
    ));
    Ok(Exit::NotFound)
}

/// Needs no profile and no hub.
pub(super) fn verify(output: &Output, arguments: &VerifyExport) -> Result<Exit, Failure> {
    let expected = arguments.root.as_deref().map(fingerprint).transpose()?;
    match export::verify(&arguments.path, expected) {
        Ok(verified) => {
            show(output, &verified, expected.is_some());
            Ok(Exit::Done)
        }
        Err(faults) => {
            for fault in &faults {
                let (name, path) = parts(fault);
                output.result(&Record::ExportFault { fault: name, path }, &sentence(fault));
            }
            Err(Failure::new(
                Exit::Refused,
                text!("Cet export n'est pas digne de confiance."; "This export is not to be trusted."),
            ))
        }
    }
}

fn show(output: &Output, verified: &Verified, root_expected: bool) {
    let (name, user) = (&verified.exporter.display_name, verified.exporter.user.as_str());
    let (day, messages, files) = (moment::day(verified.exported_at_ms), verified.messages, verified.files);
    let root = to_hex(&verified.root_fingerprint);
    output.result(
        &Record::ExportVerified(VerifiedRecord::new(verified, root_expected)),
        &text!(
            "Export intact : {messages} messages, {files} fichiers, exporté par {name} ({user}) le {day}.";
            "The export is whole: {messages} messages, {files} files, exported by {name} ({user}) on {day}."
        ),
    );
    if !root_expected {
        output.say(&text!(
            "Racine de confiance, à comparer avec celle de votre hub : {root}";
            "Root of trust, to be compared with that of your hub: {root}"
        ));
    }
}

fn fingerprint(text: &str) -> Result<[u8; 32], Failure> {
    from_hex(&text.to_ascii_lowercase()).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            text!(
                "L'empreinte a 64 chiffres hexadécimaux.";
                "The fingerprint has 64 hexadecimal digits."
            ),
        )
    })
}

fn failure(error: ExportError) -> Failure {
    match error {
        ExportError::NotEmpty => {
            Failure::new(Exit::Usage, text!("Le dossier n'est pas vide."; "The folder is not empty."))
                .mend(text!("Donnez un dossier à créer."; "Name a folder to be made."))
        }
        ExportError::Client(error) => error.into(),
        other => Failure::fault(&other),
    }
}

/// Name and file of a fault, for a program.
fn parts(fault: &ExportFault) -> (&'static str, Option<&str>) {
    match fault {
        ExportFault::Missing(path) => ("missing", Some(path)),
        ExportFault::Unreadable(path) => ("unreadable", Some(path)),
        ExportFault::Changed(path) => ("changed", Some(path)),
        ExportFault::Unexpected(path) => ("unexpected", Some(path)),
        ExportFault::Manifest => ("manifest", None),
        ExportFault::Signature(SignatureFault::Malformed) => ("signature_malformed", None),
        ExportFault::Signature(SignatureFault::OtherManifest) => ("signature_of_other_manifest", None),
        ExportFault::Signature(SignatureFault::Certificate) => ("certificate", None),
        ExportFault::Signature(SignatureFault::OtherRoot) => ("other_root", None),
        ExportFault::Signature(SignatureFault::Signature) => ("signature", None),
        _ => ("other", None),
    }
}

fn sentence(fault: &ExportFault) -> Text {
    match fault {
        ExportFault::Missing(path) => text!("Il manque : {path}"; "Missing: {path}"),
        ExportFault::Unreadable(path) => text!("Illisible : {path}"; "Unreadable: {path}"),
        ExportFault::Changed(path) => text!("Modifié : {path}"; "Changed: {path}"),
        ExportFault::Unexpected(path) => {
            text!("Ne fait pas partie de l'export : {path}"; "Not part of the export: {path}")
        }
        ExportFault::Manifest => text!(
            "La liste des fichiers (manifest.json) est abîmée.";
            "The list of files (manifest.json) is damaged."
        ),
        ExportFault::Signature(SignatureFault::OtherManifest) => text!(
            "La liste des fichiers (manifest.json) n'est pas celle qui a été signée.";
            "The list of files (manifest.json) is not the one that was signed."
        ),
        ExportFault::Signature(SignatureFault::Certificate) => text!(
            "Le certificat de l'exportateur n'est pas valable sous la racine indiquée.";
            "The exporter's certificate is not valid under the root that is given."
        ),
        ExportFault::Signature(SignatureFault::OtherRoot) => text!(
            "La racine de confiance n'est pas celle qui est attendue.";
            "The root of trust is not the expected one."
        ),
        ExportFault::Signature(SignatureFault::Signature) => {
            text!("La signature ne correspond pas."; "The signature does not fit.")
        }
        _ => text!(
            "La signature (signature.json) est abîmée.";
            "The signature (signature.json) is damaged."
        ),
    }
}
