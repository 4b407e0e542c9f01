//! A filled example of each kind in its JSON form, to start a script from (`cercle template`).
//!
//! Every kind that a person or script writes has one; a test keeps the list complete. Ids of other messages are
//! examples: put the real one.

/// Kinds with their examples.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("text", include_str!("template/text.json")),
    ("event_alert", include_str!("template/event_alert.json")),
    ("event_alert_ack", include_str!("template/event_alert_ack.json")),
    ("bulletin", include_str!("template/bulletin.json")),
    ("library_entry", include_str!("template/library_entry.json")),
    ("availability", include_str!("template/availability.json")),
    ("event", include_str!("template/event.json")),
    ("rsvp", include_str!("template/rsvp.json")),
    ("form", include_str!("template/form.json")),
    ("form_answer", include_str!("template/form_answer.json")),
    ("assessment", include_str!("template/assessment.json")),
    ("care_plan", include_str!("template/care_plan.json")),
    ("care_plan_validation", include_str!("template/care_plan_validation.json")),
    ("education_step", include_str!("template/education_step.json")),
    ("adverse_event", include_str!("template/adverse_event.json")),
    ("adverse_event_reference", include_str!("template/adverse_event_reference.json")),
    ("meeting_link", include_str!("template/meeting_link.json")),
    ("directory_card", include_str!("template/directory_card.json")),
];

/// Kinds that commands of their own write, because they need keys, files or ids that a script does not make up.
pub const WITHOUT_TEMPLATE: &[&str] = &[
    "group_profile",
    "document",
    "circle_opened",
    "circle_member",
    "circle_consent",
    "circle_identity",
    "circle_status",
    "history_handed_over",
    "own_state",
    "request",
    "transition",
    "handover",
    "reaction",
    "edit",
    "retract",
    "receipt",
    "pin",
    "typing",
    "crisis_alert",
    "alert_answer",
];

/// The example of a kind, pretty-printed JSON.
#[must_use]
pub fn of(kind: &str) -> Option<&'static str> {
    TEMPLATES.iter().find(|(name, _)| *name == kind).map(|(_, json)| *json)
}

#[cfg(test)]
mod tests;
