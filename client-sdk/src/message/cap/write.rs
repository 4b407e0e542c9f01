//! From an alert to XML, CAP 1.2: elements in the order of the schema, absent ones left out.

use super::{Area, Cap, Info, Named, Resource, xml::NAMESPACES};

/// XML that grows.
struct Out {
    text: String,
    depth: usize,
}

pub(super) fn write(cap: &Cap) -> String {
    let mut out = Out { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), depth: 0 };
    out.line(&format!("<alert xmlns=\"{}\">", NAMESPACES[0]));
    out.depth += 1;
    out.text("identifier", &cap.identifier);
    out.text("sender", &cap.sender);
    out.text("sent", &cap.sent);
    out.text("status", cap.status.code());
    out.text("msgType", cap.msg_type.code());
    out.text("source", &cap.source);
    out.text("scope", cap.scope.code());
    out.text("restriction", &cap.restriction);
    out.text("addresses", &cap.addresses);
    cap.codes.iter().for_each(|code| out.text("code", code));
    out.text("note", &cap.note);
    out.text("references", &cap.references);
    out.text("incidents", &cap.incidents);
    for each in &cap.infos {
        out.within("info", |out| info(out, each));
    }
    out.depth -= 1;
    out.line("</alert>");
    out.text
}

fn info(out: &mut Out, info: &Info) {
    out.text("language", &info.language);
    info.categories.iter().for_each(|category| out.text("category", category.code()));
    out.text("event", &info.event);
    info.response_types.iter().for_each(|response| out.text("responseType", response.code()));
    out.text("urgency", info.urgency.code());
    out.text("severity", info.severity.code());
    out.text("certainty", info.certainty.code());
    out.text("audience", &info.audience);
    out.named("eventCode", &info.event_codes);
    out.text("effective", &info.effective);
    out.text("onset", &info.onset);
    out.text("expires", &info.expires);
    out.text("senderName", &info.sender_name);
    out.text("headline", &info.headline);
    out.text("description", &info.description);
    out.text("instruction", &info.instruction);
    out.text("web", &info.web);
    out.text("contact", &info.contact);
    out.named("parameter", &info.parameters);
    for each in &info.resources {
        out.within("resource", |out| resource(out, each));
    }
    for each in &info.areas {
        out.within("area", |out| area(out, each));
    }
}

fn resource(out: &mut Out, resource: &Resource) {
    out.text("resourceDesc", &resource.description);
    out.text("mimeType", &resource.mime_type);
    out.text("size", &resource.size);
    out.text("uri", &resource.uri);
    out.text("derefUri", &resource.deref_uri);
    out.text("digest", &resource.digest);
}

fn area(out: &mut Out, area: &Area) {
    out.text("areaDesc", &area.description);
    area.polygons.iter().for_each(|polygon| out.text("polygon", polygon));
    area.circles.iter().for_each(|circle| out.text("circle", circle));
    out.named("geocode", &area.geocodes);
    out.text("altitude", &area.altitude);
    out.text("ceiling", &area.ceiling);
}

impl Out {
    fn line(&mut self, line: &str) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.line(&format!("<{name}>{}</{name}>", escape(text)));
        }
    }

    fn named(&mut self, name: &str, all: &[Named]) {
        for Named { name: value_name, value } in all {
            self.within(name, |out| {
                out.text("valueName", value_name);
                // Required by the schema, also when there is nothing in it.
                out.line(&format!("<value>{}</value>", escape(value)));
            });
        }
    }

    fn within(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.line(&format!("<{name}>"));
        self.depth += 1;
        write(self);
        self.depth -= 1;
        self.line(&format!("</{name}>"));
    }
}

/// Text as it may stand in an element; characters that XML 1.0 does not have are left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A reader turns it into a line feed.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'.. => out.push(character),
            _ => {}
        }
    }
    out
}
