//! `cercle directory`: finding people, structures and shared inboxes, and one's own card.

use cercle_sdk::directory::{
    Card, DutyPeriod, Entry, Filter, Kind, Membership, Page, QuietHours, SharedInbox,
};

use crate::{
    arguments::directory::{CardArguments, DirectoryCommand, EntryKind, Hidden, SearchArguments, YesNo},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    language::Text,
    moment,
    records::{EntryRecord, FacetRecord, Record},
    resolve,
};

pub(crate) async fn run(context: &Context<'_>, command: DirectoryCommand) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let exit = match command {
        DirectoryCommand::Search(arguments) => search(context, &enrolled, *arguments).await?,
        DirectoryCommand::Show { key } => {
            show(context, &enrolled.client.directory_get(&key).await?);
            Exit::Done
        }
        DirectoryCommand::Card(arguments) => card(context, &enrolled, &arguments).await?,
        DirectoryCommand::Inbox { name, users, key, commune } => {
            inbox(context, &enrolled, name, &users, key, commune).await?
        }
    };
    enrolled.close().await;
    Ok(exit)
}

async fn search(
    context: &Context<'_>,
    enrolled: &Enrolled,
    arguments: SearchArguments,
) -> Result<Exit, Failure> {
    let facets = arguments.facets;
    let page = enrolled.client.directory_search(filter(arguments)).await?;
    page.entries.iter().for_each(|entry| show(context, entry));
    let Page { total, professions, communes, .. } = &page;
    let counted = |facets: &[cercle_sdk::directory::Facet]| {
        facets.iter().map(|facet| format!("\n  {:>6}  {}", facet.count, facet.label)).collect::<String>()
    };
    let lists = if facets { counted(professions) + &counted(communes) } else { String::new() };
    context.output.result(
        &Record::DirectoryPage {
            total: *total,
            professions: FacetRecord::all(professions),
            communes: FacetRecord::all(communes),
            imported_at_ms: page.imported_at_ms,
        },
        &text!("{total} fiche(s) en tout.{lists}"; "{total} entries in all.{lists}"),
    );
    Ok(if page.entries.is_empty() { Exit::NotFound } else { Exit::Done })
}

fn filter(arguments: SearchArguments) -> Filter {
    let kind = arguments.kind.map_or(Kind::Unspecified, |kind| match kind {
        EntryKind::Professional => Kind::Professional,
        EntryKind::Structure => Kind::Structure,
        EntryKind::Inbox => Kind::Inbox,
    });
    let membership = match arguments.member {
        None => Membership::Any,
        Some(YesNo::Yes) => Membership::Members,
        Some(YesNo::No) => Membership::Others,
    };
    Filter {
        text: arguments.words.join(" "),
        professions: arguments.profession,
        skills: arguments.skill,
        structure: arguments.structure,
        communes: arguments.commune,
        radius_km: arguments.radius,
        accepting: arguments.accepting,
        on_duty: arguments.on_duty,
        membership: membership.into(),
        kind: kind.into(),
        offset: (arguments.page - 1) * arguments.limit,
        limit: arguments.limit,
        facets: arguments.facets,
    }
}

async fn card(
    context: &Context<'_>,
    enrolled: &Enrolled,
    arguments: &CardArguments,
) -> Result<Exit, Failure> {
    let own = enrolled.identity.user.as_str();
    let mut entry = enrolled.client.directory_get(own).await?;
    if arguments.changes() {
        let card = changed(enrolled, entry.card.unwrap_or_default(), arguments)?;
        entry = enrolled.client.update_card(card).await?;
    }
    show(context, &entry);
    Ok(Exit::Done)
}

fn changed(enrolled: &Enrolled, mut card: Card, arguments: &CardArguments) -> Result<Card, Failure> {
    if let Some(note) = &arguments.note {
        card.note.clone_from(note);
    }
    if let Some(days) = arguments.accepting_days {
        card.accepting_until_ms = if days == 0 { 0 } else { moment::in_days(days) };
    }
    if !arguments.on_duty.is_empty() {
        card.on_duty = all(&arguments.on_duty, period)?;
    }
    if !arguments.quiet.is_empty() {
        card.quiet_hours = all(&arguments.quiet, quiet_hours)?;
    }
    match arguments.delegate.as_deref() {
        None => {}
        Some("none") => card.delegate.clear(),
        Some(user) => resolve::user(&enrolled.identity, user)?.as_str().clone_into(&mut card.delegate),
    }
    if !arguments.hide.is_empty() {
        card.hide_phone = arguments.hide.contains(&Hidden::Phone);
        card.hide_street = arguments.hide.contains(&Hidden::Street);
        card.hide_mailboxes = arguments.hide.contains(&Hidden::Mailboxes);
    }
    if let Some(listed) = arguments.listed {
        card.unlisted = listed == YesNo::No;
    }
    Ok(card)
}

/// The values of a list; `none` stands for an empty one.
fn all<T>(texts: &[String], read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Failure> {
    let named = texts.iter().filter(|text| text.as_str() != "none");
    named
        .map(|text| {
            read(text).ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    text!("« {text} » n'est pas une période."; "\"{text}\" is not a period."),
                )
                .mend(text!(
                    "Par exemple : 2026-11-22T20:00/2026-11-23T08:00, ou 20:00-07:00.";
                    "For example: 2026-11-22T20:00/2026-11-23T08:00, or 20:00-07:00."
                ))
            })
        })
        .collect()
}

fn period(text: &str) -> Option<DutyPeriod> {
    let (from, to) = text.split_once('/')?;
    Some(DutyPeriod { from_ms: moment::parse(from)?, to_ms: moment::parse(to)? })
}

fn quiet_hours(text: &str) -> Option<QuietHours> {
    const EVERY_DAY: u32 = 0b111_1111;
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        Some(hour.parse::<u32>().ok()? * 60 + minute.parse::<u32>().ok()?)
    };
    let (from, to) = text.split_once('-')?;
    Some(QuietHours { weekdays: EVERY_DAY, from_minute: minute(from)?, to_minute: minute(to)? })
}

async fn inbox(
    context: &Context<'_>,
    enrolled: &Enrolled,
    name: String,
    users: &[String],
    key: Option<String>,
    commune: String,
) -> Result<Exit, Failure> {
    let users: Vec<String> = users
        .iter()
        .map(|user| Ok(resolve::user(&enrolled.identity, user)?.as_str().to_owned()))
        .collect::<Result<_, Failure>>()?;
    let id = match key {
        Some(key) => cercle_proto::id::from_hex(key.trim_start_matches("inbox:")).unwrap_or_default(),
        None => Vec::new(),
    };
    let inbox = SharedInbox { id: id.into(), name, users, commune };
    match enrolled.client.update_inbox(inbox).await? {
        Some(entry) => show(context, &entry),
        None => context.output.say(&text!("Adresse abandonnée."; "The inbox is given up.")),
    }
    Ok(Exit::Done)
}

fn show(context: &Context<'_>, entry: &Entry) {
    let lines = described(entry);
    let record = Record::DirectoryEntry(Box::new(EntryRecord::new(entry)));
    context.output.result(&record, &lines);
}

fn described(entry: &Entry) -> Text {
    let name = [&entry.title, &entry.family, &entry.given].map(|part| part.trim());
    let name = name.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let labels = entry.professions.iter().chain(&entry.skills);
    let labels = labels.map(|coded| if coded.label.is_empty() { &*coded.code } else { &*coded.label });
    let labels = labels.collect::<Vec<_>>().join(", ");
    let mut text = text!("{name}  {labels}"; "{name}  {labels}");
    let mut add = |line: Text| {
        text.fr = format!("{}\n    {}", text.fr, line.fr);
        text.en = format!("{}\n    {}", text.en, line.en);
    };
    for place in &entry.activities {
        let town = place.commune.as_ref().map_or("", |commune| &commune.label);
        let parts = [&*place.name, &*place.street, &*place.postal_code, town, &*place.phone];
        let line = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(", ");
        add(text!("{line}"; "{line}"));
    }
    if let Some(km) = entry.distance_km.filter(|km| *km > 0) {
        add(text!("à {km} km"; "{km} km away"));
    }
    if !entry.users.is_empty() {
        let users = entry.users.join(", ");
        add(text!("sur Cercle : {users}"; "on Cercle: {users}"));
    }
    if let Some(note) = entry.card.as_ref().map(|card| &card.note).filter(|note| !note.is_empty()) {
        add(text!("{note}"; "{note}"));
    }
    if entry.accepting {
        add(text!("accepte de nouveaux patients"; "accepts new patients"));
    }
    if entry.on_duty {
        add(text!("de garde"; "on duty"));
    }
    let key = &entry.key;
    add(text!("{key}"; "{key}"));
    text
}
