//! `cercle rule`: groups whose members follow the directory.

use cercle_sdk::{
    client::Events,
    core::GroupSummary,
    directory::{GroupRule, MembershipDue},
};
use tokio::time::timeout;

use super::find_group;
use crate::{
    arguments::rule::{RuleArguments, RuleCommand},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    language::Text,
    records::{Record, RuleRecord},
};

pub(crate) async fn run(context: &Context<'_>, command: RuleCommand) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    context.online(&enrolled).await?;
    let client = &enrolled.client;
    let (group, due) = match command {
        RuleCommand::Set(arguments) => {
            let group = find_group(context, &enrolled, &arguments.group).await?;
            let events = client.events();
            let due = client.set_group_rule(group.group, Some(rule(arguments))).await?;
            let due = followed(context, &enrolled, &group, events, due).await?;
            (group, due)
        }
        RuleCommand::Show { group } => {
            let group = find_group(context, &enrolled, &group).await?;
            let due = client.group_rule(group.group).await?;
            (group, due)
        }
        RuleCommand::Clear { group } => {
            let group = find_group(context, &enrolled, &group).await?;
            let due = client.set_group_rule(group.group, None).await?;
            (group, due)
        }
    };
    let record = RuleRecord::new(group.group.to_hex(), due.as_ref());
    context.output.result(&Record::Rule(record), &described(&group, due.as_ref()));
    enrolled.close().await;
    Ok(Exit::Done)
}

fn rule(arguments: RuleArguments) -> GroupRule {
    let RuleArguments { profession, commune, structure, skill, tag, .. } = arguments;
    GroupRule { professions: profession, communes: commune, structures: structure, skills: skill, tags: tag }
}

/// Waits, but not for ever, until this device has added and removed whom the rule names; returns what is left.
async fn followed(
    context: &Context<'_>,
    enrolled: &Enrolled,
    group: &GroupSummary,
    mut events: Events,
    due: Option<MembershipDue>,
) -> Result<Option<MembershipDue>, Failure> {
    let Some(wanted) = due else { return Ok(None) };
    let following = async {
        while !fits(enrolled, group, &wanted).await? && events.next().await.is_some() {}
        Ok::<(), Failure>(())
    };
    let what = text!("Ajouts et retraits…"; "Adding and removing…");
    let following = Box::pin(timeout(context.patience, following));
    if let Ok(done) = context.output.waiting(&what, following).await {
        done?;
    }
    Ok(enrolled.client.group_rule(group.group).await?)
}

async fn fits(enrolled: &Enrolled, group: &GroupSummary, due: &MembershipDue) -> Result<bool, Failure> {
    let members = enrolled.client.members(group.group).await?;
    let is_in = |user: &String| members.iter().any(|member| member.user.as_str() == user);
    Ok(due.add.iter().all(is_in) && !due.remove.iter().any(is_in))
}

fn described(group: &GroupSummary, due: Option<&MembershipDue>) -> Text {
    let title = &group.profile.title;
    let Some(due) = due else {
        return text!("« {title} » n'a pas de règle."; "\"{title}\" has no rule.");
    };
    let rule = due.rule.clone().unwrap_or_default();
    let all = [rule.professions, rule.communes, rule.structures, rule.skills, rule.tags];
    let values = all.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
    let (add, remove) = (due.add.len(), due.remove.len());
    text!(
        "« {title} » suit l'annuaire ({values}). À ajouter : {add}, à retirer : {remove}.";
        "\"{title}\" follows the directory ({values}). To add: {add}, to remove: {remove}."
    )
}
