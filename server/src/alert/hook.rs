//! The way out when an alert reaches nobody through his devices: a command of the operator's machine, or an
//! HTTPS address. Gateways for SMS and voice plug in here.
//!
//! The hook learns who is to be told, of which alert and in which mode, and nothing of what it says: the hub
//! does not know that either. It may be called again for the same key after a crash of the hub.

use std::process::Stdio;

use cercle_proto::id::UserId;
use http::{HeaderMap, HeaderValue, Uri, header::CONTENT_TYPE};
use tokio::{io::AsyncWriteExt, process, time::timeout};

use super::record::{AlertId, Mode};
use crate::{limits, push::http_client::HttpClient};

/// Where the fallback goes.
#[derive(Debug, Clone)]
pub enum Hook {
    /// Nowhere.
    None,
    /// A program; gets the call as one line of JSON on its standard input.
    Command(String),
    /// An https address; gets the call as a POST of JSON.
    Web(Uri, HttpClient),
}

/// A hook that cannot be: neither an absolute path nor an https URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be empty, the absolute path of a program, or an https URL")]
pub struct NoHook;

impl Hook {
    /// As the operator writes it.
    ///
    /// # Errors
    /// When it is neither a path nor an https URL.
    pub fn parse(text: &str, http: &HttpClient) -> Result<Self, NoHook> {
        match text.parse::<Uri>() {
            _ if text.is_empty() => Ok(Self::None),
            _ if text.starts_with('/') => Ok(Self::Command(text.to_owned())),
            Ok(uri) if uri.scheme_str() == Some("https") => Ok(Self::Web(uri, http.clone())),
            _ => Err(NoHook),
        }
    }

    /// Calls it for one recipient. Returns whether it took the call.
    pub async fn call(&self, alert: AlertId, mode: Mode, user: &UserId) -> bool {
        let call = call(alert, mode, user);
        for _ in 0..limits::ALERT_HOOK_TRIES_MAX {
            let took = match self {
                Self::None => return true,
                Self::Command(program) => timeout(limits::ALERT_HOOK, run(program, &call)).await,
                Self::Web(uri, http) => timeout(limits::ALERT_HOOK, post(uri, http, &call)).await,
            };
            if took == Ok(true) {
                return true;
            }
        }
        tracing::warn!("the fallback hook did not take a call");
        false
    }
}

/// What the hook learns. The key is the same whenever the call is repeated.
fn call(alert: AlertId, mode: Mode, user: &UserId) -> String {
    let mode = match mode {
        Mode::Actual => "actual",
        Mode::Exercise => "exercise",
        Mode::Test => "test",
    };
    let key = ring::digest::digest(&ring::digest::SHA256, &[&alert.0, user.as_str().as_bytes()].concat());
    let key = cercle_proto::id::to_hex(&key.as_ref()[..16]);
    serde_json::json!({ "key": key, "alert": alert.to_hex(), "mode": mode, "user": user.as_str() })
        .to_string()
}

async fn run(program: &str, call: &str) -> bool {
    let started = process::Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut child) = started else { return false };
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says by its status whether that matters.
        let _ = stdin.write_all(format!("{call}\n").as_bytes()).await;
    }
    child.wait().await.is_ok_and(|status| status.success())
}

async fn post(uri: &Uri, http: &HttpClient, call: &str) -> bool {
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
    let answer = http.post(uri, headers, call.to_owned().into()).await;
    answer.is_ok_and(|answer| (200..300).contains(&answer.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_a_path_an_https_url_or_nothing() {
        let http = HttpClient::new(Vec::new(), false);
        assert!(matches!(Hook::parse("", &http), Ok(Hook::None)));
        assert!(matches!(Hook::parse("/usr/bin/sms", &http), Ok(Hook::Command(_))));
        assert!(matches!(Hook::parse("https://sms.example/x", &http), Ok(Hook::Web(..))));
        for wrong in ["sms", "http://sms.example/", "ftp://x"] {
            assert!(Hook::parse(wrong, &http).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_call_names_the_recipient_and_nothing_of_what_the_alert_says() {
        let user = UserId::new("claire", "cpts.example").unwrap();
        let said: serde_json::Value =
            serde_json::from_str(&call(AlertId([7; 16]), Mode::Exercise, &user)).unwrap();
        let fields: Vec<_> = said.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["alert", "key", "mode", "user"]);
        assert_eq!(said["mode"], "exercise");
    }
}
