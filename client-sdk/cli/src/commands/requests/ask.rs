//! `cercle ask`: posts a request and waits until the hub has it.

use cercle_sdk::{
    client::{Client, ClientError, Events, now_ms},
    core::Ask,
    error::Error,
    message::{
        DocumentType, Patient, Request, RequestId,
        patient::warning::IdentityWarning,
        request::{Need, Purpose, PurposeKind, RequestConsent, Widening},
    },
    transfer::AttachOptions,
};
use tokio::time::timeout;

use super::{board, find, reach, situation};
use crate::{
    arguments::{AskArguments, DetailArguments, PatientArguments},
    commands::{circle::warn_of, documents, find_group, kept, patient_file},
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
    if let Some(patient) = &ask.patient {
        // The gender is not among what is typed here.
        let doubtful = patient.warnings().into_iter();
        warn_of(context, doubtful.filter(|warning| *warning != IdentityWarning::GenderMissing));
    }
    let asked_groups = ask.groups.len();
    let mut events = enrolled.client.events();
    let id = enrolled.client.ask(ask).await.map_err(refused)?;
    if !online {
        return Ok(kept(context, enrolled, None, Some(id.to_hex())).await);
    }
    if !accepted(context, &enrolled, &mut events, (id, asked_groups)).await {
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

/// Waits until the hub has a request in so many groups, as long as the user wants to wait.
pub(in crate::commands) async fn accepted(
    context: &Context<'_>,
    enrolled: &Enrolled,
    events: &mut Events,
    (id, groups): (RequestId, usize),
) -> bool {
    let what = text!("Envoi…"; "Sending…");
    let accepted = posted(&enrolled.client, events, id, groups);
    context.output.waiting(&what, Box::pin(timeout(context.patience, accepted))).await.is_ok()
}

/// Waits until the hub has a request in so many groups.
pub(super) async fn posted(client: &Client, events: &mut Events, id: RequestId, groups: usize) {
    while find(client, &id.to_hex()).await.map_or(0, |row| row.groups.len()) < groups {
        if events.next().await.is_none() {
            return;
        }
    }
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
    groups.sort_unstable();
    groups.dedup();
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
    request.situation = situation(enrolled, &arguments.situation);
    request.reference = arguments.reference;
    if let Some(mode) = arguments.consent {
        let date = arguments.consent_date.unwrap_or_else(|| moment::day(now_ms()));
        request.consent = Some(RequestConsent { mode: mode.into(), date });
    }
    let patient = patient(arguments.patient)?;
    let document_type = (kind == PurposeKind::Prescription).then_some(DocumentType::Prescription);
    let mut ask = Ask { request, groups, widening, patient };
    if !arguments.attach.is_empty() {
        // What is missing is said before anything is sent.
        enrolled.client.check_ask(ask.clone()).await.map_err(refused)?;
    }
    for path in arguments.attach {
        let options = AttachOptions { document_type, ..AttachOptions::default() };
        ask.request.documents.push(documents::upload(context, enrolled, ask.groups[0], path, options).await?);
    }
    Ok(ask)
}

/// Why a request is refused, with the option that says what is missing.
fn refused(error: ClientError) -> Failure {
    let ClientError::Core(Error::Field { field, .. }) = &error else { return error.into() };
    let option = match *field {
        "delay_hours" => "--delay",
        "needs" | "needs.what" => "--need",
        "documents" => "--attach",
        "patient" => "--patient-name, --patient-file",
        "widening" => "--widen",
        "consent.date" => "--consent-date",
        "due_ms" => "--due",
        "expires_ms" => "--expires",
        "situation.structure" => "--acting-structure",
        field if field.contains('.') => return error.into(),
        field => &format!("--{field}"),
    };
    Failure::from(error).mend(text!(
        "Option : {option}. Toutes : cercle ask --help";
        "Option: {option}. All: cercle ask --help"
    ))
}

fn patient(arguments: PatientArguments) -> Result<Option<Patient>, Failure> {
    if let Some(path) = arguments.patient_file {
        return patient_file::read(&path).map(Some);
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
        PurposeKind::Prescription => Purpose::Prescription {
            structure: details.structure,
            prescriber: details.prescriber,
            date: details.date,
        },
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
