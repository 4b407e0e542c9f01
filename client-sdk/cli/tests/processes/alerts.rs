//! An alert from its sending to its report, with real processes; the hub is killed in the middle.

use serde_json::Value;

use crate::world::{Hub, Person, group, until};

fn publisher(hub: &Hub, name: &str) -> Person {
    let person = Person::new(name);
    let link = hub.invitation(name, &["--role", "crisis_publisher"]);
    person.run(&["enrol", &link]).expect_exit(0);
    person
}

fn status(lines: &[Value]) -> &Value {
    lines.iter().rev().find(|line| line["type"] == "alert_status").unwrap()
}

#[test]
fn an_exercise_is_sent_followed_acknowledged_answered_updated_and_ended() {
    let mut hub = Hub::start();
    let chief = publisher(&hub, "chief");
    let (claire, karim) = (hub.enrol("claire"), hub.enrol("karim"));
    group(&[&chief, &claire, &karim], "Cellule");
    group(&[&chief, &claire], "Astreinte");

    let send = ["alert", "send", "Cellule", "Astreinte", "--mode", "exercise", "--headline", "Afflux massif"];
    let sent = chief.run(&send);
    let opened = status(&sent.expect_exit(0).lines);
    assert_eq!((&opened["mode"], &opened["phase"]), (&"exercise".into(), &"ringing".into()));
    assert_eq!(opened["recipients"], 2, "in two groups, and one recipient each");
    let id = opened["alert"].as_str().unwrap().to_owned();

    let watch = chief.start(&["alert", "watch", &id[..8]]);
    watch.until(|line| line["type"] == "alert_status");
    let known = claire.run(&["alert", "list"]);
    let known: Vec<&Value> = known.expect_exit(0).of_type("alert").collect();
    assert_eq!(known.len(), 1, "one alert, though it came twice");
    assert_eq!(known[0]["groups"].as_array().unwrap().len(), 2);
    assert!(known[0]["text"].as_str().unwrap().starts_with("[EXERCICE - alerte] Afflux massif"));
    claire.run(&["alert", "ack", &id]).expect_exit(0);
    watch.until(|line| line["acknowledged"] == 1 && line["delivered"] == 1);
    karim.run(&["alert", "answer", &id, "available", "--to", "2030-01-01T08:00:00+01:00"]).expect_exit(0);
    watch.until(|line| line["acknowledged"] == 2);
    drop(watch);

    hub.kill();
    hub.spawn();
    let report = chief.run(&["alert", "report", &id]);
    let acknowledged = report.expect_exit(0).of_type("alert_recipient");
    assert!(acknowledged.into_iter().all(|row| row["acknowledged_at_ms"].as_u64().unwrap() > 0));
    let answered = chief.run(&["alert", "list"]);
    let answered = answered.of_type("alert").next().unwrap()["answers"].clone();
    assert_eq!(
        (&answered[0]["user"], &answered[0]["answer"]),
        (&"karim@cpts.example".into(), &"available".into())
    );

    let refused = claire.run(&["alert", "cancel", &id]);
    assert_ne!(refused.exit, Some(0), "a recipient ends nobody else's alert");
    let update = ["alert", "update", &id, "--headline", "Afflux : renfort"];
    let updated = status(&chief.run(&update).expect_exit(0).lines)["alert"].as_str().unwrap().to_owned();
    let late = karim.run(&["alert", "list"]);
    let texts: Vec<_> = late.of_type("alert").map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["[EXERCICE - mise à jour] Afflux : renfort"], "only how things stand");
    let ended = chief.run(&["alert", "cancel", &updated, "--note", "Fin"]);
    assert_eq!(status(&ended.expect_exit(0).lines)["phase"], "closed");
    assert_eq!(karim.run(&["alert", "list"]).of_type("alert").count(), 0);
}

#[test]
fn an_alert_rings_those_who_are_meant_and_its_report_counts_them() {
    let hub = Hub::start();
    let chief = publisher(&hub, "chief");
    let (claire, karim) = (hub.enrol("claire"), hub.enrol("karim"));
    group(&[&chief, &claire, &karim], "Cellule");
    hub.directory(&[
        "add",
        "local:claire",
        "--name",
        "Claire",
        "--profession",
        "60",
        "--commune",
        "31555",
        "--user",
        "claire@cpts.example",
    ]);
    hub.directory(&[
        "add",
        "local:karim",
        "--name",
        "Karim",
        "--profession",
        "21",
        "--commune",
        "31022",
        "--user",
        "karim@cpts.example",
    ]);
    let target = ["--for-profession", "60", "--for-commune", "31555"];
    // The hub takes local entries over within seconds.
    let meant = |more: &[&str]| {
        let reach = chief.run(&[&["alert", "reach", "Cellule"], &target[..], more].concat());
        reach.expect_exit(0).of_type("reachable").map(|row| row["user"].clone()).collect::<Vec<_>>()
    };
    until(|| meant(&[]) == ["claire@cpts.example"]);
    assert_eq!(meant(&["--on-duty"]), [""; 0]);
    let send = ["alert", "send", "Cellule", "--mode", "test", "--headline", "Renfort"];
    let refused = chief.run(&[&send[..], &target[..], &["--on-duty"]].concat());
    assert_ne!(refused.exit, Some(0), "nobody is on duty");
    let sent = chief.run(&[&send[..], &target[..]].concat());
    let opened = status(&sent.expect_exit(0).lines);
    assert_eq!(opened["recipients"], 1);
    let id = opened["alert"].as_str().unwrap().to_owned();
    let watch = chief.start(&["alert", "watch", &id, "--by", "profession", "--by", "commune"]);
    let first = watch.until(|line| line["by"] == "commune").pop().unwrap();
    assert_eq!((&first["value"], &first["acknowledged"]), (&"31555".into(), &0.into()));
    claire.run(&["alert", "ack", &id]).expect_exit(0);
    watch.until(|line| line["by"] == "profession" && line["acknowledged"] == 1);
    watch.until(|line| line["by"] == "commune" && line["value"] == "31555" && line["acknowledged"] == 1);
    drop(watch);
    let not_his = karim.run(&["alert", "ack", &id]);
    assert_ne!(not_his.exit, Some(0), "he reads it in the group, and it does not ring him");
    let by = chief.run(&["alert", "report", &id, "--by", "commune"]);
    let counts: Vec<&Value> = by.expect_exit(0).of_type("alert_count").collect();
    assert_eq!(counts.len(), 1);
    assert_eq!((&counts[0]["value"], &counts[0]["acknowledged"]), (&"31555".into(), &1.into()));
    let updated = chief.run(&["alert", "update", &id, "--headline", "Renfort demain"]);
    assert_eq!(status(&updated.expect_exit(0).lines)["recipients"], 1, "the same people");
}

#[test]
fn an_alert_about_a_patient_asks_for_acknowledgement_and_is_followed_on_the_hub() {
    let hub = Hub::start();
    let (anne, karim, zoe) = (hub.enrol("anne"), hub.enrol("karim"), hub.enrol("zoe"));
    let opened = anne.run(&["direct", "karim"]);
    let group_id =
        opened.expect_exit(0).of_type("group").next().unwrap()["group"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerte.json");
    let example = anne.run(&["template", "event_alert"]);
    let mut alert = example.expect_exit(0).of_type("template").next().unwrap()["content"].clone();
    alert["priority"] = "stat".into();
    std::fs::write(&file, alert.to_string()).unwrap();
    let path = file.to_str().unwrap();
    let refused = anne.run(&["post", &group_id, path, "--ask-ack", "--offline"]);
    assert_ne!(refused.exit, Some(0), "the hub has to ring");
    let posted = anne.run(&["post", &group_id, path, "--ask-ack"]);
    let opened = status(&posted.expect_exit(0).lines);
    assert_eq!((&opened["phase"], &opened["recipients"]), (&"ringing".into(), &1.into()));
    let id = opened["alert"].as_str().unwrap().to_owned();

    let watch = anne.start(&["alert", "watch", &id]);
    watch.until(|line| line["type"] == "alert_status");
    assert_ne!(zoe.run(&["alert", "ack", &id]).exit, Some(0), "she is not in the group");
    karim.run(&["recv"]).expect_exit(0);
    karim.run(&["alert", "ack", &id, "--taking-over"]).expect_exit(0);
    watch.until(|line| line["acknowledged"] == 1);
    drop(watch);
    let report = anne.run(&["alert", "report", &id]);
    let row = report.expect_exit(0).of_type("alert_recipient").next().unwrap().clone();
    assert_eq!(row["user"], "karim@cpts.example");
    assert!(row["acknowledged_at_ms"].as_u64().unwrap() > 0);
    let state = anne.run(&["state", &group_id, "--kind", "event_alert"]);
    let state = state.expect_exit(0).of_type("state").last().unwrap()["state"].clone();
    assert_eq!(state["taken_over_by"], serde_json::json!(["karim@cpts.example"]));
    let ended = anne.run(&["alert", "cancel", &id]);
    assert_eq!(status(&ended.expect_exit(0).lines)["phase"], "closed");
    let other = folder.path().join("text.json");
    std::fs::write(&other, r#"{"kind":"text","text":"Bonjour"}"#).unwrap();
    assert_eq!(anne.run(&["post", &group_id, other.to_str().unwrap(), "--ask-ack"]).exit, Some(2));
}

#[test]
fn a_cap_file_is_sent_and_comes_out_again_and_a_damaged_one_is_refused_with_its_place() {
    let hub = Hub::start();
    let chief = publisher(&hub, "chief");
    let claire = hub.enrol("claire");
    group(&[&chief, &claire], "Cellule");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alert.cap");
    let cap = r#"<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>ARS-1</identifier>
<sender>ars@sante.example</sender><sent>2026-11-22T00:00:00+01:00</sent><status>Test</status>
<msgType>Alert</msgType><scope>Restricted</scope><restriction>CPTS</restriction><info><category>Health</category>
<event>Canicule</event><urgency>Expected</urgency><severity>Moderate</severity><certainty>Likely</certainty>
</info></alert>"#;
    std::fs::write(&file, cap).unwrap();
    let path = file.to_str().unwrap();
    let sent = chief.run(&["alert", "import", path, "Cellule"]);
    let id = status(&sent.expect_exit(0).lines)["alert"].as_str().unwrap().to_owned();
    let exported = claire.run(&["alert", "list"]).of_type("alert").next().unwrap().clone();
    assert_eq!(exported["content"]["cap"]["identifier"], "ARS-1");
    assert_eq!(exported["content"]["cap"]["status"], "Test");
    let output = claire.human_command(&["alert", "export", &id]).output().unwrap();
    let xml = String::from_utf8(output.stdout).unwrap();
    assert!(xml.contains("<event>Canicule</event>") && xml.contains("cap:1.2"), "{xml}");

    std::fs::write(&file, cap.replace("<scope>Restricted</scope>", "")).unwrap();
    let refused = chief.run(&["alert", "import", path, "Cellule"]);
    let message = refused.of_type("error").next().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("line 1") && message.contains("scope is missing"), "{message}");
}

#[test]
fn who_cannot_be_reached_is_known_before_and_a_push_address_is_tried() {
    let hub = Hub::start();
    let chief = publisher(&hub, "chief");
    let claire = hub.enrol("claire");
    hub.invitation("absent", &[]);
    // Nobody listens there, and it lies inside: refused at once.
    let register = ["push", "register", "--endpoint", "https://localhost:1/up"];
    claire.run(&register).expect_exit(0);
    let tried = claire.run(&["push", "test"]);
    assert_eq!(tried.of_type("push").next().unwrap()["reachable"], false);
    let reach = chief.run(&["alert", "reach"]);
    let row = |name: &str| reach.of_type("reachable").find(|row| row["user"] == name).unwrap().clone();
    assert_eq!(row("claire@cpts.example")["devices_with_push"], 1);
    assert_eq!(row("chief@cpts.example")["devices_with_push"], 0);
    assert_eq!(claire.run(&["push", "off"]).of_type("push").next().unwrap()["reachable"], false);
    assert_ne!(claire.run(&["alert", "reach"]).exit, Some(0), "for publishers only");
    let users = hub.admin(&["reachability"]);
    assert!(users.as_array().unwrap().iter().any(|row| row["user"] == "claire@cpts.example"));
}
