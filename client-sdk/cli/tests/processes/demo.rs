//! The one command that shows everything.

use crate::world::{PATIENCE, Person};

#[test]
fn the_demonstration_played_once_is_one_object_without_loss() {
    let person = Person::new("demo");
    let finished = person.run(&["demo", "--once"]);
    finished.expect_exit(0);
    let [line] = finished.lines.as_slice() else { panic!("{finished:#?}") };
    assert_eq!(line["type"], "demo");
    let number = |field: &str| line[field].as_u64().unwrap_or_else(|| panic!("{field} in {line}"));
    assert_eq!((number("members"), number("gaps")), (6, 0));
    assert!(number("received") > number("messages"), "{line}");
    assert!(number("first_message_ms") <= number("total_ms"));
    assert!(u128::from(number("total_ms")) < PATIENCE.as_millis(), "{line}");
    assert!(number("hub_ready_ms") < 5_000, "{line}");
}

#[test]
fn a_visitor_is_taken_in_and_answered() {
    let host = Person::new("host");
    let demo = host.start(&["demo"]);
    let seen = demo.until(|line| line["type"] == "demo_ready");
    let link = seen.last().unwrap()["invitation"].as_str().unwrap().to_owned();
    let visitor = Person::new("visitor");
    visitor.run(&["enrol", &link]).expect_exit(0);
    let mut chat = visitor.start(&["chat", "accueil"]);
    chat.write("Bonjour à tous");
    chat.until(|line| {
        line["type"] == "message" && line["text"].as_str().is_some_and(|text| text.starts_with("Bienvenue !"))
    });
    chat.kill();
    assert_eq!(demo.interrupt(), Some(0));
}
