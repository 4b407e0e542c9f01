//! CAP files of other systems, whole and damaged.

use super::*;

const CANADA: &str = include_str!("samples/canada.cap");
const EARTHQUAKE: &str = include_str!("samples/earthquake.cap");
const NO_OPTIONAL_FIELDS: &str = include_str!("samples/no_optional_fields.cap");

fn refused(text: &str) -> CapError {
    Cap::from_xml(text.as_bytes()).unwrap_err()
}

#[test]
fn public_examples_come_out_as_they_went_in() {
    for sample in [CANADA, EARTHQUAKE, NO_OPTIONAL_FIELDS] {
        let cap = Cap::from_xml(sample.as_bytes()).unwrap();
        let written = cap.to_xml();
        assert_eq!(Cap::from_xml(written.as_bytes()).unwrap(), cap);
        assert_eq!(Cap::from_xml(written.as_bytes()).unwrap().to_xml(), written);
        let json = serde_json::to_value(&cap).unwrap();
        assert_eq!(serde_json::from_value::<Cap>(json).unwrap(), cap);
    }
}

#[test]
fn what_an_example_says_is_read() {
    let cap = Cap::from_xml(CANADA.as_bytes()).unwrap();
    assert_eq!((cap.status, cap.msg_type, cap.scope), (Status::Actual, MsgType::Update, Scope::Public));
    assert_eq!(cap.codes.len(), 3);
    assert_eq!(cap.restriction, "", "an empty element is absent");
    assert_eq!(cap.referred().next().unwrap().1, "2.49.0.1.124.a3f342a4.2012");
    let info = &cap.infos[0];
    assert_eq!(info.response_types, [ResponseType::AllClear]);
    assert_eq!((&*info.event_codes[1].name, &*info.event_codes[1].value), ("SAME", "SVA"));
    assert!(!info.areas.is_empty() && !info.areas[0].polygons.is_empty());
}

#[test]
fn a_required_element_that_is_missing_is_named_with_its_place() {
    let error = refused(include_str!("samples/invalid.cap"));
    assert_eq!((error.position.line, error.what.as_str()), (2, "scope is missing"));
}

#[test]
fn files_that_are_damaged_in_many_ways_are_refused_where_they_are_damaged() {
    let line = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        refused(&text.replacen(from, to, 1)).position.line
    };
    let changes = [
        ("<status>Actual</status>", "<status>Perhaps</status>", 7),
        ("<status>Actual</status>", "<status>Actual</state>", 7),
        ("<status>Actual</status>", "<status><b/>Actual</status>", 7),
        ("<status>Actual</status>", "<status>Actual</status><status>Actual</status>", 7),
        ("<status>Actual</status>", "<status>Actual</status>loose text", 3),
        ("<status>Actual</status>", "<status>Actual</status><colour>red</colour>", 7),
        ("<status>Actual</status>", "<status>&actual;</status>", 7),
        ("<status>Actual</status>", "<status>&#1;</status>", 7),
        ("<status>Actual</status>", "<status>A & B</status>", 7),
        ("2010-08-31T00:09:25-05:00</sent>", "yesterday</sent>", 6),
        ("USGS-earthquakes", "USGS earthquakes,", 3),
        ("cap:1.1", "cap:3.0", 3),
        ("encoding=\"UTF-8\"", "encoding=\"ISO-8859-1\"", 1),
        ("<category>Geo</category>", "", 11),
    ];
    for (from, to, expected) in changes {
        let found = line(EARTHQUAKE, from, to);
        assert_eq!(found, expected, "{from} -> {to}");
    }
    let cut = EARTHQUAKE.rsplit_once("</info>").unwrap().0;
    assert!(refused(cut).position.line > 40);
    assert!(refused("").what.contains("no element"));
    assert!(refused(&format!("{EARTHQUAKE}<alert xmlns=\"{}\"/>", xml::NAMESPACES[0])).position.line > 40);
}

#[test]
fn entities_of_its_own_are_never_expanded() {
    let bomb = EARTHQUAKE.replacen(
        "<alert ",
        "<!DOCTYPE alert [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>\n<alert ",
        1,
    );
    let error = refused(&bomb);
    assert_eq!((error.position.line, error.what.as_str()), (3, "a document type is not taken"));
    let external = "<!DOCTYPE alert SYSTEM 'file:///etc/passwd'><alert/>";
    assert_eq!(refused(external).what, "a document type is not taken");
}

/// Fuzzing found it: a zero byte was read, and left out when the alert was written again.
#[test]
fn characters_that_xml_does_not_have_are_refused_with_the_place() {
    for character in ['\0', '\u{1}', '\u{b}', '\u{fffe}'] {
        let error = refused(&EARTHQUAKE.replace("Actual", &format!("Act{character}ual")));
        assert_eq!((error.position.line, error.what.as_str()), (7, "a character that XML does not have"));
    }
}

#[test]
fn other_encodings_are_refused_with_the_place() {
    let mut latin1 = EARTHQUAKE.as_bytes().to_vec();
    let place = latin1.windows(5).position(|window| window == b"Actua").unwrap();
    latin1[place] = 0xe9;
    let error = Cap::from_xml(&latin1).unwrap_err();
    assert_eq!((error.position.line, error.what.as_str()), (7, "not UTF-8"));
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(EARTHQUAKE.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(Cap::from_xml(&utf16).unwrap_err().what.contains("UTF-16"));
    let marked = format!("\u{feff}{EARTHQUAKE}");
    assert!(Cap::from_xml(marked.as_bytes()).is_ok(), "a byte order mark of UTF-8 is taken");
}

#[test]
fn signatures_are_left_out_and_prefixes_are_no_matter() {
    let signature =
        "<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'><a><b>x</b></a></Signature></alert>";
    let signed = NO_OPTIONAL_FIELDS.replacen("</alert>", signature, 1);
    let plain = Cap::from_xml(NO_OPTIONAL_FIELDS.as_bytes()).unwrap();
    assert_eq!(Cap::from_xml(signed.as_bytes()).unwrap(), plain);
    let prefixed = NO_OPTIONAL_FIELDS
        .replace("</", "</cap:")
        .replace('<', "<cap:")
        .replace("<cap:?", "<?")
        .replace("<cap:/cap:", "</cap:")
        .replace("xmlns=", "xmlns:cap=");
    assert_eq!(Cap::from_xml(prefixed.as_bytes()).unwrap(), plain);
}

#[test]
fn a_file_that_would_cost_much_is_refused() {
    let long = format!("{EARTHQUAKE}<!--{}-->", "x".repeat(crate::limits::CAP_BYTES_MAX));
    assert!(refused(&long).what.contains("longer"));
    let deep = format!("<alert xmlns=\"{}\">{}", xml::NAMESPACES[0], "<info>".repeat(200));
    assert!(refused(&deep).what.contains("more elements"));
}

#[test]
fn places_are_checked() {
    let mut cap = Cap::from_xml(CANADA.as_bytes()).unwrap();
    for polygon in ["", "1,2 3,4 1,2", "1,2 3,4 5,6 7,8", "1,2 3,4 5,6 91,0 1,2", "a,b c,d e,f a,b"] {
        cap.infos[0].areas[0].polygons = vec![polygon.into()];
        assert!(cap.check().is_err(), "{polygon}");
    }
    cap.infos[0].areas[0].polygons = vec!["48.1,-2.5 48.2,-2.4 48.3,-2.5 48.1,-2.5".into()];
    cap.infos[0].areas[0].circles = vec!["48.1,-2.5 12.5".into()];
    assert_eq!(cap.check(), Ok(()));
    cap.infos[0].areas[0].circles = vec!["48.1,-2.5".into()];
    assert!(cap.check().is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Cap::from_xml(&bytes);
    }

    #[test]
    fn no_text_is_lost_on_the_way(text in "[ -~éà€\\n\\t]{0,60}") {
        let mut cap = Cap::from_xml(CANADA.as_bytes()).unwrap();
        cap.infos[0].description = text.trim().to_owned();
        let back = Cap::from_xml(cap.to_xml().as_bytes()).unwrap();
        proptest::prop_assert_eq!(&back.infos[0].description, &cap.infos[0].description);
    }

    #[test]
    fn a_byte_that_changes_is_read_or_refused(place in 0_usize..2_000, byte: u8) {
        let mut bytes = EARTHQUAKE.as_bytes().to_vec();
        if let Some(changed) = bytes.get_mut(place) {
            *changed = byte;
        }
        let _ = Cap::from_xml(&bytes);
    }
}

#[test]
fn what_is_empty_is_not_there_and_what_was_read_is_written_the_same() {
    let xml = include_str!("../../../fuzz/corpus/cap/an-empty-code.xml");
    let read = Cap::from_xml(xml.as_bytes()).unwrap();
    assert_eq!(read.codes, ["profile:CAP-CP:0.4", "layer:EC-MSC-SMC:1.0", "layer:SOREM:1.0"]);
    assert!(Cap::from_xml(read.to_xml().as_bytes()).unwrap() == read);
}
