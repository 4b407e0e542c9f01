//! The reference hub: what fan-out over WebSocket and TLS costs when the hub does nothing else.
//!
//! It knows no identity, keeps nothing and checks nothing: a member says the numbers of its groups, and every
//! message, which begins with such a number, goes to the other members of that group. It is the limit that a real hub is compared with, so it uses the
//! same libraries well: small read buffers, and one flush for everything that waits. Run as a process of its
//! own (`cercle-loadtest reference-hub`), so that its processor time is counted by itself.

use std::{
    collections::HashMap,
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use crate::limits::{RAW_READ_BUFFER_BYTES, REFERENCE_QUEUE_MAX};

/// Members by group, each with its number.
type Groups = Arc<Mutex<HashMap<u32, Vec<(u64, mpsc::Sender<Bytes>)>>>>;

/// Serves for ever with the TLS certificate of a hub's folder; prints `ready <address>` first.
///
/// # Errors
/// When the certificate cannot be read or no port opened.
pub(crate) async fn serve(data: &Path) -> anyhow::Result<()> {
    let acceptor = acceptor(data)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout();
    writeln!(out, "ready {}", listener.local_addr()?)?;
    out.flush()?;
    let groups = Groups::default();
    let mut number = 0;
    loop {
        let (stream, _) = listener.accept().await?;
        number += 1;
        let (acceptor, groups) = (acceptor.clone(), Arc::clone(&groups));
        // A member that goes away is nobody's fault.
        tokio::spawn(async move { drop(member(stream, acceptor, groups, number).await) });
    }
}

fn acceptor(data: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(data.join("tls.pem"))?.collect();
    let key = PrivateKeyDer::from_pem_file(data.join("tls.key")).context("the TLS key")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn member(tcp: TcpStream, acceptor: TlsAcceptor, groups: Groups, number: u64) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let tls = Box::pin(acceptor.accept(tcp)).await?;
    let mut socket = Box::pin(upgrade(tls)).await?;
    let mine: Vec<u32> = match socket.next().await {
        Some(Ok(Message::Binary(bytes))) => {
            bytes.as_chunks().0.iter().copied().map(u32::from_be_bytes).collect()
        }
        _ => bail!("a member says its groups first"),
    };
    let (sender, mut queue) = mpsc::channel(REFERENCE_QUEUE_MAX);
    for group in &mine {
        lock(&groups).entry(*group).or_default().push((number, sender.clone()));
    }
    // Tells the member that it is in.
    socket.send(Message::Binary(Bytes::new())).await?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => broadcast(&groups, number, &bytes).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            Some(first) = queue.recv() => {
                socket.feed(Message::Binary(first)).await?;
                while let Ok(next) = queue.try_recv() {
                    socket.feed(Message::Binary(next)).await?;
                }
                socket.flush().await?;
            }
        }
    }
    for group in &mine {
        lock(&groups).entry(*group).or_default().retain(|(other, _)| *other != number);
    }
    Ok(())
}

async fn upgrade(tls: TlsStream<TcpStream>) -> anyhow::Result<WebSocketStream<TlsStream<TcpStream>>> {
    let config = WebSocketConfig::default().read_buffer_size(RAW_READ_BUFFER_BYTES);
    #[expect(clippy::result_large_err, reason = "the type is that of the callback")]
    let subprotocol = |_: &Request, mut response: Response| {
        let name = HeaderValue::from_static(cercle_proto::frame::SUBPROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
        Ok(response)
    };
    Ok(Box::pin(accept_hdr_async_with_config(tls, subprotocol, Some(config))).await?)
}

async fn broadcast(groups: &Groups, sender: u64, bytes: &Bytes) {
    let Some((group, _)) = bytes.split_first_chunk() else { return };
    let group = u32::from_be_bytes(*group);
    let members = lock(groups).get(&group).cloned().unwrap_or_default();
    for (number, queue) in members {
        if number != sender {
            // A full queue slows the sender down: the reference loses nothing either.
            let _ = queue.send(bytes.clone()).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
