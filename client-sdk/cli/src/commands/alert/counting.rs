//! `cercle alert report --by` and `watch --by`: how far an alert is with each profession, or in each commune.

use std::collections::BTreeMap;

use cercle_proto::v1;

use super::{find_on_hub, following};
use crate::{
    arguments::alert::By,
    context::Context,
    exit::Exit,
    failure::Failure,
    language::Text,
    records::{AlertCount, AlertCountRecord, Record},
};

pub(super) async fn report(context: &Context<'_>, name: &str, by: By) -> Result<Exit, Failure> {
    let enrolled = context.enrolled().await?;
    let alert = find_on_hub(context, &enrolled, name).await?;
    let (status, recipients) = enrolled.client.alert_report(alert, false).await?;
    following::show(context, &status);
    Counts::default().show(context, &recipients, &[by]);
    enrolled.close().await;
    Ok(Exit::Done)
}

/// What was shown of the recipients, by criterion and value.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<(&'static str, String), AlertCount>);

impl Counts {
    /// Shows every count that is not the one that was shown last.
    pub(super) fn show(&mut self, context: &Context<'_>, recipients: &[v1::AlertRecipient], by: &[By]) {
        for by in by {
            for (value, count) in counted(recipients, *by) {
                if self.0.insert((by.name(), value.to_owned()), count) == Some(count) {
                    continue;
                }
                let record = AlertCountRecord { by: by.name(), value, count };
                context.output.result(&Record::AlertCount(record), &line(value, &count));
            }
        }
    }
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Profession => "profession",
            Self::Commune => "commune",
        }
    }
}

/// Who works in two communes counts in both; who has no value counts under the empty one.
fn counted(recipients: &[v1::AlertRecipient], by: By) -> BTreeMap<&str, AlertCount> {
    let mut counts = BTreeMap::<&str, AlertCount>::new();
    for recipient in recipients {
        let values: Vec<&str> = match by {
            By::Profession => vec![&recipient.profession],
            By::Commune if recipient.communes.is_empty() => vec![""],
            By::Commune => recipient.communes.iter().map(String::as_str).collect(),
        };
        values.into_iter().for_each(|value| counts.entry(value).or_default().add(recipient));
    }
    counts
}

fn line(value: &str, count: &AlertCount) -> Text {
    let AlertCount { recipients, sent, delivered, seen, acknowledged } = count;
    let value = if value.is_empty() { "-" } else { value };
    text!(
        "  {value} : {recipients} destinataires, {sent} envoyés, {delivered} remis, {seen} vus, {acknowledged} acquittés";
        "  {value}: {recipients} recipients, {sent} sent, {delivered} delivered, {seen} seen, {acknowledged} acknowledged"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_in_two_communes_counts_in_both() {
        let recipient = |communes: &[&str], acknowledged_at_ms| v1::AlertRecipient {
            profession: "60".into(),
            acknowledged_at_ms,
            communes: communes.iter().map(|code| (*code).to_owned()).collect(),
            ..v1::AlertRecipient::default()
        };
        let all = [recipient(&["31555", "31022"], 7), recipient(&["31555"], 0), recipient(&[], 0)];
        let by = |by| {
            let counts = counted(&all, by).into_iter();
            counts.map(|(value, count)| (value, count.recipients, count.acknowledged)).collect::<Vec<_>>()
        };
        assert_eq!(by(By::Profession), [("60", 3, 1)]);
        assert_eq!(by(By::Commune), [("", 1, 0), ("31022", 1, 1), ("31555", 2, 1)]);
    }
}
