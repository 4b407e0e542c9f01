//! What a newcomer reads of before: as an argument, over a profile, in a sentence.

use cercle_sdk::message::{GroupProfile, HistoryPolicy};

use crate::{arguments::talk::ProfileArguments, exit::Exit, failure::Failure, language::Text};

/// Reads the argument.
pub(super) fn policy(text: &str) -> Result<HistoryPolicy, Failure> {
    match text {
        "none" => Ok(HistoryPolicy::Nothing),
        "all" => Ok(HistoryPolicy::All),
        days => days.parse().map(HistoryPolicy::Days).map_err(|_| {
            Failure::new(
                Exit::Usage,
                text!(
                    "L'historique est none, all ou un nombre de jours.";
                    "The history is none, all, or a number of days."
                ),
            )
        }),
    }
}

/// Puts everything that was said of a thread over its profile.
pub(super) fn describe(arguments: ProfileArguments, profile: &mut GroupProfile) -> Result<(), Failure> {
    if let Some(text) = &arguments.history {
        profile.history = policy(text)?;
    }
    arguments.apply_to(profile);
    Ok(())
}

/// The policy in a clause, for the head of a thread.
pub(super) fn clause(policy: HistoryPolicy) -> Text {
    match policy {
        HistoryPolicy::Nothing => {
            text!("les nouveaux ne lisent rien d'avant"; "newcomers read nothing of before")
        }
        HistoryPolicy::Days(1) => {
            text!("les nouveaux lisent le dernier jour"; "newcomers read the last day")
        }
        HistoryPolicy::Days(days) => {
            text!("les nouveaux lisent les {days} derniers jours"; "newcomers read the last {days} days")
        }
        HistoryPolicy::All => text!("les nouveaux lisent tout"; "newcomers read everything"),
    }
}
