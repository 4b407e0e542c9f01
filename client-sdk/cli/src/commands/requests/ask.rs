//! `cercle ask`: posts a request and waits until the hub has it.

use cercle_sdk::{
    core::Ask,
    message::{
        Document, DocumentType, Patient, Request, RequestId,
        request::{Need, Purpose, PurposeKind, Situation, Widening},
    },
    transfer::AttachOptions,
};
use tokio::time::timeout;

use super::{board, find, reach};
use crate::{
    arguments::{AskArguments, DetailArguments, PatientArguments},
    commands::{find_group, kept},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    moment,
    records::{Record, RequestRecord},
    resolve,
};

pub(super) async fn run(context: &Context<'_>, arguments: AskArguments) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let online = reach(context, &enrolled).await?;
    let ask = prepare(context, &enrolled, arguments).await?;
    let asked_groups = ask.groups.len();
    let mut events = enrolled.client.events();
    let id = enrolled.client.ask(ask).await?;
    if !online {
        return Ok(kept(context, enrolled, None, Some(id.to_hex())).await);
    }
    let what = text!("Envoi…"; "Sending…");
    let accepted = async {
        let posted = async || find(&enrolled.client, &id.to_hex()).await.map_or(0, |row| row.groups.len());
        while posted().await < asked_groups {
            if events.next().await.is_none() {
                break;
            }
        }
    };
    if context.output.waiting(&what, Box::pin(timeout(context.patience, accepted))).await.is_err() {
        return Ok(kept(context, enrolled, None, Some(id.to_hex())).await);
    }
    let row = find(&enrolled.client, &id.to_hex()).await?;
    let short = &id.to_hex()[..8];
    let groups = row.groups.len();
    context.output.result(
        &Record::Request(RequestRecord::new(&row)),
        &text!(
            "Demande {short} posée dans {groups} groupe(s). Où elle en est : cercle show {short}";
            "Request {short} posted in {groups} group(s). Where it stands: cercle show {short}"
        ),
    );
    if row.patient.is_some() && board::is_withheld(&enrolled.client, &row).await? {
        context.output.note(&text!(
            "L'identité du patient n'est pas dans la demande : cet appareil la dira à la personne qui la prend.";
            "The patient's identity is not in the request: this device will tell whoever takes it on."
        ));
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn prepare(
    context: &Context<'_>,
    enrolled: &Enrolled,
    arguments: AskArguments,
) -> Result<Ask, Failure> {
    let mut groups = Vec::new();
    for name in &arguments.to {
        groups.push(find_group(context, enrolled, name).await?.group);
    }
    let mut widening = Vec::new();
    for step in &arguments.widen {
        let (at, name) = step.split_once('=').ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                text!("« {step} » : il faut QUAND=GROUPE."; "\"{step}\": say WHEN=GROUP."),
            )
        })?;
        let group = find_group(context, enrolled, name).await?.group;
        widening.push(Widening { at_ms: moment::when(at)?, groups: vec![group] });
    }
    widening.sort_by_key(|step| step.at_ms);
    let kind = PurposeKind::from(arguments.kind);
    // The SDK chooses the id when it posts the request.
    let mut request =
        Request::new(RequestId::new([0; 16]), purpose(kind, arguments.details), arguments.title);
    request.reason = arguments.reason;
    request.priority = arguments.priority.into();
    request.due_ms = arguments.due.as_deref().map(moment::when).transpose()?;
    request.expires_ms = arguments.expires.as_deref().map(moment::when).transpose()?;
    if let Some(name) = &arguments.assignee {
        request.assignee = Some(resolve::user(&enrolled.identity, name)?);
    }
    if let Some(prefix) = &arguments.part_of {
        request.part_of = Some(find(&enrolled.client, prefix).await?.request);
    }
    request.situation =
        Situation { profession: enrolled.identity.profession.clone(), ..Situation::default() };
    for path in arguments.attach {
        let document_type = (kind == PurposeKind::Prescription).then_some(DocumentType::Prescription);
        let options = AttachOptions { document_type, ..AttachOptions::default() };
        let group = groups[0];
        let what = text!("Envoi du document…"; "Sending the document…");
        let uploading = Box::pin(timeout(context.patience, enrolled.client.upload(group, path, options)));
        let uploaded = context.output.waiting(&what, uploading).await;
        let document: Document = match uploaded {
            Ok(uploaded) => uploaded.map_err(|error| {
                Failure::new(
                    Exit::Refused,
                    text!("Document non envoyé : {error}"; "The document was not sent: {error}"),
                )
            })?,
            Err(_) => return Err(Failure::unreachable(&enrolled.identity.address, None)),
        };
        request.documents.push(document);
    }
    let patient = patient(arguments.patient)?;
    Ok(Ask { request, groups, widening, patient })
}

fn patient(arguments: PatientArguments) -> Result<Option<Patient>, Failure> {
    if let Some(path) = arguments.patient_file {
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let path = path.display();
            Failure::new(Exit::Usage, text!("{path} : {error}"; "{path}: {error}"))
        })?;
        // What is wrong is said without the value: it is an identity.
        return serde_json::from_str(&text).map(Some).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Failure::new(
                Exit::Usage,
                text!(
                    "Le fichier du patient n'est pas lisible (ligne {line}, colonne {column}).";
                    "The patient's file cannot be read (line {line}, column {column})."
                ),
            )
        });
    }
    Ok(arguments.patient_name.map(|birth_name| Patient {
        birth_name,
        birth_given_names: arguments.patient_given,
        birth_date: arguments.patient_born.unwrap_or_default(),
        ..Patient::default()
    }))
}

fn purpose(kind: PurposeKind, details: DetailArguments) -> Purpose {
    let DetailArguments { recourse, speciality, question, profession, act, commune, delay, .. } = details;
    match kind {
        PurposeKind::Referral => Purpose::Referral { recourse, speciality },
        PurposeKind::TeleExpertise => Purpose::TeleExpertise { question, speciality },
        PurposeKind::UnscheduledCare => {
            Purpose::UnscheduledCare { profession, act, commune, delay_hours: delay }
        }
        PurposeKind::PatientWithoutGp => {
            Purpose::PatientWithoutGp { commune, needs: details.need.join(", ") }
        }
        PurposeKind::Discharge => Purpose::Discharge {
            facility: details.facility,
            date: details.date,
            needs: details.need.iter().map(|need| discharge_need(need)).collect(),
        },
        PurposeKind::Prescription => Purpose::Prescription { structure: details.structure },
        PurposeKind::Task => Purpose::Task,
    }
}

/// `60:Pansement` names the profession, `Lit médicalisé` does not.
fn discharge_need(text: &str) -> Need {
    match text.split_once(':') {
        Some((code, what)) if !code.is_empty() && code.bytes().all(|c| c.is_ascii_digit()) => {
            Need { profession: code.to_owned(), what: what.trim().to_owned() }
        }
        _ => Need { profession: String::new(), what: text.to_owned() },
    }
}
