//! An export to read and print: one HTML page in French that needs nothing else.
//!
//! Every text is escaped; the page has no script and loads nothing.

use std::fmt::Write as _;

use super::record::{ExportRecord, ExportedCircle, ExportedMessage};
use crate::{
    message::{
        CircleMember, Kind as _, Language,
        moment::{civil, day_of},
    },
    thread::circle::Refusal,
};

/// Type and colour on screen and paper; nothing is said by colour alone.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}\
h1,h2{line-height:1.2}table{border-collapse:collapse;width:100%}th,td{border:1px solid #999;padding:.3rem .5rem;\
text-align:left;vertical-align:top}.patient{border:2px solid #111;padding:.5rem 1rem;font-weight:600}\
article{border-top:1px solid #ccc;padding:.4rem 0;break-inside:avoid}article p{margin:.2rem 0;white-space:pre-wrap;\
overflow-wrap:anywhere}.who{color:#444;font-size:.875rem}@media print{body{max-width:none;margin:0;font-size:11pt}\
a{color:inherit}}";

/// Makes the page.
#[must_use]
pub fn render(record: &ExportRecord) -> String {
    let mut page = String::new();
    let title = escape(&record.title);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"fr\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    if let Some(circle) = &record.circle {
        circle_parts(&mut page, circle);
    }
    refusals(&mut page, record);
    timeline(&mut page, record);
    page.push_str("<h2>Messages</h2>\n");
    for message in &record.messages {
        article(&mut page, record, message);
    }
    footer(&mut page, record);
    page
}

fn circle_parts(page: &mut String, circle: &ExportedCircle) {
    let french = Language::French;
    let patient = escape(&circle.patient.traits(french));
    let (standing, audience) = (circle.standing.label(french), circle.audience.label(french));
    let _ =
        writeln!(page, "<p class=\"patient\">{patient}</p>\n<p>Cercle de soins {standing} ({audience}).</p>");
    if circle.objection {
        page.push_str("<p><strong>Le patient s'oppose au partage dans ce cercle.</strong></p>\n");
    }
    page.push_str("<h2>Membres</h2>\n<table>\n<tr><th>Personne</th><th>Rôle</th><th>Classe</th><th>Base</th><th>Période</th><th>Remarque</th></tr>\n");
    for member in &circle.members {
        member_row(page, member);
    }
    page.push_str("</table>\n<h2>Consentement et opposition</h2>\n<ul>\n");
    if circle.consents.is_empty() {
        page.push_str("<li>Rien n'est enregistré.</li>\n");
    }
    for consent in &circle.consents {
        let _ = writeln!(page, "<li>{}</li>", escape(&consent.render(french)));
    }
    page.push_str("</ul>\n");
}

fn member_row(page: &mut String, member: &CircleMember) {
    let french = Language::French;
    let name = if member.display_name.is_empty() { &member.user } else { &member.display_name };
    let end = member.ends_at_ms.map_or_else(|| "en cours".to_owned(), day_of);
    let _ = writeln!(
        page,
        "<tr><td>{} ({})</td><td>{}</td><td>{}</td><td>{}</td><td>{} – {end}</td><td>{}</td></tr>",
        escape(name),
        escape(&member.user),
        escape(&member.role),
        member.class.label(french),
        member.basis.label(french),
        day_of(member.starts_at_ms),
        escape(&member.note),
    );
}

fn refusals(page: &mut String, record: &ExportRecord) {
    if record.refusals.is_empty() {
        return;
    }
    page.push_str("<h2>Ajouts refusés sur l'appareil de l'exportateur</h2>\n<ul>\n");
    for refusal in &record.refusals {
        let known = Refusal::ALL.iter().find(|known| known.name() == refusal.reason);
        let reason = known.map_or(refusal.reason, |known| known.explain(Language::French));
        let _ = writeln!(
            page,
            "<li>{} : {} – {}</li>",
            moment(refusal.at_ms),
            escape(&refusal.user),
            escape(reason)
        );
    }
    page.push_str("</ul>\n");
}

fn timeline(page: &mut String, record: &ExportRecord) {
    page.push_str(
        "<h2>Ligne de vie</h2>\n<table>\n<tr><th>Date</th><th>Événement</th><th>Auteur</th></tr>\n",
    );
    for message in record.messages.iter().filter(|message| message.event) {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td><a href=\"#m{}\">{}</a></td><td>{}</td></tr>",
            moment(message.at_ms),
            message.id,
            escape(&message.text),
            escape(&message.display_name),
        );
    }
    page.push_str("</table>\n");
}

fn article(page: &mut String, record: &ExportRecord, message: &ExportedMessage) {
    let _ = write!(
        page,
        "<article id=\"m{}\">\n<p class=\"who\">{} · {} ({}) · appareil {} · n° {}",
        message.id,
        moment(message.at_ms),
        escape(&message.display_name),
        escape(&message.sender),
        &message.device,
        message.seq,
    );
    if let Some(exporter) = &message.exported_by {
        let _ = write!(page, " · remis par {}", escape(exporter));
    }
    if message.expired_certificate {
        page.push_str(" · certificat expiré");
    }
    if let Some(answered) = &message.in_reply_to {
        let _ = write!(page, " · <a href=\"#m{}\">en réponse</a>", escape(answered));
    }
    let _ = writeln!(page, "</p>\n<p>{}</p>", escape(&message.text));
    for document in record.documents.iter().filter(|document| document.message == message.id) {
        let (path, name) = (escape(&document.path), escape(&document.name));
        if document.missing {
            let _ = writeln!(page, "<p>Document non récupéré : {name}</p>");
        } else {
            let _ =
                writeln!(page, "<p>Document : <a href=\"{path}\">{name}</a> ({} octets)</p>", document.size);
        }
    }
    page.push_str("</article>\n");
}

fn footer(page: &mut String, record: &ExportRecord) {
    let exporter = &record.exporter;
    let _ = write!(
        page,
        "<hr>\n<p>Exporté le {} par {} ({}), appareil {}. {} messages. Les heures sont celles du hub, UTC.</p>\n\
         <p>Vérification : <code>cercle verify-export</code> suivi du nom de ce dossier. La signature atteste que \
         l'exportateur a reçu ces messages ainsi ; elle est la sienne, non celle des auteurs.</p>\n</body>\n</html>\n",
        moment(record.exported_at_ms),
        escape(&exporter.display_name),
        escape(&exporter.user),
        exporter.device,
        record.messages.len(),
    );
}

/// A time, `YYYY-MM-DD HH:MM`, UTC.
fn moment(at_ms: u64) -> String {
    civil(at_ms).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Text in HTML: nothing of it is markup, in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters and marks that turn the direction of reading around.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            control if control.is_control() && control != '\n' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let nasty = "<script>alert('x')</script> \"&\u{202e}\u{0007}";
        let escaped = escape(nasty);
        assert_eq!(escaped, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;\u{fffd}\u{fffd}");
    }

    #[test]
    fn moments_are_readable() {
        assert_eq!(moment(1_795_219_200_000 + 8 * 3_600_000 + 5 * 60_000), "2026-11-21 08:05");
    }
}
