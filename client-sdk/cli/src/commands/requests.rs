//! `cercle ask`, `board`, `claim` and the other steps: somebody asks, somebody has it, it is handled.

pub(super) mod ask;
pub(crate) mod board;
pub(crate) mod step;

use cercle_sdk::{
    client::Client,
    core::{BoardFilter, BoardRow},
    message::{
        request::Situation,
        transition::{Action, PrescriptionStep},
    },
};

use crate::{
    arguments::{ReasonArguments, RequestCommand, SituationArguments, TextArguments},
    context::{Context, Enrolled},
    exit::Exit,
    failure::Failure,
    limits::ID_PREFIX_DIGITS_MIN,
    moment, stdin,
};

pub(crate) async fn run(context: &Context<'_>, command: RequestCommand) -> Result<Exit, Failure> {
    let mut attach = Vec::new();
    let (request, action, situation) = match command {
        RequestCommand::Ask(arguments) => return Box::pin(ask::run(context, *arguments)).await,
        RequestCommand::Board(arguments) => return Box::pin(board::run(context, arguments)).await,
        RequestCommand::Show { request } => return Box::pin(board::show(context, &request)).await,
        RequestCommand::Widen { request, to, situation } => {
            return Box::pin(step::widen(context, &request, &to, situation)).await;
        }
        RequestCommand::Reassign { request, to, situation } => {
            return Box::pin(step::reassign(context, &request, &to, situation)).await;
        }
        RequestCommand::Claim { request, situation } => {
            (request, Action::Claim { receipt: None, owner_name: String::new() }, situation)
        }
        RequestCommand::Release(ReasonArguments { request, reason, situation }) => {
            (request, Action::Release { reason }, situation)
        }
        RequestCommand::Decline(ReasonArguments { request, reason, situation }) => {
            (request, Action::Decline { reason }, situation)
        }
        RequestCommand::Cancel(ReasonArguments { request, reason, situation }) => {
            (request, Action::Cancel { reason }, situation)
        }
        RequestCommand::AskInfo { request, text, situation } => {
            (request, Action::AskInfo { text: stdin::text(text)? }, situation)
        }
        RequestCommand::GiveInfo(TextArguments { request, text, attach: files, situation }) => {
            attach = files;
            (request, Action::GiveInfo { text: stdin::text(text)?, documents: Vec::new() }, situation)
        }
        RequestCommand::Answer(TextArguments { request, text, attach: files, situation }) => {
            attach = files;
            (request, Action::Answer { text: stdin::text(text)?, documents: Vec::new() }, situation)
        }
        RequestCommand::Schedule { request, from, to, place, situation } => {
            let from_ms = moment::when(&from)?;
            let to_ms = to.as_deref().map(moment::when).transpose()?;
            (request, Action::Schedule { from_ms, to_ms, place }, situation)
        }
        RequestCommand::Complete { request, report, attach: files, situation } => {
            attach = files;
            (request, Action::Complete { report, documents: Vec::new() }, situation)
        }
        RequestCommand::Progress { request, step, situation } => {
            (request, Action::Progress { step: PrescriptionStep::from(step) }, situation)
        }
    };
    Box::pin(step::run(context, &request, action, attach, situation)).await
}

/// In which situation this person acts: the profession of the certificate, the structure as the command says.
pub(super) fn situation(enrolled: &Enrolled, arguments: &SituationArguments) -> Situation {
    Situation {
        profession: enrolled.identity.profession.clone(),
        structure: arguments.acting_structure.trim().to_owned(),
    }
}

/// Connects if possible, so that what the others did is known, and says so if not.
async fn reach(context: &Context<'_>, enrolled: &Enrolled) -> Result<bool, Failure> {
    match context.online(enrolled).await {
        Ok(()) => Ok(true),
        Err(failure) if failure.exit == Exit::Unreachable => {
            context.output.failure_as_note(&failure);
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

/// The one request whose id begins so.
async fn find(client: &Client, prefix: &str) -> Result<BoardRow, Failure> {
    let everything = BoardFilter { closed: true, ..BoardFilter::default() };
    let rows = client.board(everything).await?;
    let wanted = prefix.trim().to_ascii_lowercase();
    let fits =
        |row: &BoardRow| wanted.len() >= ID_PREFIX_DIGITS_MIN && row.request.to_hex().starts_with(&wanted);
    let mut found = rows.into_iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err(Failure::new(
            Exit::NotFound,
            text!("« {prefix} » désigne plusieurs demandes."; "\"{prefix}\" means several requests."),
        )),
        (None, _) => Err(Failure::new(
            Exit::NotFound,
            text!("Aucune demande ne commence par « {prefix} »."; "No request begins with \"{prefix}\"."),
        )
        .mend(text!(
            "Les demandes et leurs identifiants : cercle board --closed";
            "Requests and their ids: cercle board --closed"
        ))),
    }
}

/// Reads a request again by its whole id.
async fn again(client: &Client, row: &BoardRow) -> Result<BoardRow, Failure> {
    find(client, &row.request.to_hex()).await
}
