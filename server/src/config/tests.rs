//! The configuration as an operator meets it.

use super::*;

const MINIMAL: &str = "domain = \"cpts.example\"\npublic_address = \"hub.cpts.example:8443\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, [], Path::new("/etc/cercle"))
}

fn with_environment(name: &str, value: &str) -> Result<Config, ConfigError> {
    Config::parse(MINIMAL, [(name.to_owned(), value.to_owned())], Path::new("/etc/cercle"))
}

#[test]
fn two_keys_are_enough() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.tls_key, Path::new("/etc/cercle/tls.key"));
    assert_eq!(config.durability, Durability::PowerLoss);
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let config = toml::Table::try_from(parse(MINIMAL).unwrap()).unwrap();
    let documented: Vec<&str> = keys::KEYS.iter().map(|key| key.name).collect();
    for name in config.keys() {
        assert!(documented.contains(&name.as_str()), "{name} is not documented");
    }
    assert_eq!(config.len(), documented.len());
    // Forty, one for the key at rest, and one for each class of the audit log: what lies on the disk, and for how
    // long, is the operator's to decide and the law's to ask.
    assert!(documented.len() <= 43, "an operator reads some forty keys, not more");
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    let error = parse(&format!("{MINIMAL}retention_day = 3\n")).unwrap_err();
    assert_eq!(error.to_string(), "unknown key `retention_day`; did you mean `retention_days`?");
    let error = parse(&format!("{MINIMAL}zzz = 3\n")).unwrap_err();
    assert_eq!(error.to_string(), "unknown key `zzz`");
}

#[test]
fn the_environment_overrides_the_file() {
    assert_eq!(with_environment("CERCLE_SERVER_DATA", "/srv/cercle").unwrap().data, Path::new("/srv/cercle"));
    assert_eq!(with_environment("CERCLE_SERVER_RETENTION_DAYS", "7").unwrap().retention_days, 7);
    assert!(with_environment("CERCLE_SERVER_TLS_WEB", "true").unwrap().tls_web);
    let misspelt = with_environment("CERCLE_SERVER_RETENTION", "7").unwrap_err();
    assert!(misspelt.to_string().contains("did you mean `retention_days`"), "{misspelt}");
}

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    for (line, name) in [
        ("metrics = \"0.0.0.0:9464\"", "metrics"),
        ("engine = \"oracle\"", "engine"),
        ("ping_interval_ms = 0", "ping_interval_ms"),
        ("retention_days = 0", "retention_days"),
        ("record_retention_days = 1", "record_retention_days"),
        ("connections_max = \"many\"", "connections_max"),
    ] {
        let error = parse(&format!("{MINIMAL}{line}\n")).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    assert!(
        parse("domain = \"A b\"\npublic_address = \"h:1\"\n").unwrap_err().to_string().contains("domain")
    );
}

#[test]
fn the_sample_is_a_configuration() {
    let given = [("domain", "\"cpts.example\"".to_owned()), ("public_address", "\"h:1\"".to_owned())];
    assert_eq!(parse(&keys::sample(&given)).unwrap().domain, "cpts.example");
}

#[test]
fn the_documented_table_is_the_table_of_keys() {
    let documented = include_str!("../../../docs/operating/configure.md");
    assert!(documented.ends_with(&keys::markdown()), "configure.md must end with:\n{}", keys::markdown());
}
