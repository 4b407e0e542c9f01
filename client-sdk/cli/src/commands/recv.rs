//! `cercle recv`: what others have written since the last time, once or as it comes.

use cercle_sdk::client::ClientError;

use super::{find_group, reader::Reader};
use crate::{
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    interrupt::Interrupt,
};

pub(crate) async fn once(context: &Context<'_>, name: Option<&str>, all: bool) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let mut events = enrolled.client.events();
    let reached = context.online(&enrolled).await;
    if let Err(failure) = &reached
        && failure.exit != Exit::Unreachable
    {
        return reached.map(|()| Exit::Done);
    }
    let only = group(context, &enrolled, name).await?;
    let mut reader = Reader::new(context, &enrolled, only)?;
    let count = if all { reader.show_all().await? } else { reader.show_new().await? };
    if count == 0 {
        context.output.note(&text!("Rien de nouveau."; "Nothing new."));
    }
    reader.happened(&mut events).await?;
    drop(reader);
    enrolled.close().await;
    // What was stored is shown; that it may be out of date is the caller's to know.
    reached.map(|()| Exit::Done)
}

pub(crate) async fn follow(context: &Context<'_>, name: Option<&str>) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let only = group(context, &enrolled, name).await?;
    let mut reader = Reader::new(context, &enrolled, only)?;
    let mut events = enrolled.client.events();
    enrolled.client.connect().await?;
    reader.show_new().await?;
    let mut interrupt = Interrupt::new()?;
    let ended = loop {
        tokio::select! {
            biased;
            () = interrupt.requested() => break Ok(Exit::Done),
            stopped = enrolled.client.stopped() => break Err(stopped.into()),
            notice = events.next() => match notice {
                Some(notice) => reader.notice(&notice).await?,
                None => break Err(ClientError::Closed.into()),
            },
        }
    };
    drop(reader);
    enrolled.close().await;
    ended
}

async fn group(
    context: &Context<'_>,
    enrolled: &Enrolled,
    name: Option<&str>,
) -> Result<Option<cercle_proto::id::GroupId>, Failure> {
    match name {
        Some(name) => Ok(Some(find_group(context, enrolled, name).await?.group)),
        None => Ok(None),
    }
}
