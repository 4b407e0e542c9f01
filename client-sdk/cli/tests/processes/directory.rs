//! The directory on the command line: found in spite of typing errors, shown, kept by its members, and reached
//! through one address for several people.

use serde_json::{Value, json};

use crate::world::{Finished, Hub, Person};

/// Invented people, in the form of the national extraction.
pub(crate) const PEOPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../server/tests/fixtures/directory/synthetic_personne_activite_50rows.txt"
);
/// One of them.
const LINH: &str = "899700000021";

fn entries(finished: &Finished) -> Vec<&Value> {
    finished.of_type("directory_entry").collect()
}

fn one(finished: &Finished) -> &Value {
    let found = entries(finished);
    assert_eq!(found.len(), 1, "{finished:#?}");
    found[0]
}

fn families(person: &Person, arguments: &[&str]) -> Vec<String> {
    let finished = person.run(&[&["directory", "search"], arguments].concat());
    entries(&finished).iter().map(|entry| entry["family"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_member_finds_shows_and_narrows_what_was_imported() {
    let hub = Hub::start();
    assert_eq!(hub.import(&[PEOPLE])["lines"], 50);
    let anne = hub.enrol("anne");
    let linh = hub.enrol(LINH);
    let typed_wrong = anne.run(&["directory", "search", "martn", "linh"]);
    let found = one(typed_wrong.expect_exit(0));
    assert_eq!((&found["family"], &found["given"]), (&json!("MARTIN"), &json!("LINH")));
    assert_eq!(found["users"], json!([format!("{LINH}@cpts.example")]), "he has a device here");
    for key in [found["key"].as_str().unwrap(), LINH, &LINH[1..]] {
        let shown = anne.run(&["directory", "show", key]);
        assert_eq!(one(shown.expect_exit(0))["key"], found["key"], "{key}");
    }
    let nurses = anne.run(&[
        "directory",
        "search",
        "--profession",
        "60",
        "--commune",
        "31022",
        "--kind",
        "professional",
        "--facets",
    ]);
    let codes = |entry: &Value| entry["professions"][0]["code"].clone();
    assert!(entries(nurses.expect_exit(0)).into_iter().all(|entry| codes(entry) == "60"), "{nurses:#?}");
    let page = nurses.of_type("directory_page").next().unwrap();
    assert_eq!(page["professions"][0]["count"], page["total"], "one profession was asked for");
    assert_eq!(families(&anne, &["martin", "--member", "yes"]), ["MARTIN"]);
    assert!(!families(&anne, &["martin", "--member", "no"]).is_empty(), "the other Martins");
    anne.run(&["directory", "search", "zzyzx"]).expect_exit(7);
    anne.run(&["directory", "show", "ps:000000000000"]).expect_exit(7);
    anne.run(&["--offline", "directory", "show", LINH]).expect_exit(4);
    linh.run(&["whoami"]).expect_exit(0);
}

#[test]
fn a_member_keeps_the_own_card_and_can_disappear() {
    let hub = Hub::start();
    hub.import(&[PEOPLE]);
    let (anne, linh) = (hub.enrol("anne"), hub.enrol(LINH));
    let card =
        ["directory", "card", "--note", "Plaies chroniques", "--accepting-days", "30", "--hide", "street"];
    let written = linh.run(&[&card[..], &["--delegate", "anne", "--quiet", "20:00-07:00"]].concat());
    let own = one(written.expect_exit(0));
    assert_eq!((&own["card"]["note"], &own["accepting"]), (&json!("Plaies chroniques"), &json!(true)));
    let shown = anne.run(&["directory", "show", LINH]);
    let seen = one(shown.expect_exit(0));
    assert_eq!(seen["card"]["delegate"], "anne@cpts.example");
    let quiet = &seen["card"]["quiet_hours"][0];
    assert_eq!((&quiet["from_minute"], &quiet["to_minute"]), (&json!(20 * 60), &json!(7 * 60)));
    let streets: Vec<&Value> =
        seen["activities"].as_array().unwrap().iter().map(|activity| &activity["street"]).collect();
    assert!(!streets.is_empty() && streets.iter().all(|street| *street == ""), "{streets:?}");
    assert_eq!(families(&anne, &["--accepting"]), ["MARTIN"]);
    linh.run(&["directory", "card", "--quiet", "noon"]).expect_exit(2);
    linh.run(&["directory", "card", "--delegate", "nobody"]).expect_exit(5);
    let kept = linh.run(&["directory", "card", "--listed", "no"]);
    assert_eq!(one(kept.expect_exit(0))["card"]["note"], "Plaies chroniques", "what is not named stays");
    anne.run(&["directory", "show", LINH]).expect_exit(7);
    assert!(!families(&anne, &["martin", "linh"]).contains(&"MARTIN".to_owned()));
}

#[test]
fn an_invitation_to_a_shared_inbox_reaches_everybody_behind_it() {
    let hub = Hub::start();
    let [anne, bob, carla] = ["anne", "bob", "carla"].map(|name| hub.enrol(name));
    let made = bob.run(&["directory", "inbox", "Cabinet des Tilleuls", "bob", "carla", "--commune", "31022"]);
    let inbox = one(made.expect_exit(0));
    let key = inbox["key"].as_str().unwrap().to_owned();
    assert_eq!(inbox["users"], json!(["bob@cpts.example", "carla@cpts.example"]));
    assert_eq!(families(&anne, &["tilleuls", "--kind", "inbox"]), ["Cabinet des Tilleuls"]);
    anne.run(&["directory", "inbox", "À moi", "anne", "--key", &key]).expect_exit(5);
    anne.run(&["new", "Adressage"]).expect_exit(0);
    let invited = anne.run(&["invite", "adressage", &key]);
    assert_eq!(
        invited.expect_exit(0).of_type("invited").next().unwrap()["devices"].as_array().unwrap().len(),
        2
    );
    anne.run(&["send", "adressage", "Une place demain ?"]).expect_exit(0);
    assert_eq!(carla.run(&["recv"]).texts(), ["Une place demain ?"]);
    bob.run(&["directory", "inbox", "Cabinet des Tilleuls", "--key", &key]).expect_exit(0);
    anne.run(&["directory", "show", &key]).expect_exit(7);
}

#[test]
fn a_group_follows_what_is_imported_and_its_administrator_hands_it_over_to_leave() {
    const NURSES: [&str; 2] = ["899700000039", "899700000047"];
    let hub = Hub::start();
    hub.import(&[PEOPLE]);
    let anne = hub.enrol("anne");
    let nurses = NURSES.map(|name| hub.enrol(name));
    anne.run(&["new", "Infirmiers", "--kind", "territory"]).expect_exit(0);
    let refused = anne.run(&["rule", "set", "infirmiers"]);
    let error = refused.expect_exit(5).of_type("error").next().unwrap();
    assert!(error["message"].as_str().unwrap().contains("au moins un critère"), "{error}");
    assert!(error["mend"].as_str().unwrap().contains("--profession"), "{error}");
    let set = anne.run(&["rule", "set", "infirmiers", "--profession", "60"]);
    let rule = set.expect_exit(0).of_type("rule").next().unwrap();
    assert_eq!(
        (&rule["professions"], &rule["add"], &rule["remove"]),
        (&json!(["60"]), &json!([]), &json!([]))
    );
    anne.run(&["send", "infirmiers", "Bienvenue"]).expect_exit(0);
    assert_eq!(nurses[1].run(&["recv"]).texts(), ["Bienvenue"]);
    nurses[0].run(&["rule", "show", "infirmiers"]).expect_exit(5);

    let following = anne.start(&["recv", "--follow"]);
    following.until(|line| line["type"] == "caught_up");
    let rest = tempfile::tempdir().unwrap();
    let file = rest.path().join("people.txt");
    let people = std::fs::read_to_string(PEOPLE).unwrap();
    let kept: Vec<&str> = people.lines().filter(|line| !line.contains(NURSES[0])).collect();
    std::fs::write(&file, kept.join("\n")).unwrap();
    hub.import(&[file.to_str().unwrap(), "--accept-removals"]);
    following.until(|line| {
        line["type"] == "membership"
            && line["joined"] == false
            && line["display_name"] == "899700000039 (test)"
    });
    assert_eq!(following.interrupt(), Some(0));
    anne.run(&["rule", "clear", "infirmiers"]).expect_exit(0);

    anne.run(&["leave", "infirmiers"]).expect_exit(5);
    anne.run(&["leave", "infirmiers", "--successor", "nobody"]).expect_exit(7);
    anne.run(&["leave", "infirmiers", "--successor", NURSES[1]]).expect_exit(0);
    let members = nurses[1].run(&["members", "infirmiers"]);
    assert!(members.of_type("member").any(|line| line["own"] == true && line["administrator"] == true));
}
