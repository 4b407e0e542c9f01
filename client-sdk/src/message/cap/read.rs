//! From elements to an alert: every element is known, once or as often as CAP allows, and required ones are
//! there (CAP 1.2 section 3.2; 1.1 has the same elements).

use super::{
    Area, Cap, CapError, Category, Certainty, Info, MsgType, Named, Resource, ResponseType, Scope, Severity,
    Status, Urgency, time,
    xml::{self, Element, Source},
};

pub(super) fn read(bytes: &[u8]) -> Result<Cap, CapError> {
    let source = Source(xml::text(bytes)?);
    let root = xml::parse(&source)?;
    if root.name != "alert" {
        return Err(source.fault(root.at, "not an alert of CAP 1.1 or 1.2"));
    }
    alert(&source, root)
}

/// The children of an element, taken one after the other by name.
struct Fields<'a> {
    source: &'a Source<'a>,
    /// Offset of the element, for what is missing in it.
    at: usize,
    left: Vec<Element>,
}

impl<'a> Fields<'a> {
    fn of(source: &'a Source<'a>, element: Element) -> Result<Self, CapError> {
        if !element.text.trim().is_empty() {
            let what = format!("text where only elements may be: {}", element.name);
            return Err(source.fault(element.at, what));
        }
        Ok(Self { source, at: element.at, left: element.children })
    }

    fn all(&mut self, name: &str) -> Vec<Element> {
        self.left.extract_if(.., |element| element.name == name).collect()
    }

    fn one(&mut self, name: &str) -> Result<Option<Element>, CapError> {
        let mut all = self.all(name);
        if let Some(second) = all.get(1) {
            return Err(self.source.fault(second.at, format!("{name} may stand once")));
        }
        Ok(all.pop())
    }

    fn required(&mut self, name: &str) -> Result<Element, CapError> {
        let found = self.one(name)?.filter(|element| !element.text.trim().is_empty());
        found.ok_or_else(|| self.source.fault(self.at, format!("{name} is missing")))
    }

    fn text(&mut self, name: &str) -> Result<String, CapError> {
        self.one(name)?.map_or(Ok(String::new()), |element| leaf(self.source, element))
    }

    /// Each that says something: an empty element is one that is not there.
    fn texts(&mut self, name: &str) -> Result<Vec<String>, CapError> {
        let texts = self.all(name).into_iter().map(|element| leaf(self.source, element));
        texts.filter(|text| !text.as_ref().is_ok_and(String::is_empty)).collect()
    }

    fn required_text(&mut self, name: &str) -> Result<String, CapError> {
        leaf(self.source, self.required(name)?)
    }

    /// A time, or nothing.
    fn time(&mut self, name: &str) -> Result<String, CapError> {
        let Some(element) = self.one(name)? else { return Ok(String::new()) };
        let (at, text) = (element.at, leaf(self.source, element)?);
        if !text.is_empty() && time::to_ms(&text).is_none() {
            return Err(self.source.fault(at, format!("{name} is no time of CAP")));
        }
        Ok(text)
    }

    fn code<C>(&mut self, name: &str, from: fn(&str) -> Option<C>) -> Result<C, CapError> {
        let element = self.required(name)?;
        code(self.source, element, from)
    }

    fn codes<C>(&mut self, name: &str, from: fn(&str) -> Option<C>) -> Result<Vec<C>, CapError> {
        self.all(name).into_iter().map(|element| code(self.source, element, from)).collect()
    }

    fn named(&mut self, name: &str) -> Result<Vec<Named>, CapError> {
        let named = |element| {
            let mut fields = Fields::of(self.source, element)?;
            let (name, value) = (fields.required_text("valueName")?, fields.text("value")?);
            fields.nothing_else()?;
            Ok(Named { name, value })
        };
        self.left
            .extract_if(.., |element| element.name == name)
            .collect::<Vec<_>>()
            .into_iter()
            .map(named)
            .collect()
    }

    fn nothing_else(self) -> Result<(), CapError> {
        match self.left.first() {
            None => Ok(()),
            Some(unknown) => {
                Err(self.source.fault(unknown.at, format!("{} does not belong here", unknown.name)))
            }
        }
    }
}

fn leaf(source: &Source<'_>, element: Element) -> Result<String, CapError> {
    match element.children.first() {
        None => Ok(element.text.trim().to_owned()),
        Some(child) => Err(source.fault(child.at, format!("no element may be in {}", element.name))),
    }
}

fn code<C>(source: &Source<'_>, element: Element, from: fn(&str) -> Option<C>) -> Result<C, CapError> {
    let (at, name) = (element.at, element.name.clone());
    from(&leaf(source, element)?).ok_or_else(|| source.fault(at, format!("{name} has no such value")))
}

fn alert(source: &Source<'_>, root: Element) -> Result<Cap, CapError> {
    let mut fields = Fields::of(source, root)?;
    let at = fields.at;
    let cap = Cap {
        identifier: fields.required_text("identifier")?,
        sender: fields.required_text("sender")?,
        sent: fields.time("sent")?,
        status: fields.code("status", Status::from_code)?,
        msg_type: fields.code("msgType", MsgType::from_code)?,
        source: fields.text("source")?,
        scope: fields.code("scope", Scope::from_code)?,
        restriction: fields.text("restriction")?,
        addresses: fields.text("addresses")?,
        codes: fields.texts("code")?,
        note: fields.text("note")?,
        references: fields.text("references")?,
        incidents: fields.text("incidents")?,
        infos: fields
            .all("info")
            .into_iter()
            .map(|element| info(source, element))
            .collect::<Result<_, _>>()?,
    };
    fields.nothing_else()?;
    cap.check().map_err(|what| source.fault(at, what))?;
    Ok(cap)
}

fn info(source: &Source<'_>, element: Element) -> Result<Info, CapError> {
    let mut fields = Fields::of(source, element)?;
    let at = fields.at;
    let info = Info {
        language: fields.text("language")?,
        categories: fields.codes("category", Category::from_code)?,
        event: fields.required_text("event")?,
        response_types: fields.codes("responseType", ResponseType::from_code)?,
        urgency: fields.code("urgency", Urgency::from_code)?,
        severity: fields.code("severity", Severity::from_code)?,
        // 1.0 said "Very Likely"; 1.1 and 1.2 want it read as Likely (section 3.2.2).
        certainty: fields.code("certainty", |code| {
            Certainty::from_code(if code == "Very Likely" { "Likely" } else { code })
        })?,
        audience: fields.text("audience")?,
        event_codes: fields.named("eventCode")?,
        effective: fields.time("effective")?,
        onset: fields.time("onset")?,
        expires: fields.time("expires")?,
        sender_name: fields.text("senderName")?,
        headline: fields.text("headline")?,
        description: fields.text("description")?,
        instruction: fields.text("instruction")?,
        web: fields.text("web")?,
        contact: fields.text("contact")?,
        parameters: fields.named("parameter")?,
        resources: fields
            .all("resource")
            .into_iter()
            .map(|element| resource(source, element))
            .collect::<Result<_, _>>()?,
        areas: fields
            .all("area")
            .into_iter()
            .map(|element| area(source, element))
            .collect::<Result<_, _>>()?,
    };
    fields.nothing_else()?;
    info.check().map_err(|what| source.fault(at, what))?;
    Ok(info)
}

fn resource(source: &Source<'_>, element: Element) -> Result<Resource, CapError> {
    let mut fields = Fields::of(source, element)?;
    let resource = Resource {
        description: fields.required_text("resourceDesc")?,
        mime_type: fields.text("mimeType")?,
        size: fields.text("size")?,
        uri: fields.text("uri")?,
        deref_uri: fields.text("derefUri")?,
        digest: fields.text("digest")?,
    };
    fields.nothing_else()?;
    Ok(resource)
}

fn area(source: &Source<'_>, element: Element) -> Result<Area, CapError> {
    let mut fields = Fields::of(source, element)?;
    let at = fields.at;
    let area = Area {
        description: fields.required_text("areaDesc")?,
        polygons: fields.texts("polygon")?,
        circles: fields.texts("circle")?,
        geocodes: fields.named("geocode")?,
        altitude: fields.text("altitude")?,
        ceiling: fields.text("ceiling")?,
    };
    fields.nothing_else()?;
    area.check().map_err(|what| source.fault(at, what))?;
    Ok(area)
}

impl Cap {
    /// Checks what the types do not: required texts, times, places.
    ///
    /// # Errors
    /// Says what is wrong, quoting nothing.
    pub fn check(&self) -> Result<(), String> {
        for (name, text) in [("identifier", &self.identifier), ("sender", &self.sender)] {
            if text.is_empty() || text.contains([' ', ',', '<', '&']) {
                return Err(format!("{name} must be given, without space, comma, < and &"));
            }
        }
        if time::to_ms(&self.sent).is_none() {
            return Err("sent is no time of CAP".into());
        }
        if self.referred().count() != self.references.split_whitespace().count() {
            return Err("references must be sender,identifier,sent".into());
        }
        self.infos.iter().try_for_each(Info::check)
    }
}

impl Info {
    fn check(&self) -> Result<(), String> {
        if self.categories.is_empty() {
            return Err("category is missing".into());
        }
        if self.event.is_empty() {
            return Err("event is missing".into());
        }
        for (name, text) in
            [("effective", &self.effective), ("onset", &self.onset), ("expires", &self.expires)]
        {
            if !text.is_empty() && time::to_ms(text).is_none() {
                return Err(format!("{name} is no time of CAP"));
            }
        }
        self.areas.iter().try_for_each(Area::check)
    }
}

impl Area {
    fn check(&self) -> Result<(), String> {
        if self.description.is_empty() {
            return Err("areaDesc is missing".into());
        }
        for polygon in &self.polygons {
            let points: Vec<&str> = polygon.split_whitespace().collect();
            let closed = points.first() == points.last();
            if points.len() < 4 || !closed || !points.iter().all(|point| is_point(point)) {
                return Err("polygon must be at least four points lat,lon, the last like the first".into());
            }
        }
        for circle in &self.circles {
            let parts: Vec<&str> = circle.split_whitespace().collect();
            let [centre, radius] = parts[..] else { return Err("circle must be lat,lon radius".into()) };
            if !is_point(centre) || !is_number(radius, 40_000) || radius.starts_with('-') {
                return Err("circle must be lat,lon radius".into());
            }
        }
        Ok(())
    }
}

/// `lat,lon` in degrees.
fn is_point(text: &str) -> bool {
    text.split_once(',').is_some_and(|(lat, lon)| is_number(lat, 90) && is_number(lon, 180))
}

/// A decimal number of at most this size.
fn is_number(text: &str, max: u32) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let size = whole.parse::<u32>();
    let zero = fraction.bytes().all(|digit| digit == b'0');
    plain(whole) && plain(fraction) && size.is_ok_and(|size| size < max || (size == max && zero))
}
