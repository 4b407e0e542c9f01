//! Strangers that say a byte now and then and never come to an end (slowloris): before TLS, in its greeting, and in
//! the first request. Each is closed in time, and members are served meanwhile.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    tap,
    world::{Hub, PATIENCE, group, says},
};

/// Strangers of each kind: many, and less than a hub lets in from one address.
const STRANGERS: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);

/// Says a byte of something endless after each pause until the hub closes the line.
async fn drip(mut line: impl AsyncRead + AsyncWrite + Unpin, first: &[u8], endless: u8) {
    let mut answer = [0; 256];
    if line.write_all(first).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            read = line.read(&mut answer) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            () = sleep(PAUSE) => {
                if line.write_all(&[endless]).await.is_err() || line.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}

#[test]
fn strangers_that_say_a_byte_now_and_then_are_closed_and_hinder_nobody() {
    let hub = Hub::start();
    let (alice, bob) = (hub.enrol("alice"), hub.enrol("bob"));
    group(&[&alice, &bob], "Goutte");
    let (address, connector) = (hub.address(), tap::connector(&hub.data()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut strangers = JoinSet::new();
    for _ in 0..STRANGERS {
        // A record of TLS that is announced and comes byte by byte.
        let to = address.clone();
        strangers.spawn_on(
            async move {
                let line = TcpStream::connect(to).await.unwrap();
                drip(line, b"\x16\x03\x01\x3f\xff", 0).await;
            },
            runtime.handle(),
        );
        // A request whose head does not end.
        let (to, connector) = (address.clone(), connector.clone());
        strangers.spawn_on(
            async move {
                let line = TcpStream::connect(to).await.unwrap();
                let name = ServerName::try_from("127.0.0.1").unwrap();
                let line = connector.connect(name, line).await.unwrap();
                drip(line, b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b'x').await;
            },
            runtime.handle(),
        );
    }
    for round in 0..3 {
        let text = format!("malgré tout {round}");
        alice.run(&["--timeout", "60", "send", "goutte", &text]).expect_exit(0);
        let heard = bob.run(&["--timeout", "60", "recv"]);
        assert!(heard.expect_exit(0).lines.iter().any(|line| says(line, &text)));
    }
    let closed = runtime.block_on(async {
        let all = async {
            let mut closed = 0;
            while let Some(ended) = strangers.join_next().await {
                ended.unwrap();
                closed += 1;
            }
            closed
        };
        timeout(PATIENCE, all).await.expect("the hub holds somebody who never comes to an end")
    });
    assert_eq!(closed, 2 * STRANGERS);
}
