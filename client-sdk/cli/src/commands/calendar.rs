//! `cercle calendar`: the events and availabilities of a group as an iCalendar file.

use cercle_sdk::{
    calendar::{self, Reader},
    client::now_ms,
    thread::Thread,
};

use super::find_group;
use crate::{arguments::CalendarArguments, context::Context, exit::Exit, failure::Failure, records::Record};

pub(crate) async fn run(context: &Context<'_>, arguments: CalendarArguments) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let group = find_group(context, &enrolled, &arguments.group).await?;
    context.online_if_possible(&enrolled).await?;
    let (title, user) = (group.profile.title.clone(), enrolled.identity.user.clone());
    let language = context.output.language();
    let write = move |thread: &Thread| {
        let reader = Reader { user: &user, now_ms: now_ms(), language };
        calendar::export(&title, thread.kinds(), &reader)
    };
    let content = enrolled.client.with_thread(group.group, write).await?;
    enrolled.close().await;
    let record = Record::Calendar { group: group.group.to_hex(), content: &content };
    match &arguments.output {
        Some(path) => {
            std::fs::write(path, &content)?;
            let path = path.display();
            context.output.result(&record, &text!("Écrit dans {path}."; "Written to {path}."));
        }
        None => {
            let shown = content.trim_end();
            context.output.result(&record, &text!("{shown}"; "{shown}"));
        }
    }
    Ok(Exit::Done)
}
