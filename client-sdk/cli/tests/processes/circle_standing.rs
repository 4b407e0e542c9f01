//! A circle is closed, archived and opened again, as commands.

use crate::{
    circle::NEW,
    world::{Hub, Person},
};

fn standing(person: &Person) -> String {
    let members = person.run(&["circle", "members", "cercle"]);
    let circle = members.expect_exit(0).of_type("circle").next().unwrap();
    circle["standing"].as_str().unwrap().to_owned()
}

#[test]
fn a_circle_that_was_archived_takes_nothing_in_until_it_is_opened_again() {
    let hub = Hub::start();
    let (anne, ines) = (hub.enrol("anne"), hub.enrol("ines"));
    anne.run(&NEW).expect_exit(0);
    let add = ["circle", "add", "cercle", "ines", "--role", "infirmière", "--basis", "team"];
    assert_eq!(standing(&anne), "open");
    anne.run(&["circle", "close", "cercle", "--archive", "--reopen"]).expect_exit(2);
    anne.run(&["circle", "close", "cercle", "--archive", "--reason", "exporté"]).expect_exit(0);
    assert_eq!(standing(&anne), "archived");
    anne.run(&["send", "cercle", "trop tard"]).expect_exit(5);
    anne.run(&add).expect_exit(5);
    let refusals = anne.run(&["circle", "refusals", "cercle"]);
    assert!(
        refusals.expect_exit(0).of_type("refusal").any(|line| line["reason"] == "closed"),
        "{refusals:#?}"
    );

    anne.run(&["circle", "close", "cercle", "--reopen", "--reason", "rechute"]).expect_exit(0);
    anne.run(&add).expect_exit(0);
    anne.run(&["send", "cercle", "de nouveau ouvert"]).expect_exit(0);
    // The newcomer sees how it went.
    ines.run(&["recv"]).expect_exit(0);
    assert_eq!(standing(&ines), "open");
    let timeline = ines.run(&["circle", "timeline", "cercle", "--kind", "circle_status"]);
    let lines: Vec<&str> =
        timeline.expect_exit(0).of_type("timeline").map(|line| line["line"].as_str().unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("exporté") && lines[1].contains("rechute"), "{lines:?}");
}
