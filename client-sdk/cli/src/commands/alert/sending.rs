//! Send, update, cancel, confirm, import: the message goes to its groups first, then the hub rings.

use std::path::Path;

use cercle_proto::v1;
use cercle_sdk::{
    client::{Client, ClientError, now_ms},
    core::{GroupAlert, GroupSummary},
    message::{
        AlertId, Body, CrisisAlert,
        cap::{
            Area, Cap, Category, Certainty, Info, MsgType, Named, ResponseType, Scope, Severity, Status,
            Urgency, time,
        },
    },
};
use tokio::time::timeout;

use super::{event, find, find_online, following};
use crate::{
    arguments::alert::{ContentArguments, Mode, RingArguments, SendArguments, TargetArguments},
    commands::{
        find_group,
        send::{Verdict, refused, verdict},
    },
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    resolve,
};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

pub(super) async fn send(context: &Context<'_>, arguments: SendArguments) -> Result<Exit, Failure> {
    let SendArguments { groups, mode, says, rings, target } = arguments;
    let status = match mode {
        Mode::Actual => Status::Actual,
        Mode::Exercise => Status::Exercise,
        Mode::Test => Status::Test,
    };
    let enrolled = context.enrolled().await?;
    let groups = groups_of(context, &enrolled, &groups).await?;
    let alert = Client::new_alert_id();
    let cap = cap(&enrolled, alert, status, &says);
    publish(
        context,
        enrolled,
        &groups,
        CrisisAlert { alert, cap: cap.into(), ack_by_ms: 0, deputies: Vec::new() },
        &rings,
        Meant::By(target),
    )
    .await
}

pub(super) async fn import(
    context: &Context<'_>,
    file: &Path,
    groups: &[String],
    rings: &RingArguments,
    target: TargetArguments,
) -> Result<Exit, Failure> {
    let bytes = std::fs::read(file).map_err(|error| {
        Failure::new(
            Exit::NotFound,
            text!("Le fichier ne peut être lu : {error}"; "The file cannot be read: {error}"),
        )
    })?;
    let cap = Cap::from_xml(&bytes).map_err(|error| {
        Failure::new(
            Exit::Usage,
            text!("Ce fichier CAP est refusé : {error}"; "This CAP file is refused: {error}"),
        )
    })?;
    let enrolled = context.enrolled().await?;
    let groups = groups_of(context, &enrolled, groups).await?;
    let alert = Client::new_alert_id();
    publish(
        context,
        enrolled,
        &groups,
        CrisisAlert { alert, cap: cap.into(), ack_by_ms: 0, deputies: Vec::new() },
        rings,
        Meant::By(target),
    )
    .await
}

pub(super) async fn update(
    context: &Context<'_>,
    name: &str,
    says: &ContentArguments,
    target: TargetArguments,
) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let known = find_online(context, &enrolled, name).await?;
    may_change(&enrolled, &known)?;
    let alert = Client::new_alert_id();
    let mut cap = cap(&enrolled, alert, known.state.alert.cap.status, says);
    cap.msg_type = MsgType::Update;
    cap.references = known.state.alert.cap.reference();
    let groups = still_there(&enrolled, &known).await?;
    // Without another target, an update rings whom the alert rang.
    let is_known = close(&enrolled, &known).await?.is_some();
    let meant = match target.target() {
        None if is_known => Meant::As(known.state.alert.alert),
        _ => Meant::By(target),
    };
    let deputies = known.state.alert.deputies.clone();
    publish(
        context,
        enrolled,
        &groups,
        CrisisAlert { alert, cap: cap.into(), ack_by_ms: 0, deputies },
        &RingArguments::usual(),
        meant,
    )
    .await
}

pub(super) async fn cancel(context: &Context<'_>, name: &str, note: String) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let Ok(known) = find(&enrolled, name).await else {
        // An alert about a patient is not said to have ended: nobody is rung any more.
        let alert = event::find(&enrolled, name).await?.alert;
        following::show(context, &enrolled.client.close_alert(alert).await?);
        enrolled.close().await;
        return Ok(Exit::Done);
    };
    may_change(&enrolled, &known)?;
    let (alert, earlier) = (Client::new_alert_id(), &known.state.alert);
    let cap = Cap {
        identifier: identifier(alert),
        sender: enrolled.identity.user.as_str().to_owned(),
        sent: time::from_ms(now_ms()),
        msg_type: MsgType::Cancel,
        references: earlier.cap.reference(),
        note,
        infos: Vec::new(),
        ..Cap::clone(&earlier.cap)
    };
    let groups = still_there(&enrolled, &known).await?;
    let deputies = earlier.deputies.clone();
    let end = CrisisAlert { alert, cap: cap.into(), ack_by_ms: 0, deputies };
    post(context, &enrolled, &groups, &Body::CrisisAlert(end)).await?;
    let status = close(&enrolled, &known).await?;
    match &status {
        Some(status) => following::show(context, status),
        None => context.output.say(&text!("Alerte levée."; "The alert has ended.")),
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

pub(super) async fn confirm(context: &Context<'_>, name: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let known = find_online(context, &enrolled, name).await?;
    let status = enrolled.client.confirm_alert(known.state.alert.alert).await?;
    following::show(context, &status);
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Whom of the groups an alert rings.
enum Meant {
    By(TargetArguments),
    As(AlertId),
}

/// Posts an alert to its groups and lets it ring.
async fn publish(
    context: &Context<'_>,
    enrolled: Enrolled,
    groups: &[GroupSummary],
    mut alert: CrisisAlert,
    rings: &RingArguments,
    meant: Meant,
) -> Result<Exit, Failure> {
    let user = |name: &String| Ok(resolve::user(&enrolled.identity, name)?.as_str().to_owned());
    let now = now_ms();
    alert.deputies.extend(rings.deputy.iter().map(user).collect::<Result<Vec<_>, Failure>>()?);
    alert.ack_by_ms = if rings.ack_within == 0 { 0 } else { now + rings.ack_within * MINUTE_MS };
    let mode = match alert.cap.status {
        Status::Actual => v1::AlertMode::Actual,
        Status::Exercise => v1::AlertMode::Exercise,
        Status::Test | Status::System | Status::Draft => v1::AlertMode::Test,
    };
    let policy = v1::AlertPolicy {
        ack_within_ms: rings.ack_within * MINUTE_MS,
        repeat_every_ms: rings.repeat_every * MINUTE_MS,
        repeat_max: rings.repeat_max,
        fallback_after_ms: rings.fallback_after * MINUTE_MS,
        escalate_after_ms: rings.escalate_after * MINUTE_MS,
        next_in_line: rings.next.iter().map(user).collect::<Result<_, Failure>>()?,
        needed: rings.needed,
    };
    if let Meant::By(target) = &meant {
        somebody_fits(context, &enrolled, groups, target).await?;
    }
    let (id, expires_at_ms) = (alert.alert, alert.expires_at_ms().unwrap_or(now + 24 * HOUR_MS));
    let (target, same_recipients_as) = match meant {
        Meant::By(target) => (target.target(), Default::default()),
        Meant::As(earlier) => (None, earlier.0.to_vec().into()),
    };
    let open = v1::OpenAlert {
        alert: id.0.to_vec().into(),
        groups: post(context, &enrolled, groups, &Body::CrisisAlert(alert)).await?,
        mode: mode.into(),
        priority: v1::AlertPriority::High.into(),
        expires_at_ms,
        policy: Some(policy),
        confirm: false,
        target,
        same_recipients_as,
    };
    let status = enrolled.client.open_alert(open).await?;
    following::show(context, &status);
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Refuses a target that fits nobody, before anything is posted.
async fn somebody_fits(
    context: &Context<'_>,
    enrolled: &Enrolled,
    groups: &[GroupSummary],
    target: &TargetArguments,
) -> Result<(), Failure> {
    let Some(target) = target.target() else { return Ok(()) };
    context.online(enrolled).await?;
    for group in groups {
        let meant = enrolled.client.reachability(Some(group.group), Some(target.clone())).await?;
        if meant.iter().any(|row| row.user != enrolled.identity.user.as_str()) {
            return Ok(());
        }
    }
    let what = text!(
        "Personne de ces groupes ne correspond : rien n'est envoyé.";
        "Nobody of these groups fits: nothing is sent."
    );
    Err(Failure::new(Exit::NotFound, what).mend(text!(
        "Voyez qui exerce quoi et où : cercle directory search ; qui est de garde : leur fiche";
        "See who works as what and where: cercle directory search; who is on duty: their cards"
    )))
}

/// Posts an alert to its groups and waits until the hub has it; returns the places.
pub(super) async fn post(
    context: &Context<'_>,
    enrolled: &Enrolled,
    groups: &[GroupSummary],
    body: &Body,
) -> Result<Vec<v1::Cursor>, Failure> {
    context.online(enrolled).await?;
    let client = &enrolled.client;
    let mut places = Vec::with_capacity(groups.len());
    for group in groups {
        let mut events = client.events();
        let id = client.post(group.group, body.clone().into()).await?;
        let deciding = timeout(context.patience, verdict(client, &mut events, group.group, id, group.cursor));
        let what = text!("Envoi…"; "Sending…");
        let Ok(verdict) = context.output.waiting(&what, Box::pin(deciding)).await else {
            return Err(Failure::unreachable(&enrolled.identity.address, None));
        };
        match verdict? {
            Verdict::Accepted { seq, .. } => places.push(v1::Cursor { group: group.group.to_bytes(), seq }),
            Verdict::Refused(reason) => return Err(refused(reason)),
        }
    }
    Ok(places)
}

async fn groups_of(
    context: &Context<'_>,
    enrolled: &Enrolled,
    names: &[String],
) -> Result<Vec<GroupSummary>, Failure> {
    let mut groups = Vec::with_capacity(names.len());
    for name in names {
        groups.push(find_group(context, enrolled, name).await?);
    }
    Ok(groups)
}

/// The groups of an alert that this device is still in.
async fn still_there(enrolled: &Enrolled, known: &GroupAlert) -> Result<Vec<GroupSummary>, Failure> {
    let groups = enrolled.client.groups().await?;
    Ok(groups.into_iter().filter(|group| known.groups.contains(&group.group)).collect())
}

fn may_change(enrolled: &Enrolled, known: &GroupAlert) -> Result<(), Failure> {
    if known.state.may_change(&enrolled.identity.user) {
        return Ok(());
    }
    let what = text!(
        "Seuls l'auteur de l'alerte et ses suppléants peuvent la changer.";
        "Only the sender of the alert and his deputies may change it."
    );
    Err(Failure::new(Exit::Refused, what))
}

/// Ends an alert on the hub; `None` if the hub does not know it.
async fn close(enrolled: &Enrolled, known: &GroupAlert) -> Result<Option<v1::AlertStatus>, Failure> {
    use cercle_sdk::error::Error;
    match enrolled.client.close_alert(known.state.alert.alert).await {
        Ok(status) => Ok(Some(status)),
        Err(ClientError::Core(Error::Refused { code: cercle_proto::ErrorCode::AlertUnknown, .. })) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn identifier(alert: AlertId) -> String {
    format!("cercle-{}", alert.to_hex())
}

fn cap(enrolled: &Enrolled, alert: AlertId, status: Status, says: &ContentArguments) -> Cap {
    let now = now_ms();
    let commune = |code: &String| Named { name: "INSEE".into(), value: code.clone() };
    let area = Area {
        description: says.area.clone(),
        geocodes: says.commune.iter().map(commune).collect(),
        ..Area::default()
    };
    let info = Info {
        language: "fr-FR".into(),
        categories: vec![Category::Health],
        event: says.headline.clone(),
        response_types: vec![if says.all_clear { ResponseType::AllClear } else { ResponseType::Execute }],
        urgency: if says.all_clear { Urgency::Past } else { Urgency::Immediate },
        severity: if says.all_clear { Severity::Minor } else { Severity::Severe },
        certainty: Certainty::Observed,
        audience: String::new(),
        event_codes: Vec::new(),
        effective: time::from_ms(now),
        onset: String::new(),
        expires: time::from_ms(now + says.hours * HOUR_MS),
        sender_name: enrolled.identity.display_name.clone(),
        headline: says.headline.clone(),
        description: says.description.clone(),
        instruction: says.instruction.clone(),
        web: String::new(),
        contact: says.contact.clone(),
        parameters: Vec::new(),
        resources: Vec::new(),
        areas: if says.area.is_empty() { Vec::new() } else { vec![area] },
    };
    Cap {
        identifier: identifier(alert),
        sender: enrolled.identity.user.as_str().to_owned(),
        sent: time::from_ms(now),
        status,
        msg_type: MsgType::Alert,
        source: String::new(),
        scope: Scope::Restricted,
        restriction: "members".into(),
        addresses: String::new(),
        codes: Vec::new(),
        note: String::new(),
        references: String::new(),
        incidents: String::new(),
        infos: vec![info],
    }
}

impl TargetArguments {
    /// As the wire has it; `None`: everybody.
    pub(super) fn target(&self) -> Option<v1::AlertTarget> {
        let Self { for_profession, for_commune, on_duty } = self;
        let (professions, communes) = (for_profession.clone(), for_commune.clone());
        let says_something = *on_duty || !professions.is_empty() || !communes.is_empty();
        let who = Some(v1::GroupRule { professions, communes, ..v1::GroupRule::default() });
        says_something.then_some(v1::AlertTarget { who, on_duty: *on_duty })
    }
}

impl RingArguments {
    /// As without any option.
    fn usual() -> Self {
        Self {
            ack_within: 5,
            repeat_every: 2,
            repeat_max: 10,
            fallback_after: 5,
            escalate_after: 0,
            next: Vec::new(),
            needed: 0,
            deputy: Vec::new(),
        }
    }
}
