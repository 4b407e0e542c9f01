//! Which step may follow which, and by whom. Total and pure: the same answer on every device.
//!
//! | step | by | from | leads to |
//! |---|---|---|---|
//! | claim | anybody but the requester (the assignee, if there is one; a task also the requester), before the end; with a register, whom its receipt names | open | claimed |
//! | claim with a receipt that names another | requester | open | claimed, elsewhere |
//! | release | owner | owned | open |
//! | decline | owner | owned | open |
//! | decline | assignee | open | declined |
//! | decline | anybody else but the requester | open | open |
//! | ask_info | owner | owned | info_requested |
//! | give_info | requester | info_requested | claimed |
//! | answer, schedule | owner | owned | answered, scheduled |
//! | complete | owner or requester | owned | completed |
//! | cancel | requester | not closed | cancelled |
//! | widen | requester, with a register | open | open |
//! | reopen | requester, with a fresh register | open, or owned elsewhere | open |
//! | reassign | requester or owner, without register | not closed, or declined | open |
//! | progress | owner of a prescription, forward | owned | owned; completed when dispensed |

use cercle_proto::{
    certificate::Root,
    id::{RegisterId, TimestampMs, UserId},
    receipt,
};

use super::course::{Course, Owner, Standing, State};
use crate::message::{
    request::PurposeKind,
    transition::{Action, PrescriptionStep, Receipt},
};

/// Who takes a step, and when by the hub's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) at_ms: TimestampMs,
}

/// Why a step is ignored.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// This group, or this device, does not know the request.
    #[error("the request is unknown")]
    Unknown,
    /// Somebody else has it.
    #[error("somebody else has taken the request on")]
    Owned(Owner),
    /// It is for somebody else to do that.
    #[error("somebody else must do that")]
    NotYours,
    /// Its time is over.
    #[error("the request has expired")]
    Expired,
    /// It is completed, declined or cancelled.
    #[error("the request is closed")]
    Closed,
    /// It is not possible in this state, or for this kind of request.
    #[error("the request is not in a state for that")]
    NotPossible,
    /// The receipt of the register is missing, for somebody else, for another register, or not the hub's.
    #[error("the hub's receipt does not verify")]
    Receipt,
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_string())
    }
}

/// Where the request stands after a step, if the step counts.
///
/// # Errors
/// Why it is ignored.
pub(crate) fn judge(
    course: &Course,
    author: &Author<'_>,
    action: &Action,
    root: Option<&Root>,
) -> Result<Standing, Refusal> {
    let mut after = course.standing.clone();
    match action {
        Action::Claim { receipt, owner_name } => {
            after.owner = Some(claim(course, author, receipt.as_ref(), owner_name, root)?);
            after.state = State::Claimed;
        }
        Action::Release { .. } => {
            owned_by(course, author)?;
            reopen(&mut after);
        }
        Action::Decline { .. } => decline(course, &mut after, author)?,
        Action::AskInfo { .. } => {
            owned_by(course, author)?;
            after.state = State::InfoRequested;
        }
        Action::Answer { .. } => {
            owned_by(course, author)?;
            after.state = State::Answered;
        }
        Action::Schedule { .. } => {
            owned_by(course, author)?;
            after.state = State::Scheduled;
        }
        Action::GiveInfo { .. } => {
            requested_by(course, author)?;
            in_state(course, State::InfoRequested)?;
            after.state = State::Claimed;
        }
        Action::Complete { .. } => {
            if course.standing.state.is_closed() {
                return Err(Refusal::Closed);
            }
            if course.requester != *author.user {
                owned_by(course, author)?;
            } else if !course.standing.state.is_owned() {
                return Err(Refusal::NotPossible);
            }
            after.state = State::Completed;
        }
        Action::Cancel { .. } => {
            requested_by(course, author)?;
            if course.standing.state.is_closed() {
                return Err(Refusal::Closed);
            }
            after.state = State::Cancelled;
        }
        Action::Widen { .. } => {
            requested_by(course, author)?;
            in_state(course, State::Open)?;
            if !course.is_wide() {
                return Err(Refusal::NotPossible);
            }
        }
        Action::Reopen { register } => open_again(course, &mut after, author, *register)?,
        Action::Reassign { to } => reassign(course, &mut after, author, to)?,
        Action::Progress { step } => progress(course, &mut after, author, *step)?,
    }
    Ok(after)
}

/// Who has a request after this claim.
fn claim(
    course: &Course,
    author: &Author<'_>,
    receipt: Option<&Receipt>,
    owner_name: &str,
    root: Option<&Root>,
) -> Result<Owner, Refusal> {
    match receipt {
        receipt if course.is_wide() => winner(course, author, receipt, owner_name, root),
        None => claimant(course, author),
        Some(_) => Err(Refusal::Receipt),
    }
}

/// Who claims a request of this group alone.
fn claimant(course: &Course, author: &Author<'_>) -> Result<Owner, Refusal> {
    claimable(course, author.at_ms)?;
    let task = course.request.purpose.kind() == PurposeKind::Task;
    let asked = match &course.standing.assignee {
        Some(assignee) => assignee == author.user,
        None => task || course.requester != *author.user,
    };
    if !asked {
        return Err(Refusal::NotYours);
    }
    Ok(Owner { user: author.user.clone(), name: String::new(), elsewhere: false })
}

/// Whom the receipt of a request's register names: the sender himself, with whichever device he had claimed it,
/// or, when the requester says it, somebody in another group. What counts for the end is when the hub decided.
fn winner(
    course: &Course,
    author: &Author<'_>,
    receipt: Option<&Receipt>,
    owner_name: &str,
    root: Option<&Root>,
) -> Result<Owner, Refusal> {
    let receipt = receipt.and_then(Receipt::read).ok_or(Refusal::Receipt)?;
    let root = root.ok_or(Refusal::Receipt)?;
    if course.standing.register.is_none_or(|register| register.as_bytes() != receipt.register.as_ref()) {
        // Another register was decided, an earlier one perhaps; nothing else needs to be verified.
        return Err(claimable(course, receipt.at_ms).err().unwrap_or(Refusal::Receipt));
    }
    claimable(course, receipt.at_ms)?;
    let receipt = receipt::Receipt::verify(&receipt, root).map_err(|_| Refusal::Receipt)?;
    let elsewhere = course.requester == *author.user;
    if receipt.user == course.requester {
        return Err(Refusal::NotYours);
    }
    if elsewhere {
        return Ok(Owner { user: receipt.user, name: owner_name.to_owned(), elsewhere });
    }
    if receipt.user != *author.user {
        return Err(Refusal::Receipt);
    }
    if course.standing.assignee.as_ref().is_some_and(|assignee| assignee != author.user) {
        return Err(Refusal::NotYours);
    }
    Ok(Owner { user: receipt.user, name: String::new(), elsewhere })
}

/// Whether somebody could take it on at a time.
fn claimable(course: &Course, at_ms: TimestampMs) -> Result<(), Refusal> {
    match (course.state_at(at_ms), &course.standing.owner) {
        (State::Open, _) => Ok(()),
        (State::Expired, _) => Err(Refusal::Expired),
        (state, Some(owner)) if state.is_owned() => Err(Refusal::Owned(owner.clone())),
        _ => Err(Refusal::Closed),
    }
}

fn decline(course: &Course, after: &mut Standing, author: &Author<'_>) -> Result<(), Refusal> {
    if course.requester == *author.user {
        return Err(Refusal::NotYours);
    }
    if course.standing.state.is_owned() {
        owned_by(course, author)?;
        reopen(after);
    } else {
        in_state(course, State::Open)?;
        if after.declined_by.contains(author.user) {
            return Err(Refusal::NotPossible);
        }
        if after.assignee.as_ref() == Some(author.user) {
            after.state = State::Declined;
        }
    }
    if !after.declined_by.contains(author.user) {
        after.declined_by.push(author.user.clone());
    }
    Ok(())
}

fn open_again(
    course: &Course,
    after: &mut Standing,
    author: &Author<'_>,
    register: RegisterId,
) -> Result<(), Refusal> {
    requested_by(course, author)?;
    if !course.standing.owner.as_ref().is_some_and(|owner| owner.elsewhere) {
        in_state(course, State::Open)?;
    } else if course.standing.state.is_closed() {
        return Err(Refusal::Closed);
    }
    if !course.is_wide() || course.standing.register == Some(register) {
        return Err(Refusal::NotPossible);
    }
    reopen(after);
    after.register = Some(register);
    Ok(())
}

fn reassign(course: &Course, after: &mut Standing, author: &Author<'_>, to: &UserId) -> Result<(), Refusal> {
    if course.requester != *author.user {
        owned_by(course, author)?;
    }
    if course.is_wide() || matches!(course.standing.state, State::Completed | State::Cancelled) {
        return Err(Refusal::NotPossible);
    }
    reopen(after);
    after.assignee = Some(to.clone());
    after.declined_by.retain(|user| user != to);
    Ok(())
}

fn progress(
    course: &Course,
    after: &mut Standing,
    author: &Author<'_>,
    step: PrescriptionStep,
) -> Result<(), Refusal> {
    owned_by(course, author)?;
    let forward = after.progress.is_none_or(|reached| reached < step);
    if course.request.purpose.kind() != PurposeKind::Prescription || !forward {
        return Err(Refusal::NotPossible);
    }
    after.progress = Some(step);
    if step == PrescriptionStep::Dispensed {
        after.state = State::Completed;
    }
    Ok(())
}

/// Nobody has it any more. The register is used up: the requester names a fresh one.
fn reopen(after: &mut Standing) {
    after.state = State::Open;
    after.owner = None;
    after.register = None;
    after.progress = None;
}

fn requested_by(course: &Course, author: &Author<'_>) -> Result<(), Refusal> {
    if course.requester == *author.user { Ok(()) } else { Err(Refusal::NotYours) }
}

fn in_state(course: &Course, state: State) -> Result<(), Refusal> {
    match course.standing.state {
        found if found == state => Ok(()),
        found if found.is_closed() => Err(Refusal::Closed),
        _ => Err(Refusal::NotPossible),
    }
}

/// The sender has it, in this group.
fn owned_by(course: &Course, author: &Author<'_>) -> Result<(), Refusal> {
    match &course.standing.owner {
        _ if course.standing.state.is_closed() => Err(Refusal::Closed),
        Some(owner) if owner.user == *author.user && !owner.elsewhere => Ok(()),
        Some(owner) => Err(Refusal::Owned(owner.clone())),
        None => Err(Refusal::NotPossible),
    }
}
