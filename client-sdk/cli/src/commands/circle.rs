//! `cercle circle …`: patient circles.

use std::collections::BTreeSet;

use cercle_proto::id::UserId;
use cercle_sdk::{
    client::now_ms,
    core::{GroupSummary, NewCircle},
    message::{
        Body, CircleAudience, CircleBasis, CircleConsent, CircleIdentity, CircleMember, CircleStanding,
        CircleStatus, GroupProfile, Kind as _, Language, Patient,
        patient::{Reliability, warning::IdentityWarning},
    },
    thread::{Circle, timeline::TimelineFilter},
};
use jiff::{ToSpan as _, civil::Date, tz::TimeZone};

use super::{durable, find_group, history, kept, patient_file};
use crate::{
    arguments::circle::{self as arguments, Circle as Command},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    moment,
    records::{
        Record,
        circle::{CircleMemberRecord, CircleRecord, RefusalLine, TimelineRecord},
    },
    resolve,
};

pub(crate) async fn run(context: &Context<'_>, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::New(new) => open(context, *new).await,
        Command::Members { group } => members(context, &group).await,
        Command::Identity(identity) => Box::pin(self::identity(context, *identity)).await,
        Command::Add(add) => self::add(context, add).await,
        Command::Remove { group, user, note } => remove(context, &group, &user, &note).await,
        Command::Timeline(timeline) => self::timeline(context, timeline).await,
        Command::Consent(consent) => Box::pin(self::consent(context, consent)).await,
        Command::Close(close) => Box::pin(self::close(context, close)).await,
        Command::Export { group, folder } => super::export::export(context, &group, &folder).await,
        Command::Refusals { group } => refusals(context, group.as_deref()).await,
    }
}

async fn open(context: &Context<'_>, new: arguments::New) -> Result<Exit, Failure> {
    let history = history::policy(&new.history)?;
    let enrolled = context.enrolled().await?;
    let patient = match &new.patient_file {
        Some(path) => patient_file::read(path)?,
        None => typed(&new),
    };
    let audience =
        if new.with_relatives { CircleAudience::WithRelatives } else { CircleAudience::Professionals };
    let circle = NewCircle {
        profile: GroupProfile { history, ..GroupProfile::titled(new.title) },
        patient,
        audience,
        founder: CircleMember { role: new.role, basis: new.basis.into(), ..CircleMember::default() },
        consents: Vec::new(),
        despite_duplicate: new.despite_duplicate,
    };
    let what = text!("Ouverture du cercle…"; "Opening the circle…");
    let opening = enrolled.client.open_circle(circle);
    let Some(id) = durable(context, &enrolled, &what, opening).await? else {
        return Ok(kept(context, enrolled, None, None).await);
    };
    let known = async {
        let mut events = enrolled.client.events();
        while enrolled.client.circle(id).await?.is_none() && events.next().await.is_some() {}
        Ok::<(), Failure>(())
    };
    context.output.waiting(&what, Box::pin(known)).await?;
    let group = summary(&enrolled, id).await?;
    show_circle(context, &enrolled, &group).await?;
    enrolled.close().await;
    Ok(Exit::Done)
}

/// The traits on the command line.
fn typed(new: &arguments::New) -> Patient {
    let given = new.given.as_deref().unwrap_or_default();
    Patient {
        birth_name: new.birth_name.clone().unwrap_or_default(),
        birth_given_names: given.split_whitespace().map(str::to_owned).collect(),
        birth_date: new.birth_date.clone().unwrap_or_default(),
        gender: new.gender.map(Into::into).unwrap_or_default(),
        birth_place: new.birth_place.clone(),
        reliability: new.reliability.into(),
        ins: new.ins.clone(),
        ins_oid: if new.ins.is_empty() { String::new() } else { new.ins_oid.clone() },
        ..Patient::default()
    }
}

async fn members(context: &Context<'_>, name: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online_if_possible(&enrolled).await?;
    let group = find_group(context, &enrolled, name).await?;
    show_circle(context, &enrolled, &group).await?;
    enrolled.close().await;
    Ok(Exit::Done)
}

/// Shows the patient, then each entry, the newest of each person last.
async fn show_circle(
    context: &Context<'_>,
    enrolled: &Enrolled,
    group: &GroupSummary,
) -> Result<(), Failure> {
    let circle = known_circle(enrolled, group).await?;
    let language = context.output.language();
    let (traits, title) = (circle.patient.traits(language), &group.profile.title);
    let standing = circle.standing;
    let (fr, en) = (standing.label(Language::French), standing.label(Language::English));
    let newcomers = history::clause(group.profile.history);
    let (newcomers_fr, newcomers_en) = (newcomers.fr, newcomers.en);
    context.output.result(
        &Record::Circle(CircleRecord::new(group, &circle, language)),
        &text!(
            "« {title} », cercle {fr}, {newcomers_fr}\n  {traits}";
            "\"{title}\", circle {en}, {newcomers_en}\n  {traits}"
        ),
    );
    warn_of(context, circle.patient.warnings());
    if circle.is_objected_to() {
        context.output.note(&text!(
            "  Attention : le patient s'oppose au partage dans ce cercle.";
            "  Warning: the patient objects to sharing in this circle."
        ));
    }
    let members = enrolled.client.members(group.group).await.unwrap_or_default();
    let present: BTreeSet<&str> = members.iter().map(|member| member.user.as_str()).collect();
    let now = now_ms();
    for (user, entries) in &circle.members {
        let is_present = present.contains(user.as_str());
        for (index, entry) in entries.iter().enumerate() {
            let parsed = UserId::parse(user);
            let last = index + 1 == entries.len();
            let current = last && parsed.is_ok_and(|user| !circle.has_ended(&user, now));
            let line = entry.render(language);
            let ended = if current { "" } else { "  (terminé)" };
            let over = if current { "" } else { "  (over)" };
            context.output.result(
                &Record::CircleMember(CircleMemberRecord::new(group.group, entry, current, is_present)),
                &text!("  {line}{ended}"; "  {line}{over}"),
            );
        }
    }
    for consent in &circle.consents {
        let line = consent.render(language);
        context.output.say(&text!("  {line}"; "  {line}"));
    }
    for user in present.iter().filter(|user| !circle.members.contains_key(**user)) {
        context.output.note(&text!(
            "  Attention : {user} est dans le groupe sans base enregistrée.";
            "  Warning: {user} is in the group without a recorded basis."
        ));
    }
    Ok(())
}

/// Says what is doubtful about the traits of a patient.
pub(super) fn warn_of(context: &Context<'_>, warnings: impl IntoIterator<Item = IdentityWarning>) {
    for warning in warnings {
        let warning = warning.explain(context.output.language());
        context.output.note(&text!("  Attention : {warning}"; "  Warning: {warning}"));
    }
}

/// Corrects what is named, and warns of what is doubtful about the result.
async fn identity(context: &Context<'_>, named: arguments::Identity) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, &named.group).await?;
    // Whoever corrects must know what others have corrected meanwhile.
    context.online_if_possible(&enrolled).await?;
    let known = known_circle(&enrolled, &group).await?.patient;
    let reason = named.reason.clone();
    let patient = corrected(known.clone(), named);
    if patient == known {
        return Err(Failure::new(Exit::Usage, text!("Rien à corriger."; "Nothing to correct.")));
    }
    warn_of(context, patient.warnings());
    let body = Body::CircleIdentity(CircleIdentity { patient, reason });
    super::send::post_to(context, enrolled, &group, body).await
}

/// The traits as they are to be.
fn corrected(known: Patient, named: arguments::Identity) -> Patient {
    let given = named.given.map(|names| names.split_whitespace().map(str::to_owned).collect());
    let reliability = named.reliability.map_or(known.reliability, Into::into);
    let (ins, ins_oid) = match named.ins {
        Some(ins) if ins.is_empty() => (ins, String::new()),
        Some(ins) => (ins, named.ins_oid),
        // An INS belongs to a validated identity.
        None if reliability != Reliability::Validated => (String::new(), String::new()),
        None => (known.ins, known.ins_oid),
    };
    Patient {
        birth_name: named.birth_name.unwrap_or(known.birth_name),
        birth_given_names: given.unwrap_or(known.birth_given_names),
        used_name: named.used_name.unwrap_or(known.used_name),
        used_given_name: named.used_given_name.unwrap_or(known.used_given_name),
        birth_date: named.birth_date.unwrap_or(known.birth_date),
        gender: named.gender.map_or(known.gender, Into::into),
        birth_place: named.birth_place.unwrap_or(known.birth_place),
        reliability,
        ins,
        ins_oid,
        phone: known.phone,
        address: known.address,
    }
}

async fn add(context: &Context<'_>, add: arguments::Add) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let user = resolve::user(&enrolled.identity, &add.user)?;
    let ends_at_ms = add.until.as_deref().map(day_after).transpose()?;
    let group = find_group(context, &enrolled, &add.group).await?;
    // Whoever adds must know what the patient has said meanwhile.
    context.online_if_possible(&enrolled).await?;
    let display_name = match add.name.is_empty() {
        true => known_name(&enrolled, &user).await?,
        false => add.name,
    };
    let entry = CircleMember {
        user: user.as_str().to_owned(),
        display_name,
        class: add.class.into(),
        role: add.role,
        basis: add.basis.map_or(CircleBasis::None, Into::into),
        starts_at_ms: 0,
        ends_at_ms,
        note: add.note,
    };
    let what = text!("Ajout au cercle…"; "Adding to the circle…");
    let adding = enrolled.client.add_to_circle(group.group, entry);
    let id = group.group.to_hex();
    let Some(invited) = durable(context, &enrolled, &what, adding).await? else {
        return Ok(kept(context, enrolled, Some(id), None).await);
    };
    let (who, count, title) = (user.as_str(), invited.devices.len(), &group.profile.title);
    let devices = invited.devices.iter().map(|device| device.to_hex()).collect();
    let missing = invited.missing.iter().map(|user| user.as_str()).collect();
    context.output.result(
        &Record::Invited { group: id, devices, missing },
        &text!("{who} ajouté(e) à « {title} » ({count} appareil(s))."; "{who} added to \"{title}\" ({count} device(s))."),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}

/// The name of somebody who is in a group with this device, as his certificate says; else empty.
async fn known_name(enrolled: &Enrolled, user: &UserId) -> Result<String, Failure> {
    for group in enrolled.client.groups().await? {
        let members = enrolled.client.members(group.group).await.unwrap_or_default();
        if let Some(member) = members.into_iter().find(|member| member.user == *user) {
            return Ok(member.display_name);
        }
    }
    Ok(String::new())
}

async fn remove(context: &Context<'_>, name: &str, user: &str, note: &str) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let user = resolve::user(&enrolled.identity, user)?;
    let group = find_group(context, &enrolled, name).await?;
    let what = text!("Retrait du cercle…"; "Removing from the circle…");
    let removing = enrolled.client.end_membership(group.group, user.clone(), note);
    let id = group.group.to_hex();
    if durable(context, &enrolled, &what, removing).await?.is_none() {
        return Ok(kept(context, enrolled, Some(id), None).await);
    }
    let (who, title) = (user.as_str(), &group.profile.title);
    context.output.result(
        &Record::Removed { group: id, users: vec![who] },
        &text!("{who} ne fait plus partie de « {title} »."; "{who} is no longer in \"{title}\"."),
    );
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn timeline(context: &Context<'_>, wanted: arguments::Timeline) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let author = wanted.author.as_deref().map(|name| resolve::user(&enrolled.identity, name)).transpose()?;
    let filter = TimelineFilter {
        kinds: wanted.kind,
        author,
        from_ms: wanted.from.as_deref().map(start_of).transpose()?,
        until_ms: wanted.until.as_deref().map(day_after).transpose()?,
    };
    context.online_if_possible(&enrolled).await?;
    let group = find_group(context, &enrolled, &wanted.group).await?;
    let lines = enrolled.client.timeline(group.group, filter, context.output.language()).await?;
    for entry in &lines {
        let (day, line, author) = (moment::day(entry.at_ms), &entry.line, &entry.display_name);
        context.output.result(
            &Record::Timeline(TimelineRecord::new(group.group, entry)),
            &text!("{day}  {line}  ({author})"; "{day}  {line}  ({author})"),
        );
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn consent(context: &Context<'_>, said: arguments::Consent) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let person = said.person.as_deref().map(|name| resolve::user(&enrolled.identity, name)).transpose()?;
    let record = CircleConsent {
        decision: said.decision.into(),
        date_ms: said.date.as_deref().map_or_else(|| Ok(now_ms()), start_of)?,
        collector: said.collector.unwrap_or_else(|| enrolled.identity.display_name.clone()),
        mode: said.mode.into(),
        scope: said.scope,
        person: person.map_or_else(String::new, |person| person.as_str().to_owned()),
    };
    let group = find_group(context, &enrolled, &said.group).await?;
    super::send::post_to(context, enrolled, &group, Body::CircleConsent(record)).await
}

async fn close(context: &Context<'_>, close: arguments::Close) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let standing = match (close.archive, close.reopen) {
        (_, true) => CircleStanding::Open,
        (true, _) => CircleStanding::Archived,
        _ => CircleStanding::Closed,
    };
    let group = find_group(context, &enrolled, &close.group).await?;
    let status = CircleStatus { standing, reason: close.reason };
    super::send::post_to(context, enrolled, &group, Body::CircleStatus(status)).await
}

async fn refusals(context: &Context<'_>, name: Option<&str>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = match name {
        Some(name) => Some(find_group(context, &enrolled, name).await?.group),
        None => None,
    };
    for record in enrolled.client.refusals(group).await? {
        let (day, user) = (moment::day(record.at_ms), &record.user);
        let reason = record.refusal.explain(context.output.language());
        context.output.result(
            &Record::Refusal(RefusalLine::new(&record)),
            &text!("{day}  {user} : {reason}"; "{day}  {user}: {reason}"),
        );
    }
    enrolled.close().await;
    Ok(Exit::Done)
}

async fn summary(enrolled: &Enrolled, group: cercle_proto::id::GroupId) -> Result<GroupSummary, Failure> {
    let groups = enrolled.client.groups().await?;
    let found = groups.into_iter().find(|summary| summary.group == group);
    found.ok_or_else(|| cercle_sdk::error::Error::UnknownGroup(group).into())
}

async fn known_circle(enrolled: &Enrolled, group: &GroupSummary) -> Result<Circle, Failure> {
    enrolled.client.circle(group.group).await?.ok_or_else(|| {
        let title = &group.profile.title;
        Failure::new(
            Exit::NotFound,
            text!("« {title} » n'est pas un cercle de soins."; "\"{title}\" is no patient circle."),
        )
        .mend(text!("Pour en ouvrir un : cercle circle new"; "To open one: cercle circle new"))
    })
}

/// The first moment of a day, in the time zone of this machine.
fn start_of(date: &str) -> Result<u64, Failure> {
    at(date, 0)
}

/// The first moment after a day.
fn day_after(date: &str) -> Result<u64, Failure> {
    at(date, 1)
}

fn at(date: &str, days_later: i64) -> Result<u64, Failure> {
    let start = date.parse::<Date>().and_then(|day| day.checked_add(days_later.days()));
    let start = start.and_then(|day| day.to_zoned(TimeZone::system()));
    start.ok().and_then(|moment| u64::try_from(moment.timestamp().as_millisecond()).ok()).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            text!("« {date} » n'est pas un jour AAAA-MM-JJ."; "\"{date}\" is no day YYYY-MM-DD."),
        )
    })
}
